"""What the trainer reads: token ids, labels and the teacher's opinion, in one portable file.

`prepare` writes it beside the tokenizer, so that training can run on another machine (one with a
GPU, say) that has neither the stream nor its renders.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..shared.renders import Renders
from .evaluate import sample_period
from .tokens import Encoded

GLANCE = 5000


@dataclass(frozen=True)
class Dataset:
    """Training rows and some validation rows to look at; rows are numbered within the file."""

    encoded: Encoded
    labels: np.ndarray  # float32 [n]: 1 for fraud
    look_alike: np.ndarray  # float32 [n]: 1 for an honest transaction that resembles fraud
    teacher: np.ndarray  # float32 [n]: the teacher's log-odds, out of fold
    train: np.ndarray  # int64: rows to train on
    glance: np.ndarray  # int64: validation rows

    def save(self, path: Path) -> None:
        """Writes a compressed `.npz`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            path, flat=self.encoded.flat, lengths=self.encoded.lengths, labels=self.labels,
            look_alike=self.look_alike, teacher=self.teacher.astype(np.float16),
            train=self.train, glance=self.glance)

    @classmethod
    def load(cls, path: Path) -> Dataset:
        """Reads what `save` wrote."""
        with np.load(path) as found:
            offsets = np.concatenate([[0], np.cumsum(found["lengths"].astype(np.int64))])
            return cls(Encoded(found["flat"], offsets), found["labels"], found["look_alike"],
                       found["teacher"].astype(np.float32), found["train"], found["glance"])


def prepare(renders: Renders, encoded: Encoded, teacher: np.ndarray, most_legitimate: int,
            seed: int) -> Dataset:
    """All frauds of the training period and at most `most_legitimate` of its other rows.

    What is left out is drawn evenly, so that the odds are off by the kept share alone.
    """
    train = renders.rows("train")
    fraud, fair = train[renders.labels[train] > 0.5], train[renders.labels[train] < 0.5]
    if len(fair) > most_legitimate:
        rng = np.random.default_rng(seed)
        fair = rng.choice(fair, most_legitimate, replace=False)
    glance = sample_period(renders, "validation", GLANCE, seed).rows
    rows = np.concatenate([np.sort(np.concatenate([fraud, fair])), glance])
    count = len(rows) - len(glance)
    look_alike = np.array([bool(renders.scenarios[r]) and renders.labels[r] < 0.5 for r in rows],
                          np.float32)
    return Dataset(encoded.pick(rows), renders.labels[rows], look_alike,
                   teacher[rows].astype(np.float32), np.arange(count), np.arange(count, len(rows)))
