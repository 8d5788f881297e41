"""Command line of the simulator."""

from __future__ import annotations

import argparse
import gc
import itertools
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from .model import DAY, Event
from .simulation import Config, simulate
from .typologies import TYPOLOGIES
from .writer import LineWriter, write

_DESCRIPTION = """\
Simulates the payments of account holders over months of event time and writes them
as NDJSON: one labelled transaction a line, in event order.

Account holders have habits (home country, payday, favourite shops, devices, landlords,
friends, direct debits). A small share of what happens is fraud of nine named typologies;
some honest payments look unusual too (travel, a new phone, buying a house)."""

_EPILOG = """\
Each line:
  {"transaction": {...},             what a server may be sent, nothing more
   "label": "fraud"|"legitimate",    the truth
   "typology": "card_testing",       frauds only
   "label_at": "2026-02-03T...Z",    frauds only: when the truth becomes known
   "scenario": "holiday_travel"}     honest look-alikes only

Examples:
  # Half a year of 3,000 accounts (about 600,000 transactions):
  python -m weir_training.simulator --seed 7 --accounts 3000 --days 180 --out work/stream.ndjson

  # A small world whose first 30 days go to a file of their own:
  python -m weir_training.simulator --seed 2026 --accounts 150 --days 48 \\
      --history-days 30 --history-out history.ndjson --out payments.ndjson

The same options and seed give the same bytes."""


def _midnight(text: str) -> int:
    day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    return int(day.timestamp())


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    p = argparse.ArgumentParser(
        prog="python -m weir_training.simulator",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--out", type=Path, required=True, metavar="FILE.ndjson", help="where to write")
    p.add_argument(
        "--seed",
        type=int,
        default=7,
        help="everything random follows from it (default %(default)s)",
    )
    p.add_argument(
        "--start",
        type=_midnight,
        default=_midnight("2026-01-01"),
        metavar="DATE",
        help="first day, UTC, YYYY-MM-DD (default 2026-01-01)",
    )
    p.add_argument("--days", type=int, default=180, help="days of event time (default %(default)s)")
    p.add_argument(
        "--accounts",
        type=int,
        default=3000,
        help="account holders; each makes a little "
        "more than one transaction a day (default %(default)s)",
    )
    p.add_argument(
        "--fraud-rate",
        type=float,
        default=0.008,
        metavar="SHARE",
        help="aimed share of fraudulent transactions, 0 to 0.2 (default %(default)s)",
    )
    p.add_argument(
        "--label-delay",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="scales how long frauds stay unknown: 1 means days to weeks by typology, "
        "0 at once (default %(default)s)",
    )
    p.add_argument(
        "--withhold",
        action="append",
        default=[],
        choices=TYPOLOGIES,
        metavar="TYPOLOGY",
        help="no fraud of this kind (before --withhold-until), to learn what a model makes of one "
        "it was never shown; may be given again",
    )
    p.add_argument(
        "--withhold-until",
        type=_midnight,
        metavar="DATE",
        help="from this day on, UTC, what was withheld happens",
    )
    p.add_argument(
        "--history-days",
        type=int,
        default=0,
        metavar="N",
        help="put the first N days into --history-out instead of --out",
    )
    p.add_argument("--history-out", type=Path, metavar="FILE.ndjson", help="see --history-days")
    p.add_argument("--limit", type=int, metavar="N", help="write at most N transactions to --out")
    p.add_argument("--quiet", action="store_true", help="no summary on standard error")
    return p


def _summary(events: list[Event], seconds: float) -> str:
    kinds = Counter(e.typology for e in events if e.typology)
    stories = Counter(e.scenario for e in events if e.scenario)
    total = max(len(events), 1)
    lines = [
        f"{len(events)} transactions in {seconds:.1f} s ({len(events) / seconds:.0f}/s), "
        f"{sum(kinds.values())} frauds ({sum(kinds.values()) / total:.3%})"
    ]
    lines += [f"  {name:30} {count:7} ({count / total:.3%})" for name, count in kinds.most_common()]
    lines.append("honest look-alikes:")
    lines += [f"  {name:30} {count:7}" for name, count in stories.most_common()]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    p = parser()
    args = p.parse_args(argv)
    if not 0 <= args.fraud_rate <= 0.2:
        p.error("--fraud-rate must be between 0 and 0.2")
    if args.days < 1 or args.accounts < 1 or args.label_delay < 0:
        p.error("--days and --accounts must be at least 1, --label-delay at least 0")
    if bool(args.history_days) != bool(args.history_out):
        p.error("--history-days and --history-out go together")
    if args.withhold_until is not None and not args.withhold:
        p.error("--withhold-until needs --withhold")
    gc.disable()  # one short run that keeps all it makes: collecting only costs time
    begin = time.perf_counter()
    events = simulate(
        Config(args.seed, args.start, args.days, args.accounts, args.fraud_rate, args.label_delay,
               tuple(args.withhold), args.withhold_until)
    )
    border = args.start + args.history_days * DAY
    history = list(itertools.takewhile(lambda e: e.time < border, events))
    rest = events[len(history) :][: args.limit]
    writer = LineWriter(args.seed)
    for path, part in ((args.history_out, history), (args.out, rest)):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", encoding="utf-8", newline="\n") as out:
                write(part, writer, out)
    if not args.quiet:
        print(_summary(history + rest, time.perf_counter() - begin), file=sys.stderr)
    return 0
