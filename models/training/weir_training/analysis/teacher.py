"""The teacher of the verdict: gradient boosting on the prompt's own bucket words and free text.

As for the screening model, it learns from few thousand frauds faster than a decoder from scratch
does, and its opinion on the training period is out of fold, the folds being blocks of time.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer

from ..screening.teacher import BLOCKS, Teacher

# What `letters` of the templates writes: a name, `_`, one or two letters or `none`.
BUCKET = re.compile(r"(?<![^\s])([a-z]+)_([a-z]{1,2}|none)(?![^\s])")


def _number(letters: str) -> float:
    if letters == "none":
        return np.nan
    first, *rest = (ord(c) - ord("a") for c in letters)
    return float(first * 26 + rest[0] if rest else first)


def bucket_table(prompts: list[str]) -> tuple[np.ndarray, list[str]]:
    """`[n, columns]` float32 and the columns' names.

    A name that occurs several times in a prompt (one for each recent transaction, say) gives a
    column for each place; where a prompt lacks one, or says `none`, it is NaN.
    """
    columns: dict[str, int] = {}
    found: list[dict[int, float]] = []
    for prompt in prompts:
        seen: dict[str, int] = {}
        row: dict[int, float] = {}
        for name, letters in BUCKET.findall(prompt):
            place = seen[name] = seen.get(name, 0) + 1
            row[columns.setdefault(f"{name}.{place}", len(columns))] = _number(letters)
        found.append(row)
    table = np.full((len(prompts), len(columns)), np.nan, np.float32)
    for index, row in enumerate(found):
        table[index, list(row)] = list(row.values())
    return table, list(columns)


def plain_words(prompt: str) -> str:
    """The prompt without its bucket words."""
    return BUCKET.sub(" ", prompt)


def teach(prompts: list[str], labels: np.ndarray, train: np.ndarray, seed: int,
          out: Path) -> np.ndarray:
    """Log-odds of fraud, float64 `[n]`: out of fold for the rows `train` (in order of time)."""
    if out.exists():
        with np.load(out) as saved:
            if len(saved["logits"]) == len(prompts):
                return saved["logits"]
    table, columns = bucket_table(prompts)
    print(f"verdict teacher: {len(columns)} columns", flush=True)
    vectorizer = HashingVectorizer(n_features=2**16, ngram_range=(1, 2), norm="l2",
                                   token_pattern=r"[^\s«»]+")
    words = vectorizer.transform(plain_words(prompt) for prompt in prompts)
    logits = np.zeros(len(prompts))
    blocks = np.array_split(train, BLOCKS)
    for k, held_out in enumerate(blocks):
        rest = np.concatenate([b for j, b in enumerate(blocks) if j != k])
        teacher = Teacher(seed + k)
        teacher.fit(table, words, labels, rest)
        logits[held_out] = teacher.logits(table, words, held_out)
        print(f"verdict teacher: block {k + 1} of {BLOCKS} done", flush=True)
    teacher = Teacher(seed + BLOCKS)
    teacher.fit(table, words, labels, train)
    others = np.setdiff1d(np.arange(len(prompts)), train)
    if len(others):
        logits[others] = teacher.logits(table, words, others)
    np.savez(out, logits=logits)
    return logits
