"""Ranking and calibration metrics, all with importance weights."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from sklearn.metrics import average_precision_score, roc_auc_score

SHARES = (0.01, 0.02, 0.05, 0.10)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(x, np.float64)))


def margins(logits: np.ndarray, fraud: int = 1) -> np.ndarray:
    """z_fraud - logsumexp(z_others) of `[n, labels]` logits, in float64."""
    z = np.asarray(logits, np.float64)
    others = np.delete(z, fraud, axis=1)
    top = others.max(axis=1, keepdims=True)
    return z[:, fraud] - (top[:, 0] + np.log(np.exp(others - top).sum(axis=1)))


def recall_at(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray, share: float) -> float:
    """Share of fraud among the `share` of (weighted) traffic with the highest scores."""
    order = np.argsort(-scores, kind="stable")
    reached = np.cumsum(weights[order]) <= share * weights.sum()
    fraud = labels[order] * weights[order]
    return float(fraud[reached].sum() / max(fraud.sum(), 1e-12))


def calibration_error(labels: np.ndarray, p: np.ndarray, weights: np.ndarray) -> float:
    """Expected calibration error over 15 groups of equal predicted mass."""
    order = np.argsort(p, kind="stable")
    mass = np.cumsum(p[order] * weights[order])
    groups = np.minimum((15 * mass / max(mass[-1], 1e-12)).astype(int), 14)
    gap = 0.0
    for group in range(15):
        rows = order[groups == group]
        if rows.size:
            gap += abs(float(((p[rows] - labels[rows]) * weights[rows]).sum()))
    return gap / float(weights.sum())


def ranking(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """AUC, average precision and recall at fixed escalation shares."""
    result = {
        "auc": float(roc_auc_score(labels, scores, sample_weight=weights)),
        "average_precision": float(average_precision_score(labels, scores, sample_weight=weights)),
    }
    for share in SHARES:
        result[f"recall_at_{share * 100:g}pct"] = recall_at(labels, scores, weights, share)
    return result


def probabilities(labels: np.ndarray, p: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Log loss, Brier score, calibration error and the mean against the truth."""
    clipped = np.clip(p, 1e-9, 1 - 1e-9)
    total = weights.sum()
    loss = -(labels * np.log(clipped) + (1 - labels) * np.log1p(-clipped))
    return {
        "log_loss": float((loss * weights).sum() / total),
        "brier": float(((p - labels) ** 2 * weights).sum() / total),
        "calibration_error": calibration_error(labels, p, weights),
        "mean_probability": float((p * weights).sum() / total),
        "fraud_rate": float((labels * weights).sum() / total),
    }


def fit_platt(margin: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Slope and intercept (Platt, 1999) by weighted maximum likelihood with his soft targets."""
    positive = float((labels * weights).sum())
    negative = float(((1 - labels) * weights).sum())
    target = np.where(labels > 0.5, (positive + 1) / (positive + 2), 1 / (negative + 2))
    weight = weights / weights.sum()

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        z = x[0] * margin + x[1]
        loss = np.logaddexp(0.0, z) - target * z
        gap = (sigmoid(z) - target) * weight
        return float((loss * weight).sum()), np.array([(gap * margin).sum(), gap.sum()])

    best = minimize(objective, np.array([1.0, 0.0]), jac=True, method="BFGS")
    return float(best.x[0]), float(best.x[1])
