"""PyTorch to ONNX, and the checks that a score depends on its own text only."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from transformers import DistilBertForSequenceClassification

from .tokens import Encoded


class _Logits(torch.nn.Module):
    """The two inputs and one output that `optimum-cli export onnx` gives a DistilBERT."""

    def __init__(self, model: DistilBertForSequenceClassification) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


def export_fp32(checkpoint: Path, out: Path) -> None:
    """Writes the FP32 graph with dynamic batch and sequence axes."""
    model = DistilBertForSequenceClassification.from_pretrained(
        checkpoint, attn_implementation="eager").eval()
    ids = torch.randint(5, 50, (2, 16))
    axes = {0: "batch_size", 1: "sequence_length"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Logits(model), (ids, torch.ones_like(ids)), str(out), opset_version=17, dynamo=False,
            input_names=["input_ids", "attention_mask"], output_names=["logits"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "batch_size"}})


def session(path: Path, threads: int = 1) -> ort.InferenceSession:
    """A CPU session as the server opens it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def logits_of(run: ort.InferenceSession, encoded: Encoded, rows: np.ndarray,
              batch_size: int = 8) -> np.ndarray:
    """Logits `[n, labels]` of many rows, in batches of equal length first."""
    order = np.argsort(encoded.lengths[rows], kind="stable")
    out = np.zeros((len(rows), 2), np.float32)
    for start in range(0, len(rows), batch_size):
        places = order[start : start + batch_size]
        ids, mask = encoded.padded(rows[places])
        out[places] = run.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    return out


def invariance(run: ort.InferenceSession, encoded: Encoded, rows: np.ndarray) -> dict[str, float]:
    """Largest logit difference between a row alone and padded, and in a mixed batch: want 0."""
    alone = np.concatenate([logits_of(run, encoded, np.array([row])) for row in rows])
    ids, mask = encoded.padded(rows)
    together = run.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    wide = np.pad(ids, ((0, 0), (0, 16))), np.pad(mask, ((0, 0), (0, 16)))
    padded = np.concatenate([
        run.run(None, {"input_ids": wide[0][i : i + 1], "attention_mask": wide[1][i : i + 1]})[0]
        for i in range(len(rows))])
    return {"batch": float(np.abs(together - alone).max()),
            "padding": float(np.abs(padded - alone).max())}
