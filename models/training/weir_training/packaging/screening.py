"""The screening package: graph, tokenizer, golden vectors, card, manifest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from ..screening.evaluate import sample_period
from ..screening.export import logits_of, session
from ..screening.tokens import Encoded
from ..shared.loop import read_json
from ..shared.metrics import margins, sigmoid
from ..shared.renders import Renders
from .about import About
from .cards import screening_card
from .manifest import clear, rounded, write_manifest

GOLDEN = 64


def golden_rows(renders: Renders, encoded: Encoded, seed: int) -> np.ndarray:
    """Test rows of both labels and of many lengths, the longest and the shortest among them."""
    test = sample_period(renders, "test", 20_000, seed).rows
    frauds = test[renders.labels[test] > 0.5]
    by_length = test[np.argsort(encoded.lengths[test], kind="stable")]
    spread = by_length[np.linspace(0, len(by_length) - 1, GOLDEN - 24).astype(int)]
    rng = np.random.default_rng(seed)
    picked = rng.choice(frauds, min(24, len(frauds)), replace=False)
    return np.unique(np.concatenate([spread, picked]))


def write_golden(path: Path, graph: Path, renders: Renders, encoded: Encoded,
                 calibration: dict[str, float], seed: int) -> None:
    """Inputs with the scores that the shipped graph gives them, one row at a time."""
    run = session(graph)
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for row in golden_rows(renders, encoded, seed):
            logits = logits_of(run, encoded, np.array([row]))
            logit = calibration["a"] * margins(logits)[0] + calibration["b"]
            out.write(json.dumps({
                "text": renders.texts[row], "input_ids": encoded[row].tolist(),
                "logits": [float(z) for z in logits[0]], "probability": float(sigmoid(logit)),
            }, ensure_ascii=False) + "\n")


def metrics_table(report: dict[str, Any], work: Path) -> dict[str, Any]:
    """The numbers that go into the manifest."""
    return rounded({
        "fp32_bytes": (work / "fp32.onnx").stat().st_size,
        "int8_bytes": (work / "int8.onnx").stat().st_size,
        **{f"test_{k}": v for k, v in report["test"].items()},
        **{f"validation_{k}": v for k, v in report["validation"].items()},
        "baselines_test": report["baselines_test"],
        "int8_against_fp32": report["int8_against_fp32"],
        "invariance": report["invariance"],
    })


def package(renders: Renders, encoded: Encoded, work: Path, out: Path, about: About,
            seed: int) -> None:
    """Fills `out`; the template, written by hand, stays."""
    report = read_json(work / "evaluation.json")
    training = read_json(work / "training.json")
    clear(out, keep={"input.j2"})
    for source, name in ((work / "int8.onnx", "model.onnx"), (work / "hf/config.json", "config.json")):
        shutil.copy(source, out / name)
    for source in sorted((work / "tokenizer").glob("*.json")):
        shutil.copy(source, out / source.name)
    write_golden(out / "golden.jsonl", out / "model.onnx", renders, encoded,
                 report["calibration"], seed)
    recipe = training["recipe"]
    metrics = metrics_table(report, work)
    (out / "MODEL_CARD.md").write_text(screening_card(about, training, report, metrics), encoding="utf-8")
    write_manifest(out, {
        "format": 1, "kind": "classifier", "name": about.name, "version": about.version,
        "license": "Apache-2.0",
        "classifier": {"fraud_label": "fraud", "max_tokens": recipe["max_tokens"],
                       "input_template": "input.j2"},
        "calibration": {"method": "platt", **report["calibration"]},
        "golden": {"file": "golden.jsonl", "tolerance": 1e-4},
        "training": rounded({
            "data": about.data, "split": about.split, "vocabulary": report["vocabulary"],
            **{k: training[k] for k in ("steps", "epochs", "minutes", "examples_per_second",
                                        "parameters", "train_frauds", "train_legitimate")},
            "recipe": recipe}),
        "metrics": metrics,
    })
