"""Chooses which transactions become cases, and reads the rendered cases."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np

from ..shared.renders import BOUNDS, Renders, period_of, read_ndjson
from .reports import REASON_ORDER, Case


def select_ids(renders: Renders, suspicion: np.ndarray, honest: int, ordinary: int,
               seed: int) -> list[str]:
    """Every fraud, the honest transactions that look most like fraud, and some ordinary ones.

    `suspicion` is the gradient-boosting teacher's out-of-fold margin: what tier 1 escalates
    comes mostly from its top. The warm-up is left out.
    """
    rng = np.random.default_rng(seed)
    usable = renders.periods > 0
    fraud = np.flatnonzero(usable & (renders.labels > 0.5))
    fair = np.flatnonzero(usable & (renders.labels < 0.5))
    keen = fair[np.argsort(-suspicion[fair], kind="stable")[:honest]]
    rest = np.setdiff1d(fair, keen)
    chosen = np.sort(np.concatenate([fraud, keen, rng.choice(rest, ordinary, replace=False)]))
    return [renders.ids[row] for row in chosen]


def read_cases(path: Path, first_day: date) -> list[Case]:
    """The lines of `weir render --tier analysis`."""
    cases = []
    for line in read_ndjson(path):
        day = (date.fromisoformat(line["timestamp"][:10]) - first_day).days
        reasons = tuple(code for code in line["reasons"] if code in REASON_ORDER)
        cases.append(Case(line["id"], day, line["prompt"], float(line["score"]), reasons,
                          line["label"] == "fraud", typology_of(line)))
    return cases


# The public card stream numbers its kinds of fraud in `scenario` and has no typology.
_BY_SCENARIO = {"1": "stolen_card_spree", "2": "compromised_terminal", "3": "stolen_card_spree"}


def typology_of(line: dict[str, object]) -> str:
    """The pattern of a rendered fraud, "" for what is not fraud."""
    if line["label"] != "fraud":
        return ""
    return str(line.get("typology") or _BY_SCENARIO.get(str(line.get("scenario")), "unknown"))


def period_rows(cases: list[Case], index: int,
                bounds: tuple[int, int, int] = BOUNDS) -> np.ndarray:
    """Row numbers of one period (index into `PERIODS`)."""
    periods = period_of(np.array([case.day for case in cases]), bounds)
    return np.flatnonzero(periods == index)


def write_ids(path: Path, ids: list[str]) -> None:
    """One id a line."""
    path.write_text("\n".join(ids) + "\n", encoding="utf-8")


def dump(path: Path, value: object) -> None:
    """Readable JSON."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
