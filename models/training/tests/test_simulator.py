"""The simulator: same bytes for the same seed, valid shapes, believable shares."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from weir_training.simulator.cli import main
from weir_training.simulator.merchants import hour_table
from weir_training.simulator.typologies import TYPOLOGIES

_REQUIRED = {"id", "timestamp", "amount", "currency", "account"}
_TYPES = {"card_payment", "cash_withdrawal", "transfer", "direct_debit", "wallet", "refund"}
_CHANNELS = {"ecommerce", "pos", "atm", "mobile", "web", "branch", "api"}
_ENTRY = {"chip", "contactless", "magstripe", "manual", "ecommerce"}
_KINDS = {"merchant", "person", "business", "bank", "government"}
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
_COUNTRY = r"[A-Z]{2}"
_SHAPE: dict[str, dict[str, str]] = {
    "account": {"id": r".{1,64}", "opened_at": _TIME, "country": _COUNTRY},
    "card": {
        "token": r".{1,64}",
        "bin": r"\d{6,8}",
        "last4": r"\d{4}",
        "entry_mode": "|".join(_ENTRY),
    },
    "counterparty": {
        "id": r".{1,64}",
        "name": r".{1,128}",
        "kind": "|".join(_KINDS),
        "mcc": r"\d{4}",
        "country": _COUNTRY,
        "first_seen": _TIME,
    },
    "terminal": {"id": r".{1,64}"},
    "device": {
        "id": r".{1,64}",
        "ip": r"[0-9a-f.:]{7,39}",
        "ip_country": _COUNTRY,
        "user_agent": r".{1,256}",
    },
}
_NEEDED = {
    "account": {"id"},
    "card": {"token"},
    "counterparty": {"id"},
    "terminal": {"id"},
    "device": set(),
}


def _run(path: Path, *options: str) -> Path:
    assert main(["--out", str(path), "--quiet", *options]) == 0
    return path


def _read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """A world of 250 accounts over 60 days."""
    folder = tmp_path_factory.mktemp("small")
    return _read(_run(folder / "s.ndjson", "--seed", "11", "--accounts", "250", "--days", "60"))


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """A world of 600 accounts over 120 days."""
    folder = tmp_path_factory.mktemp("big")
    return _read(_run(folder / "b.ndjson", "--seed", "12", "--accounts", "600", "--days", "120"))


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    options = ("--seed", "5", "--accounts", "40", "--days", "40")
    first = _run(tmp_path / "a", *options).read_bytes()
    assert first == _run(tmp_path / "b", *options).read_bytes()
    other = _run(tmp_path / "c", "--seed", "6", "--accounts", "40", "--days", "40").read_bytes()
    assert first != other


def test_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    outputs = []
    for hash_seed in ("1", "2"):
        out = tmp_path / hash_seed
        subprocess.run(
            [
                sys.executable,
                "-m",
                "weir_training.simulator",
                "--accounts",
                "30",
                "--days",
                "30",
                "--out",
                str(out),
                "--quiet",
            ],
            check=True,
            cwd=Path(__file__).parents[1],
            env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
        )
        outputs.append(out.read_bytes())
    assert outputs[0] == outputs[1]


def test_event_order_and_unique_ids(small: list[dict]) -> None:
    times = [r["transaction"]["timestamp"] for r in small]
    assert times == sorted(times)
    assert times[0] >= "2026-01-01T00:00:00Z" and times[-1] < "2026-03-02T00:00:00Z"
    ids = [r["transaction"]["id"] for r in small]
    assert len(set(ids)) == len(ids) and max(map(len, ids)) <= 64


def test_every_field_has_its_shape(small: list[dict]) -> None:
    for record in small:
        t = record["transaction"]
        assert _REQUIRED <= set(t)
        assert set(t) <= _REQUIRED | set(_SHAPE) | {"type", "channel", "memo"}
        assert re.fullmatch(_TIME, t["timestamp"])
        assert re.fullmatch(r"\d{1,9}\.\d\d", t["amount"]) and float(t["amount"]) > 0
        assert re.fullmatch(r"[A-Z]{3}", t["currency"])
        assert t["type"] in _TYPES and t["channel"] in _CHANNELS
        assert 0 < len(t.get("memo", "x")) <= 256
        for part, shape in _SHAPE.items():
            fields = t.get(part)
            if fields is None:
                continue
            assert _NEEDED[part] <= set(fields) <= set(shape), (part, fields)
            for name, value in fields.items():
                assert re.fullmatch(shape[name], value), (part, name, value)


def test_payees_and_accounts_exist_before_they_take_part(small: list[dict]) -> None:
    for record in small:
        t = record["transaction"]
        assert t["account"]["opened_at"] <= t["timestamp"]
        assert t.get("counterparty", {}).get("first_seen", "") <= t["timestamp"]


def test_label_lines(small: list[dict]) -> None:
    for record in small:
        keys = set(record)
        if record["label"] == "fraud":
            assert keys == {"transaction", "label", "typology", "label_at"}
            assert record["label_at"] > record["transaction"]["timestamp"]
            assert record["typology"] in TYPOLOGIES
        else:
            assert record["label"] == "legitimate"
            assert keys <= {"transaction", "label", "scenario"}


def test_label_delay_zero_is_known_at_once(tmp_path: Path) -> None:
    out = _run(
        tmp_path / "z",
        "--accounts",
        "60",
        "--days",
        "30",
        "--label-delay",
        "0",
        "--fraud-rate",
        "0.03",
    )
    frauds = [r for r in _read(out) if r["label"] == "fraud"]
    assert frauds
    delays = [
        datetime.fromisoformat(r["label_at"].replace("Z", "+00:00"))
        - datetime.fromisoformat(r["transaction"]["timestamp"].replace("Z", "+00:00"))
        for r in frauds
        if r["typology"] == "compromised_terminal"
    ]
    assert all(d.total_seconds() == 60 for d in delays)


def test_fraud_share_and_activity(big: list[dict]) -> None:
    share = sum(r["label"] == "fraud" for r in big) / len(big)
    assert 0.005 <= share <= 0.011
    assert 0.9 <= len(big) / 600 / 120 <= 1.6


def test_every_typology_and_many_scenarios(big: list[dict]) -> None:
    kinds = Counter(r["typology"] for r in big if r["label"] == "fraud")
    assert set(kinds) == set(TYPOLOGIES)
    assert max(kinds.values()) < 0.45 * sum(kinds.values())
    assert len({r["scenario"] for r in big if "scenario" in r}) >= 15


def test_no_fraud_when_none_is_asked_for(tmp_path: Path) -> None:
    out = _run(tmp_path / "n", "--accounts", "40", "--days", "20", "--fraud-rate", "0")
    assert all(r["label"] == "legitimate" for r in _read(out))


def _luhn(digits: str) -> bool:
    total = 0
    for index, char in enumerate(reversed(digits)):
        value = int(char) * (1 + index % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def test_nothing_looks_like_a_card_number(big: list[dict]) -> None:
    run = re.compile(r"(?<![0-9A-Za-z])\d(?:[ -]?\d){12,18}(?![0-9A-Za-z])")
    for record in big:
        for match in run.findall(json.dumps(record["transaction"], ensure_ascii=False)):
            digits = re.sub(r"\D", "", match)
            assert not (13 <= len(digits) <= 19 and _luhn(digits)), match


def test_markers_of_fraud_are_shared_by_honest_payments(big: list[dict]) -> None:
    """No single marker of fraud may be exclusive to it."""

    def markers(t: dict) -> set[str]:
        found = set()
        if (
            t.get("device", {}).get("ip_country", t["account"]["country"])
            != t["account"]["country"]
        ):
            found.add("foreign address")
        if t.get("card", {}).get("entry_mode") == "magstripe":
            found.add("magstripe")
        if re.search(r"safe|secur|new bank|visa|ticket|love", t.get("memo", ""), re.I):
            found.add("wording")
        if t["type"] == "refund":
            found.add("refund")
        return found

    honest = Counter(m for r in big if r["label"] != "fraud" for m in markers(r["transaction"]))
    fraud = Counter(m for r in big if r["label"] == "fraud" for m in markers(r["transaction"]))
    for marker, count in fraud.items():
        assert honest[marker] >= count / 3, marker


def test_history_and_limit_split_the_stream(tmp_path: Path) -> None:
    options = ("--seed", "3", "--accounts", "30", "--days", "20")
    whole = _run(tmp_path / "w", *options).read_text().splitlines()
    rest = (
        _run(
            tmp_path / "r",
            *options,
            "--history-days",
            "10",
            "--history-out",
            str(tmp_path / "h"),
            "--limit",
            "50",
        )
        .read_text()
        .splitlines()
    )
    history = (tmp_path / "h").read_text().splitlines()
    assert len(rest) == 50
    assert history + rest == whole[: len(history) + 50]


@pytest.mark.parametrize(
    "bad",
    (["--fraud-rate", "0.5"], ["--days", "0"], ["--history-days", "3"], ["--start", "yesterday"]),
)
def test_bad_options_are_refused(tmp_path: Path, bad: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--out", str(tmp_path / "x"), *bad])
    assert stop.value.code == 2


def test_hours_are_distributions() -> None:
    table = hour_table()
    assert table[:, -1] == pytest.approx(1.0)
    assert (table[:, 1:] >= table[:, :-1]).all()


def test_a_withheld_typology_waits_for_its_day(tmp_path: Path) -> None:
    def told(name: str, *more: str) -> list[dict]:
        out = tmp_path / name
        arguments = ["--out", str(out), "--accounts", "120", "--days", "60", "--fraud-rate", "0.05",
                     "--quiet", *more]
        assert main(arguments) == 0
        return [json.loads(line) for line in out.read_text().splitlines()]

    def of(lines: list[dict], kind: str) -> list[str]:
        return [x["transaction"]["timestamp"] for x in lines if x.get("typology") == kind]

    everything = told("all")
    border = "2026-02-01"
    assert any(time < border for time in of(everything, "card_testing"))
    late = told("late", "--withhold", "card_testing", "--withhold-until", border)
    assert of(late, "card_testing") == [t for t in of(everything, "card_testing") if t >= border]
    assert of(late, "account_takeover") == of(everything, "account_takeover")
    assert of(told("never", "--withhold", "card_testing"), "card_testing") == []
