"""`python -m weir_training.packaging.bench RESULTS.json PACKAGE...`: the bench's figures into model cards.

Takes what `make bench-quality` wrote and replaces the section of that name in each package's
`MODEL_CARD.md`, or adds it before the licence. Cards are not part of a package's hash.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any

HEADING = "## What the quality bench says"
_SECTION = re.compile(rf"{re.escape(HEADING)}\n.*?(?=\n## |\nLicence:|\Z)", re.DOTALL)


def section(found: dict[str, Any]) -> str:
    """The section's Markdown, from the bench's JSON."""
    protocol, escalated = found["protocol"], found["escalated"]
    low, high = found["tier_1_average_precision_interval"]
    models = "\n".join(
        f"| {name} | {m['auc']:.4f} | {m['average_precision']:.4f} | "
        f"{m['card_precision_at_100']:.4f} | {m['recall_at_1%']:.3f} |"
        for name, m in found["mean"].items())
    recalls = "\n".join(
        f"| {e['recall']:.2f} | {e['tier_1']:,} | {e['cascade']:,} | {e['reduction']:.0%} "
        f"({e['interval'][0]:.0%} to {e['interval'][1]:.0%}) |" for e in found["equal_recall"])
    return f"""{HEADING}
`make bench-quality`, by the Handbook's protocol: {len(protocol['folds'])} weeks from
{protocol['folds'][0]}, {protocol['rows']:,} payments, {protocol['frauds']:,} frauds; means over the weeks.

| | AUC | average precision | CP@100 | recall at 1 % |
|---|---|---|---|---|
{models}

Tier 1's average precision over all weeks: 95 % interval {low:.4f} to {high:.4f}; expected
calibration error {found['calibration_error']:.5f}. False positives at equal recall,
{escalated['share']:.2%} of payments escalated:

| recall | tier 1 alone | cascade | fewer (95 % interval) |
|---|---|---|---|
{recalls}
"""


def put(card: str, told: str) -> str:
    """A card with this section, in place of the one it had."""
    if _SECTION.search(card):
        return _SECTION.sub(lambda _: told, card, count=1)
    head, licence, tail = card.partition("\nLicence:")
    return f"{head.rstrip()}\n\n{told}{licence}{tail}"


def main() -> None:
    """Rewrites the cards."""
    parser = argparse.ArgumentParser(prog="python -m weir_training.packaging.bench",
                                     description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("packages", type=Path, nargs="+")
    args = parser.parse_args()
    told = section(json.loads(args.results.read_text(encoding="utf-8")))
    for package in args.packages:
        card = package / "MODEL_CARD.md"
        beside = package / "MODEL_CARD.md.tmp"
        beside.write_text(put(card.read_text(encoding="utf-8"), told), encoding="utf-8")
        os.replace(beside, card)
        print(f"{card} has the figures of {args.results}")


if __name__ == "__main__":
    main()
