"""Reads the fixed bucket words back out of a rendered text, for baselines and the teacher."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

_WORD = re.compile(r"^(.*?)(\d+)$")


class SlotTable:
    """Numbers from slot words: the trailing number of a word, or a category's frequency rank."""

    def __init__(self, texts: list[str], slots: int) -> None:
        self.slots = slots
        sample = texts[:: max(len(texts) // 50_000, 1)]
        seen = [Counter() for _ in range(self.slots)]
        for text in sample:
            for place, word in enumerate(text.split(None, self.slots)[: self.slots]):
                seen[place][word] += 1
        self.values: list[dict[str, float]] = [
            {word: self._number(word, rank) for rank, (word, _) in enumerate(c.most_common())}
            for c in seen]

    @staticmethod
    def _number(word: str, rank: int) -> float:
        match = _WORD.match(word)
        return float(match.group(2)) if match else -1.0 - min(rank, 200)

    def matrix(self, texts: list[str]) -> np.ndarray:
        """`[n, slots]` float32; a word never seen is NaN unless it ends in a number."""
        out = np.full((len(texts), self.slots), np.nan, np.float32)
        for row, text in enumerate(texts):
            for place, word in enumerate(text.split(None, self.slots)[: self.slots]):
                value = self.values[place].get(word)
                if value is None and (match := _WORD.match(word)):
                    value = float(match.group(2))
                if value is not None:
                    out[row, place] = value
        return out


def free_text(text: str, slots: int) -> str:
    """What follows the fixed slots: merchant name and memo."""
    parts = text.split(None, slots)
    return parts[slots] if len(parts) > slots else ""
