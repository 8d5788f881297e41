"""What else could rank the same payments: models of the same features."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

NEGATIVES = 250_000


def train_and_score(table: np.ndarray, fraud: np.ndarray, train: np.ndarray, seed: int = 7,
                    negatives: int = NEGATIVES) -> dict[str, np.ndarray]:
    """Log-odds of all rows from models fitted on `train`, negatives drawn evenly and weighted."""
    rng = np.random.default_rng(seed)
    hits, fair = train[fraud[train]], train[~fraud[train]]
    kept = rng.choice(fair, min(negatives, len(fair)), replace=False)
    rows = np.concatenate([hits, kept])
    weights = np.where(fraud[rows], 1.0, len(fair) / len(kept))
    # A column for each bucket: a linear model of bucket numbers would only know "more is worse".
    buckets = np.nan_to_num(table, nan=-1.0)
    linear = make_pipeline(OneHotEncoder(min_frequency=10, handle_unknown="infrequent_if_exist"),
                           LogisticRegression(C=0.5, max_iter=300))
    linear.fit(buckets[rows], fraud[rows], logisticregression__sample_weight=weights)
    trees = HistGradientBoostingClassifier(
        max_iter=250, learning_rate=0.06, max_leaf_nodes=24, min_samples_leaf=15,
        l2_regularization=5.0, max_features=0.5, random_state=seed)
    trees.fit(table[rows], fraud[rows], sample_weight=weights)
    return {"logistic regression": linear.decision_function(buckets),
            "gradient boosting": trees.decision_function(table)}
