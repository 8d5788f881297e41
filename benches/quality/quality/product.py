"""Runs the product and reads what it says."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

WEIR = Path("target/release/weir")
SCREENING = Path("models/screening-cardstream")
ANALYSIS = Path("models/analysis-cardstream")
_PLACE = re.compile(r"^([a-z]+)(\d+|x)$")


@dataclass(frozen=True)
class Scores:
    """What `weir screen` said of each payment of a file, in order."""

    ids: list[str]
    screening: np.ndarray  # tier 1's calibrated probability
    analysis: np.ndarray  # tier 2's, NaN where tier 1 cleared
    reported: np.ndarray  # bool: a complete report


def _environment() -> dict[str, str]:
    return {**os.environ, "WEIR_SCREENING__PACKAGE": str(SCREENING),
            "WEIR_ANALYSIS__PACKAGE": str(ANALYSIS)}


def forget_stale(work: Path) -> None:
    """Removes what an earlier run left in `work` by another binary or other packages."""
    parts = [WEIR, SCREENING / "package.toml", ANALYSIS / "package.toml"]
    stamp = hashlib.sha256(b"".join(hashlib.sha256(p.read_bytes()).digest() for p in parts))
    path = work / "stamp"
    if not path.exists() or path.read_text() != stamp.hexdigest():
        for name in ("decisions.ndjson", "features.npz", "compare.log"):
            (work / name).unlink(missing_ok=True)
        path.write_text(stamp.hexdigest())


def screen(work: Path) -> Scores:
    """Screens `test.ndjson` after `warm.ndjson`, once; the decisions stay in `work`."""
    out = work / "decisions.ndjson"
    if not out.exists():
        beside = work / "decisions.tmp"
        with (work / "screen.log").open("w") as log:
            subprocess.run([WEIR, "screen", "--warm", work / "warm.ndjson", "--output", beside,
                            work / "test.ndjson"], check=True, env=_environment(), stdout=log)
        beside.rename(out)
    ids, screening, analysis, reported = [], [], [], []
    with out.open(encoding="utf-8") as lines:
        for line in lines:
            said = json.loads(line)
            found = said.get("analysis") or {}
            ids.append(said["transaction_id"])
            screening.append(said["screening"]["score"])
            analysis.append(found.get("score", np.nan))
            reported.append(found.get("report") == "complete")
    return Scores(ids, np.array(screening), np.array(analysis, np.float64), np.array(reported))


def features(work: Path) -> tuple[list[str], np.ndarray]:
    """Ids of all payments, and tier 1's slots as numbers `[n, slots]`, by `weir render`."""
    cache = work / "features.npz"
    if not cache.exists():
        command = [WEIR, "render", "--tier", "screening", "--screening-template",
                   SCREENING / "input.j2", work / "warm.ndjson", work / "test.ndjson"]
        ids, rows = [], []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
            for line in run.stdout:
                said = json.loads(line)
                ids.append(said["id"])
                words = (_PLACE.match(word).group(2) for word in said["text"].split())
                rows.append([np.nan if w == "x" else float(w) for w in words])
        if run.returncode:
            raise SystemExit(f"weir render failed with {run.returncode}")
        np.savez(cache, ids=np.array(ids), table=np.array(rows, np.float32))
    with np.load(cache) as found:
        return found["ids"].tolist(), found["table"]


def compare(work: Path, count: int) -> str:
    """Times both tiers, and tier 2 alone, on some of the first 4,000 test payments, in turn."""
    out = work / "compare.log"
    if not out.exists():
        day = work / "day.ndjson"
        with (work / "test.ndjson").open() as lines, day.open("w") as some:
            some.writelines(line for line, _ in zip(lines, range(4000), strict=False))
        said = subprocess.run([WEIR, "screen", "--warm", work / "warm.ndjson", "--compare",
                               str(count), day], check=True, env=_environment(),
                              capture_output=True, text=True).stdout
        out.write_text(said)
    return out.read_text()
