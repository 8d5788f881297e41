"""Exports the checkpoint with the onnxruntime-genai model builder, and runs it plainly."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def export(checkpoint: Path, out: Path, precision: str, scratch: Path) -> None:
    """`out` gets the graph, `genai_config.json` and the tokenizer. Works without a network."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", str(checkpoint),
               "-o", str(out), "-p", precision, "-e", "cpu", "-c", str(scratch),
               "--extra_options", "hf_token=false"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


class Graph:
    """A builder graph run as is, one sequence at a time."""

    def __init__(self, folder: Path, threads: int = 2) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        config = json.loads((folder / "genai_config.json").read_text(encoding="utf-8"))
        decoder = config["model"]["decoder"]
        self.heads, self.size = decoder["num_key_value_heads"], decoder["head_size"]
        self.layers = decoder["num_hidden_layers"]

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """Logits `[tokens, vocabulary]` of a whole sequence."""
        empty = np.zeros((1, self.heads, 0, self.size), np.float32)
        feeds = {"input_ids": ids[None].astype(np.int64),
                 "attention_mask": np.ones((1, len(ids)), np.int64)}
        for layer in range(self.layers):
            feeds[f"past_key_values.{layer}.key"] = empty
            feeds[f"past_key_values.{layer}.value"] = empty
        return self.session.run(["logits"], feeds)[0][0]
