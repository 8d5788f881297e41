"""Reads what `weir render` prints, and splits it by event time.

Python never re-implements a feature or a template: the product's own binary renders what a
model sees, and training reads those lines.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

BOUNDS = (10, 120, 150)  # days from the first at which train, validation and test begin
_MANY = 600  # more distinct words than this at one place: free text has begun
PERIODS = ("warm-up", "train", "validation", "test")


def read_ndjson(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file with one JSON object a line."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def bounds(text: str) -> tuple[int, int, int]:
    """Reads `--bounds`."""
    days = tuple(int(part) for part in text.split(","))
    if len(days) != 3 or sorted(days) != list(days):
        raise argparse.ArgumentTypeError("three days in rising order, such as 10,120,150")
    return days


def period_of(days: np.ndarray, bounds: tuple[int, int, int] = BOUNDS) -> np.ndarray:
    """Maps days since the stream's first day to an index into `PERIODS`."""
    return np.digitize(days, bounds).astype(np.int8)


@dataclass(frozen=True)
class Renders:
    """Rendered screening inputs, in event order, one entry per transaction."""

    ids: list[str]
    texts: list[str]
    days: np.ndarray  # int32: days since the first line's day
    labels: np.ndarray  # float32: 1 for fraud
    typologies: list[str]  # "" for what is not fraud
    scenarios: list[str]  # "" unless an honest look-alike
    bounds: tuple[int, int, int] = BOUNDS

    @property
    def periods(self) -> np.ndarray:
        """Index into `PERIODS` for each transaction."""
        return period_of(self.days, self.bounds)

    @cached_property
    def slots(self) -> int:
        """How many leading words are fixed slots."""
        return slot_count(self.texts)

    def rows(self, period: str) -> np.ndarray:
        """Row numbers of one period."""
        return np.flatnonzero(self.periods == PERIODS.index(period))


def slot_count(texts: list[str]) -> int:
    """How many leading words of every text are fixed slots (bucket words)."""
    sample = [text.split() for text in texts[:: max(len(texts) // 20_000, 1)]]
    place = 0
    while all(len(words) > place for words in sample):
        distinct = Counter(words[place] for words in sample)
        if len(distinct) > _MANY or not all(w.isalnum() for w in distinct):
            break
        place += 1
    return place


def load_screening(path: Path, limit: int | None = None,
                   bounds: tuple[int, int, int] = BOUNDS) -> Renders:
    """Reads `weir render --tier screening` output."""
    ids, texts, days, labels, typologies, scenarios = [], [], [], [], [], []
    first: int | None = None
    ordinals: dict[str, int] = {}
    for row in read_ndjson(path):
        stamp = row["timestamp"][:10]
        day = ordinals.get(stamp)
        if day is None:
            day = ordinals[stamp] = date.fromisoformat(stamp).toordinal()
        first = day if first is None else first
        ids.append(row["id"])
        texts.append(row["text"])
        days.append(day - first)
        labels.append(1.0 if row["label"] == "fraud" else 0.0)
        scenario = row.get("scenario") or ""
        numbered = f"scenario {scenario}" if scenario and labels[-1] > 0.5 else ""
        typologies.append(row.get("typology") or numbered)
        scenarios.append(scenario)
        if limit and len(ids) >= limit:
            break
    return Renders(ids, texts, np.array(days, np.int32), np.array(labels, np.float32),
                   typologies, scenarios, bounds)
