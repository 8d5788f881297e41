"""The public card stream as Weir reads it, and the Handbook's folds.

Protocol: Le Borgne et al., *Reproducible Machine Learning for Credit Card Fraud Detection* (2022),
chapters 3 and 5. Labels are known 7 days after the payment; an account with a fraud known by then
(counted from the first day of the week that ends 8 days before the fold) is blocked and left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from weir_training.cardstream import DELAY, line

DELAY_DAYS = DELAY.days
FIRST_DAY = np.datetime64("2018-04-01")
TRAIN = ("2018-04-20", "2018-06-26")  # labels known before the first fold begins
FOLDS = tuple((np.datetime64("2018-07-04") + 7 * k, np.datetime64("2018-07-10") + 7 * k)
              for k in range(4))


@dataclass(frozen=True)
class Stream:
    """All payments in event order."""

    ids: list[str]
    days: np.ndarray  # datetime64[D]
    accounts: np.ndarray
    fraud: np.ndarray  # bool

    def period(self, first: str, last: str) -> np.ndarray:
        """Row numbers of whole days."""
        first, last = np.datetime64(first), np.datetime64(last)
        return np.flatnonzero((self.days >= first) & (self.days <= last))

    def fold(self, first: np.datetime64, last: np.datetime64) -> np.ndarray:
        """Rows of a test week without the accounts that are known to be compromised."""
        kept = []
        for day in np.arange(first, last + 1):
            known = self.fraud & (self.days >= first - 14) & (self.days <= day - DELAY_DAYS - 1)
            rows = np.flatnonzero(self.days == day)
            kept.append(rows[~np.isin(self.accounts[rows], self.accounts[known])])
        return np.concatenate(kept)


def convert(parquet: Path, work: Path) -> Stream:
    """Writes `warm.ndjson` (before the folds) and `test.ndjson`; payments of nothing are left out."""
    table = pd.read_parquet(parquet)
    table = table[table.amount > 0].sort_values(["timestamp", "tx_id"], kind="stable")
    days = table.timestamp.to_numpy().astype("datetime64[D]")
    test = (days >= FOLDS[0][0]) & (days <= FOLDS[-1][1])
    if not (work / "test.ndjson").exists():
        work.mkdir(parents=True, exist_ok=True)
        for name, part in (("warm", days < FOLDS[0][0]), ("test", test)):
            beside = work / f"{name}.tmp"
            with beside.open("w", encoding="utf-8") as out:
                out.writelines(line(row) for row in table[part].itertuples(index=False))
            beside.rename(work / f"{name}.ndjson")
    known = days <= FOLDS[-1][1]
    return Stream([f"t{i}" for i in table.tx_id[known]], days[known],
                  table.customer_id.to_numpy()[known], table.fraud.to_numpy()[known] == 1)
