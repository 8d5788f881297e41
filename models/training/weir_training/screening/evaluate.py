"""Measures the INT8 graph as it will be served, and calibrates it."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..shared.metrics import fit_platt, margins, probabilities, ranking, sigmoid
from ..shared.renders import Renders
from .export import logits_of, session
from .teacher import linear_baseline
from .tokens import Encoded

ESCALATED = 0.05
THRESHOLDS = (0.02, 0.5)  # where the default policy escalates, and an even chance


@dataclass(frozen=True)
class Sample:
    """Rows of one period with weights that restore the true share of fraud."""

    rows: np.ndarray
    weights: np.ndarray


def sample_period(renders: Renders, period: str, size: int, seed: int) -> Sample:
    """Every fraud of a period and an even draw of what is legitimate."""
    rows = renders.rows(period)
    fraud, fair = rows[renders.labels[rows] > 0.5], rows[renders.labels[rows] < 0.5]
    count = min(max(size - len(fraud), 1), len(fair))
    kept = np.random.default_rng(seed).choice(fair, count, replace=False)
    weights = np.concatenate([np.ones(len(fraud)), np.full(count, len(fair) / count)])
    return Sample(np.concatenate([fraud, kept]), weights)


def score(graph: Path, encoded: Encoded, rows: np.ndarray, workers: int = 2) -> np.ndarray:
    """Fraud margins of many rows by ONNX Runtime, one thread per worker, with progress."""
    out = np.zeros(len(rows))
    order = np.argsort(encoded.lengths[rows], kind="stable")
    pieces = np.array_split(order, max(len(rows) // 1000, workers))
    begin, done = time.monotonic(), 0
    runs = [session(graph) for _ in range(workers)]

    def work(worker: int) -> None:
        nonlocal done
        for places in pieces[worker::workers]:
            out[places] = margins(logits_of(runs[worker], encoded, rows[places]))
            done += len(places)
            if worker == 0:
                spent = time.monotonic() - begin
                print(f"scored {done}/{len(rows)}, {done / spent:.0f}/s, "
                      f"{spent * (len(rows) - done) / done:.0f} s left", flush=True)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))
    return out


def cached_scores(graph: Path, encoded: Encoded, rows: np.ndarray, cache: Path) -> np.ndarray:
    """As `score`, kept on disk until the graph changes."""
    stamp = graph.stat().st_mtime
    if cache.exists():
        with np.load(cache) as saved:
            if float(saved["stamp"]) == stamp and np.array_equal(saved["rows"], rows):
                return saved["margins"]
    found = score(graph, encoded, rows)
    np.savez(cache, rows=rows, margins=found, stamp=stamp)
    return found


def by_typology(renders: Renders, sample: Sample, scores: np.ndarray) -> dict[str, dict[str, float]]:
    """Recall per kind of fraud when `ESCALATED` of the traffic is escalated."""
    order = np.argsort(-scores, kind="stable")
    reached = np.cumsum(sample.weights[order]) <= ESCALATED * sample.weights.sum()
    caught = set(order[reached].tolist())
    kinds: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    for place, row in enumerate(sample.rows):
        if kind := renders.typologies[row]:
            kinds[kind] += 1
            hits[kind] += place in caught
    return {kind: {"count": n, "recall": round(hits[kind] / n, 4)} for kind, n in kinds.items()}


def evaluate(renders: Renders, encoded: Encoded, teacher: np.ndarray, folder: Path,
             size: int, seed: int) -> dict[str, object]:
    """Calibrates on the validation period and measures on the held-out test period."""
    graph = folder / "int8.onnx"
    report: dict[str, object] = {}
    calibration = sample_period(renders, "validation", size, seed)
    margin = cached_scores(graph, encoded, calibration.rows, folder / "scores-validation.npz")
    labels = renders.labels[calibration.rows]
    a, b = fit_platt(margin, labels, calibration.weights)
    report["calibration"] = {"a": a, "b": b}
    report["validation"] = {**ranking(labels, margin, calibration.weights),
                            **probabilities(labels, sigmoid(a * margin + b), calibration.weights)}
    test = sample_period(renders, "test", size, seed + 1)
    margin = cached_scores(graph, encoded, test.rows, folder / "scores-test.npz")
    labels = renders.labels[test.rows]
    report["test"] = {**ranking(labels, margin, test.weights),
                      **probabilities(labels, sigmoid(a * margin + b), test.weights),
                      "rows": len(test.rows), "frauds": int(labels.sum())}
    report["test_by_typology"] = by_typology(renders, test, margin)
    report["baselines_test"] = {
        "logistic_regression": ranking(labels, linear_baseline(renders, test.rows, seed),
                                       test.weights),
        "gradient_boosting_teacher": ranking(labels, teacher[test.rows], test.weights)}
    report["int8_against_fp32"] = against_fp32(renders, encoded, test, margin, folder, (a, b))
    return report


def against_fp32(renders: Renders, encoded: Encoded, test: Sample, int8: np.ndarray,
                 folder: Path, platt: tuple[float, float]) -> dict[str, float]:
    """What quantizing cost, on every test fraud and some thousand legitimate rows.

    A decision is flipped when the calibrated probabilities lie on either side of a threshold;
    the share is weighted to the true mix.
    """
    frauds = int(renders.labels[test.rows].sum())
    rows = test.rows[: frauds + 6000]
    weights = test.weights[: frauds + 6000]
    labels = renders.labels[rows]
    full = cached_scores(folder / "fp32.onnx", encoded, rows, folder / "scores-fp32.npz")
    ours = ranking(labels, int8[: len(rows)], weights)
    theirs = ranking(labels, full, weights)
    return {"rows": len(rows), "auc_fp32": theirs["auc"], "auc_int8": ours["auc"],
            "ap_fp32": theirs["average_precision"], "ap_int8": ours["average_precision"],
            "mean_margin_difference": float(np.abs(full - int8[: len(rows)]).mean()),
            **{f"flipped_at_{t:g}": flipped(full, int8[: len(rows)], platt, t, weights)
               for t in THRESHOLDS}}


def flipped(one: np.ndarray, other: np.ndarray, platt: tuple[float, float], threshold: float,
            weights: np.ndarray) -> float:
    """The weighted share of rows that two sets of margins put on either side of a threshold."""
    a, b = platt
    differ = (sigmoid(a * one + b) >= threshold) != (sigmoid(a * other + b) >= threshold)
    return float((differ * weights).sum() / weights.sum())
