"""SVG plots."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from sklearn.metrics import precision_recall_curve

from .metrics import false_positives_at
from .stream import Stream

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen first)

matplotlib.rcParams.update({"svg.hashsalt": "weir", "figure.figsize": (6.4, 4.2),
                            "axes.grid": True, "grid.alpha": 0.3})


def _save(folder: Path, name: str) -> None:
    plt.tight_layout()
    plt.savefig(folder / f"cardstream-{name}.svg", metadata={"Date": None})
    plt.close()


def draw(folder: Path, stream: Stream, rows: np.ndarray, scores: dict[str, np.ndarray]) -> None:
    """Precision and recall, recall by share escalated, reliability, false positives."""
    fraud = stream.fraud[rows]
    shown = {name: score[rows] for name, score in scores.items() if name != "oracle"}
    for name, score in shown.items():
        precision, recall, _ = precision_recall_curve(fraud, score)
        plt.plot(recall, precision, label=name)
    plt.xlabel("recall"), plt.ylabel("precision"), plt.legend()
    _save(folder, "precision-recall")
    for name, score in shown.items():
        hits = np.cumsum(fraud[np.argsort(-score, kind="stable")]) / fraud.sum()
        plt.semilogx(np.arange(1, len(hits) + 1) / len(hits), hits, label=name)
    plt.xlim(1e-3, 1), plt.xlabel("share of payments looked at"), plt.ylabel("recall"), plt.legend()
    _save(folder, "recall-by-share")
    recalls = np.linspace(0.4, 0.78, 60)
    for name, score in shown.items():
        plt.semilogy(recalls, [max(false_positives_at(fraud, score, r), 1) for r in recalls],
                     label=name)
    plt.xlabel("recall"), plt.ylabel("false positives in four weeks"), plt.legend()
    _save(folder, "false-positives")
    probability = shown["tier 1 (INT8)"]
    bins = np.array_split(np.argsort(probability, kind="stable"), 200)
    plt.loglog([probability[b].mean() for b in bins], [max(fraud[b].mean(), 1e-4) for b in bins], ".")
    plt.plot([1e-4, 1], [1e-4, 1], "k:"), plt.xlabel("mean score"), plt.ylabel("share of fraud")
    _save(folder, "reliability")
