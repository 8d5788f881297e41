"""`python -m weir_training.data.clean IN.ndjson OUT.ndjson`: repairs and sorts a labelled history.

Lines are `{"transaction": {...}, "label"?, "label_at"?, "typology"?, "scenario"?}` as `weir screen`
reads them. In order: lines that are no such thing go to the rejects with the reason; free text (memo
and counterparty's name) gets its encoding repaired (mojibake, NFKC, control characters) and card
numbers, e-mail addresses, IBANs and links masked; repeated identifiers, and payments that are alike in
all but the identifier within a minute, are dropped; the rest is sorted by time. A second run changes
nothing. The report, JSON on standard output or `--report FILE`, counts each of these.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from ..shared.loop import write_json

_CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
_NEEDED = ("id", "timestamp", "amount", "currency")
NEAR_SECONDS = 60


def luhn(digits: str) -> bool:
    """Whether a number's check digit is right (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _mask_card(match: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", match.group())
    return "[card]" if luhn(digits) else match.group()


def _mask_iban(match: re.Match[str]) -> str:
    text = match.group().replace(" ", "")
    moved = "".join(str(int(c, 36)) for c in text[4:] + text[:4])
    return "[iban]" if int(moved) % 97 == 1 else match.group()


def repair(text: str) -> str:
    """A text with its encoding mended and without control characters (as ftfy and NFKC do it)."""
    from cleantext import clean
    text = clean(text, to_ascii=False, lower=False, no_line_breaks=True)
    text = unicodedata.normalize("NFKC", text)
    kept = (c for c in text if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
    return " ".join("".join(kept).split())


def mask(text: str) -> str:
    """A text without card numbers (Luhn), IBANs (mod 97), e-mail addresses and links."""
    from cleantext import clean
    text = _IBAN.sub(_mask_iban, _CARD.sub(_mask_card, text))
    return clean(text, fix_unicode=False, to_ascii=False, lower=False, no_emails=True, no_urls=True,
                 replace_with_email="[email]", replace_with_url="[link]")


def _texts(transaction: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    places = [(transaction, "memo"), (transaction.get("counterparty") or {}, "name")]
    return [(holder, key) for holder, key in places if isinstance(holder.get(key), str)]


def problem(case: Any) -> str | None:
    """Why a line can't be used, or none."""
    if not isinstance(case, dict) or not isinstance(case.get("transaction"), dict):
        return "no transaction"
    transaction = case["transaction"]
    if missing := [name for name in _NEEDED if not transaction.get(name)]:
        return f"no {missing[0]}"
    if not (transaction.get("account") or {}).get("id"):
        return "no account.id"
    try:
        pd.Timestamp(transaction["timestamp"]).tz_convert("UTC")
    except (ValueError, TypeError):
        return "timestamp is no instant"
    try:
        if not float(transaction["amount"]) > 0:
            return "amount is not above zero"
    except (ValueError, TypeError):
        return "amount is no number"
    if case.get("label") not in (None, "fraud", "legitimate"):
        return "unknown label"
    return None


def read(path: Path, counts: Counter[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Usable cases, and rejects with line number and reason."""
    cases, rejects = [], []
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            counts["lines"] += 1
            try:
                case = json.loads(line)
                why = problem(case)
            except ValueError as error:
                case, why = None, f"no JSON: {error}"
            if why is None:
                cases.append(case)
            else:
                rejects.append({"line": number, "reason": why, "text": mask(line.strip())[:2000]})
    counts["rejected"] = len(rejects)
    return cases, rejects


def clean_texts(cases: list[dict[str, Any]], counts: Counter[str]) -> None:
    """Repairs and masks free text in place."""
    for case in cases:
        for holder, key in _texts(case["transaction"]):
            before = holder[key]
            repaired = repair(before)
            holder[key] = mask(repaired)
            counts["texts repaired"] += repaired != before
            counts["texts masked"] += holder[key] != repaired


def without_repeats(cases: list[dict[str, Any]], counts: Counter[str]) -> list[dict[str, Any]]:
    """In order of time, the first of each identifier and of each near repeat."""
    content = [json.dumps({**c["transaction"], "id": None, "timestamp": None}, sort_keys=True)
               for c in cases]
    table = pd.DataFrame({
        "id": [c["transaction"]["id"] for c in cases], "content": content,
        "at": pd.to_datetime([c["transaction"]["timestamp"] for c in cases], utc=True,
                             format="ISO8601")})
    table = table.sort_values("at", kind="stable")
    counts["out of order"] += int((table.index[1:] < table.index[:-1]).sum())
    repeated = table.duplicated("id")
    counts["repeated identifiers"] += int(repeated.sum())
    table = table[~repeated]
    # A chain of repeats, each within a minute of the one before, leaves its first.
    apart = table.groupby("content", sort=False)["at"].diff().dt.total_seconds()
    near = apart <= NEAR_SECONDS
    counts["near repeats"] += int(near.sum())
    return [cases[index] for index in table.index[~near]]


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """NDJSON, written beside and renamed."""
    beside = path.with_suffix(path.suffix + ".tmp")
    with beside.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
                       for row in rows)
    os.replace(beside, path)


def clean_file(source: Path, out: Path, rejects: Path) -> dict[str, int]:
    """The whole step; answers the report."""
    counts: Counter[str] = Counter()
    cases, refused = read(source, counts)
    clean_texts(cases, counts)
    kept = without_repeats(cases, counts) if cases else []
    counts["kept"] = len(kept)
    write_lines(out, kept)
    write_lines(rejects, refused)
    return {name: int(count) for name, count in counts.items()}


def main() -> None:
    """Cleans one file."""
    parser = argparse.ArgumentParser(prog="python -m weir_training.data.clean", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="IN.ndjson")
    parser.add_argument("out", type=Path, metavar="OUT.ndjson")
    parser.add_argument("--rejects", type=Path, help="default: OUT.ndjson.rejects")
    parser.add_argument("--report", type=Path, help="default: standard output")
    args = parser.parse_args()
    rejects = args.rejects or args.out.with_suffix(args.out.suffix + ".rejects")
    report = clean_file(args.source, args.out, rejects)
    if args.report:
        write_json(args.report, report)
    else:
        json.dump(report, sys.stdout, indent=2)
        print()


if __name__ == "__main__":
    main()
