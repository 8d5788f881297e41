"""What the trainer of the decoder reads: token ids and the belief in fraud, in one portable file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Dataset:
    """Training cases: prompt and report as token ids, and how likely the case is fraud."""

    flat: np.ndarray  # uint16: the ids of all cases
    lengths: np.ndarray  # int32 [n]
    starts: np.ndarray  # int32 [n]: where each report begins
    belief: np.ndarray  # float32 [n]: the probability of fraud that the verdict is taught
    frauds: np.ndarray  # bool [n]
    prefix: int  # tokens of a report before its verdict
    heads: np.ndarray  # int64 [3]: the first token of fraud, suspicious, legitimate
    vocabulary: int

    def table(self) -> np.ndarray:
        """All ids, int32 `[n, longest]`, padded with 0."""
        found = np.zeros((len(self.lengths), int(self.lengths.max())), np.int32)
        found[np.arange(found.shape[1]) < self.lengths[:, None]] = self.flat
        return found

    def save(self, path: Path) -> None:
        """Writes a compressed `.npz`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **self.__dict__)

    @classmethod
    def load(cls, path: Path) -> Dataset:
        """Reads what `save` wrote."""
        with np.load(path) as found:
            return cls(**{name: found[name][()] for name in cls.__dataclass_fields__})


def verdict_shares(belief: np.ndarray) -> np.ndarray:
    """Shares of fraud, suspicious and legitimate, `[n, 3]`, for a probability of fraud.

    `(p^2, 2p(1-p), (1-p)^2)`: two independent looks that each say fraud with probability p.
    Fraud plus half of suspicious is p again, which is how the margin of a verdict is read.
    """
    p = np.asarray(belief, np.float64)
    return np.stack([p * p, 2 * p * (1 - p), (1 - p) ** 2], axis=-1)
