"""Which transactions an epoch trains on, and with what weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Epoch:
    """Batches of row numbers, and a loss weight for every row of the data."""

    batches: list[np.ndarray]
    weights: np.ndarray


class Sampler:
    """All frauds and a fresh draw of negatives per epoch.

    Half of the negatives are drawn evenly, half in favour of those that look like fraud: the
    honest look-alikes and what the teacher finds suspicious. A negative's weight undoes the
    favour, so the model still learns the odds of an even draw (weights stay in 0..2).
    """

    def __init__(self, labels: np.ndarray, suspicion: np.ndarray, look_alike: np.ndarray,
                 rows: np.ndarray, negatives_per_fraud: float, seed: int) -> None:
        self.frauds = rows[labels[rows] > 0.5]
        self.fair = rows[labels[rows] < 0.5]
        self.count = min(int(len(self.frauds) * negatives_per_fraud), len(self.fair))
        self.seed, self.total = seed, len(labels)
        appeal = np.exp(0.5 * np.clip(suspicion[self.fair], -9, 2)) * (1 + look_alike[self.fair])
        self.appeal = appeal / appeal.sum()

    @property
    def prior_shift(self) -> float:
        """What the draw adds to the log-odds of fraud."""
        return float(np.log(len(self.fair) / self.count))

    def epoch(self, number: int, lengths: np.ndarray, batch_size: int) -> Epoch:
        """The batches of one epoch: rows of near-equal length together, batches shuffled."""
        rng = np.random.default_rng((self.seed, number))
        even = rng.choice(self.fair, self.count // 2, replace=False)
        keen = rng.choice(self.fair, self.count - len(even), replace=True, p=self.appeal)
        weights = np.ones(self.total, np.float32)
        density = 0.5 + 0.5 * self.appeal * len(self.fair)
        weights[self.fair] = (1.0 / density).astype(np.float32)
        rows = np.concatenate([self.frauds, even, keen])
        rng.shuffle(rows)
        batches: list[np.ndarray] = []
        stretch = 40 * batch_size
        for start in range(0, len(rows), stretch):
            part = rows[start : start + stretch]
            part = part[np.argsort(lengths[part], kind="stable")]
            batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
        rng.shuffle(batches)
        return Epoch(batches, weights)
