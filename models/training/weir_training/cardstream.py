"""`python -m weir_training.cardstream FILE.parquet OUT.ndjson`: the public card stream as Weir reads it.

The Fraud Detection Handbook's simulated payments: `tx_id`, `timestamp`, `customer_id`,
`terminal_id`, `amount`, `fraud`, and `scenario` if it is there. Labels are known 7 days after the payment.
"""

from __future__ import annotations

import argparse
import json
import os
from datetime import timedelta
from pathlib import Path

import pandas as pd

DELAY = timedelta(days=7)


def line(row: object) -> str:
    """One labelled payment as a line of JSON."""
    moment = row.timestamp.to_pydatetime()
    said = {
        "transaction": {
            "id": f"t{row.tx_id}", "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "amount": f"{row.amount:.2f}", "currency": "EUR",
            "account": {"id": f"c{row.customer_id}"}, "terminal": {"id": f"p{row.terminal_id}"}},
        "label": "fraud" if row.fraud else "legitimate",
        "label_at": (moment + DELAY).strftime("%Y-%m-%dT%H:%M:%SZ")}
    if row.fraud and hasattr(row, "scenario"):
        said["scenario"] = str(row.scenario)
    return json.dumps(said, separators=(",", ":")) + "\n"


def main() -> None:
    """Converts a file; payments of nothing are left out."""
    parser = argparse.ArgumentParser(prog="python -m weir_training.cardstream", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parquet", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    table = pd.read_parquet(args.parquet)
    table = table[table.amount > 0].sort_values(["timestamp", "tx_id"], kind="stable")
    beside = args.out.with_suffix(".tmp")
    with beside.open("w", encoding="utf-8") as out:
        out.writelines(line(row) for row in table.itertuples(index=False))
    os.replace(beside, args.out)
    print(f"{len(table)} payments, {int(table.fraud.sum())} frauds in {args.out}")


if __name__ == "__main__":
    main()
