#!/usr/bin/env python3
"""Converts a public simulated card stream to Weir's NDJSON.

Reads a Parquet file with the columns tx_id, timestamp, customer_id, terminal_id, amount, fraud
(the Fraud Detection Handbook's simulated data have them), and writes, in event order:

    OUT/history.ndjson   the first DAYS days, which only warm velocity
    OUT/screen.ndjson    the day after

A fraud's label becomes known DELAY days after the transaction. Needs pandas and pyarrow.
"""

import argparse
import json
from pathlib import Path

import pandas

CURRENCY = "EUR"


def line(row, delay: pandas.Timedelta) -> str:
    """One transaction with its label, as a line of NDJSON."""
    transaction = {
        "id": f"tx-{row.tx_id}",
        "timestamp": row.timestamp.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "amount": f"{row.amount:.2f}",
        "currency": CURRENCY,
        "type": "card_payment",
        "channel": "pos",
        "account": {"id": f"customer-{row.customer_id}"},
        "terminal": {"id": f"terminal-{row.terminal_id}"},
    }
    case = {"transaction": transaction, "label": "fraud" if row.fraud else "legitimate"}
    if row.fraud:
        case["label_at"] = (row.timestamp + delay).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps(case, separators=(",", ":")) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the Parquet file")
    parser.add_argument("--out", type=Path, default=Path("target/cardstream"))
    parser.add_argument("--days", type=int, default=90, help="days that only warm velocity")
    parser.add_argument("--delay", type=int, default=7, help="days until a label is known")
    args = parser.parse_args()

    frame = pandas.read_parquet(args.data).sort_values(["timestamp", "tx_id"])
    # Amounts of zero are in the data; a payment of nothing is none.
    frame = frame[frame.amount > 0]
    start = frame.timestamp.min().normalize()
    cut, end = (start + pandas.Timedelta(days=args.days + n) for n in (0, 1))
    delay = pandas.Timedelta(days=args.delay)
    args.out.mkdir(parents=True, exist_ok=True)
    parts = {
        "history": frame[frame.timestamp < cut],
        "screen": frame[(frame.timestamp >= cut) & (frame.timestamp < end)],
    }
    for name, part in parts.items():
        with open(args.out / f"{name}.ndjson", "w", encoding="utf-8") as file:
            file.writelines(line(row, delay) for row in part.itertuples(index=False))
        print(f"{name}: {len(part)} transactions, {int(part.fraud.sum())} frauds")


if __name__ == "__main__":
    main()
