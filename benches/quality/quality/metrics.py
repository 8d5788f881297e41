"""Figures of ranking and calibration."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

RECALLS = (0.5, 0.6, 0.65, 0.7, 0.72, 0.75)
SHARES = (0.01, 0.05, 0.10)


def card_precision(days: np.ndarray, accounts: np.ndarray, fraud: np.ndarray, score: np.ndarray,
                   top: int = 100) -> float:
    """Mean over days of the share of compromised accounts among the `top` highest-scored.

    An account counts once a day, by its highest score; once found it is not looked at again
    (Handbook, chapter 4, "Card Precision top-k").
    """
    found: set[int] = set()
    shares = []
    for day in np.unique(days):
        rows = (days == day) & ~np.isin(accounts, list(found))
        ranked = pd.DataFrame({"account": accounts[rows], "fraud": fraud[rows],
                               "score": score[rows]}).groupby("account").max()
        ranked = ranked.sort_values("score", ascending=False, kind="stable").head(top)
        hits = set(ranked.index[ranked.fraud])
        shares.append(len(hits) / top)
        found |= hits
    return float(np.mean(shares))


def recall_at(fraud: np.ndarray, score: np.ndarray, share: float) -> float:
    """Share of fraud within the highest-scored `share` of traffic."""
    count = int(len(score) * share)
    return float(fraud[np.argsort(-score, kind="stable")[:count]].sum() / fraud.sum())


def false_positives_at(fraud: np.ndarray, score: np.ndarray, recall: float) -> int:
    """Legitimate payments ranked no lower than the fraud that completes `recall`."""
    threshold = np.sort(score[fraud])[::-1][int(np.ceil(recall * fraud.sum())) - 1]
    return int((~fraud & (score >= threshold)).sum())


def calibration_error(fraud: np.ndarray, probability: np.ndarray, bins: int = 20) -> float:
    """Expected calibration error over bins of equal count (Naeini et al., 2015)."""
    order = np.array_split(np.argsort(probability, kind="stable"), bins)
    gaps = [len(b) * abs(fraud[b].mean() - probability[b].mean()) for b in order]
    return float(sum(gaps) / len(fraud))


def ranking(fraud: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """AUC, average precision, and recall at the shares."""
    return {"auc": float(roc_auc_score(fraud, score)),
            "average_precision": float(average_precision_score(fraud, score)),
            **{f"recall_at_{share:.0%}": recall_at(fraud, score, share) for share in SHARES}}


def bootstrap(accounts: np.ndarray, figure: Callable[[np.ndarray], float], times: int,
              seed: int = 7) -> tuple[float, float]:
    """A 95 % interval by drawing whole accounts with replacement; `figure` takes row numbers."""
    rng = np.random.default_rng(seed)
    order = np.argsort(accounts, kind="stable")
    starts = np.unique(accounts[order], return_index=True)[1]
    groups = np.split(order, starts[1:])
    seen = []
    for _ in range(times):
        drawn = rng.integers(len(groups), size=len(groups))
        seen.append(figure(np.concatenate([groups[g] for g in drawn])))
    low, high = np.percentile(seen, [2.5, 97.5])
    return float(low), float(high)
