"""Tabular teacher and baselines.

Gradient boosting on the same slot words (plus a linear model of the free text) learns from a few
thousand frauds faster than a transformer from scratch does. The transformer is trained on the
truth and on the teacher's out-of-fold opinion, whose folds are blocks of time: a campaign that
the teacher has seen must not vouch for itself.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.linear_model import LogisticRegression

from ..shared.renders import Renders
from .slots import SlotTable, free_text

NEGATIVES_PER_FRAUD = 40
BLOCKS = 4


def _subsample(rows: np.ndarray, labels: np.ndarray,
               rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """All frauds and some negatives of `rows`, with weights that restore the true share."""
    fraud, fair = rows[labels[rows] > 0.5], rows[labels[rows] < 0.5]
    count = min(len(fair), NEGATIVES_PER_FRAUD * max(len(fraud), 1))
    kept = rng.choice(fair, count, replace=False)
    weights = np.concatenate([np.ones(len(fraud)), np.full(count, len(fair) / count)])
    return np.concatenate([fraud, kept]), weights


class Teacher:
    """Gradient boosting over slots and a cross-fitted score of the free text."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.text = LogisticRegression(C=1.0, max_iter=60)
        self.trees = HistGradientBoostingClassifier(
            max_iter=250, learning_rate=0.06, max_leaf_nodes=24, min_samples_leaf=15,
            l2_regularization=5.0, max_features=0.5, random_state=seed)

    def fit(self, table: np.ndarray, words: object, labels: np.ndarray, rows: np.ndarray) -> None:
        """Fits on some rows; the text score that the trees see is always out of sample."""
        rng = np.random.default_rng(self.seed)
        used, weights = _subsample(rows, labels, rng)
        half = rng.random(len(used)) < 0.5
        scores = np.empty(len(used))
        for part in (half, ~half):
            model = LogisticRegression(C=1.0, max_iter=60)
            model.fit(words[used[part]], labels[used[part]], sample_weight=weights[part])
            scores[~part] = model.decision_function(words[used[~part]])
        self.text.fit(words[used], labels[used], sample_weight=weights)
        self.trees.fit(np.column_stack([table[used], scores]), labels[used], sample_weight=weights)

    def logits(self, table: np.ndarray, words: object, rows: np.ndarray) -> np.ndarray:
        """Log-odds of fraud for some rows."""
        features = np.column_stack([table[rows], self.text.decision_function(words[rows])])
        return self.trees.decision_function(features)


def teach(renders: Renders, seed: int, out: Path) -> np.ndarray:
    """Teacher log-odds for every row: out of fold in the training period, plain elsewhere."""
    if out.exists():
        with np.load(out) as saved:
            if saved["logits"].shape[0] == len(renders.texts):
                return saved["logits"]
    table = SlotTable(renders.texts, renders.slots).matrix(renders.texts)
    slots = renders.slots
    vectorizer = HashingVectorizer(n_features=2**16, ngram_range=(1, 2), norm="l2")
    words = vectorizer.transform(free_text(t, slots) for t in renders.texts)
    train = renders.rows("train")
    logits = np.full(len(renders.texts), -7.0, np.float32)
    blocks = np.array_split(train, BLOCKS)
    for k, held_out in enumerate(blocks):
        rest = np.concatenate([b for j, b in enumerate(blocks) if j != k])
        teacher = Teacher(seed + k)
        teacher.fit(table, words, renders.labels, rest)
        logits[held_out] = teacher.logits(table, words, held_out)
        print(f"teacher: block {k + 1} of {BLOCKS} done", flush=True)
    teacher = Teacher(seed + BLOCKS)
    teacher.fit(table, words, renders.labels, train)
    others = np.setdiff1d(np.arange(len(renders.texts)), train)
    logits[others] = teacher.logits(table, words, others)
    np.savez(out, logits=logits)
    return logits


def linear_baseline(renders: Renders, rows: np.ndarray, seed: int) -> np.ndarray:
    """Logistic regression on the bag of slot words, fitted on the training period."""
    slots = renders.slots
    heads = [" ".join(t.split(None, slots)[:slots]) for t in renders.texts]
    train, weights = _subsample(renders.rows("train"), renders.labels, np.random.default_rng(seed))
    vectorizer = CountVectorizer(token_pattern=r"\S+", binary=True, min_df=10)
    model = LogisticRegression(C=0.5, max_iter=300)
    model.fit(vectorizer.fit_transform(heads[r] for r in train), renders.labels[train],
              sample_weight=weights)
    return model.decision_function(vectorizer.transform(heads[r] for r in rows))
