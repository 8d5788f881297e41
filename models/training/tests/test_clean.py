"""The cleaning step."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path

from weir_training.data.clean import clean_file, luhn, mask, repair


def payment(name: str, second: int = 0, **more: object) -> dict[str, object]:
    return {"transaction": {"id": name, "timestamp": f"2026-03-01T10:{second // 60:02}:{second % 60:02}Z",
                            "amount": "5.00", "currency": "EUR", "account": {"id": "a"}, **more},
            "label": "legitimate"}


class Cleaning(unittest.TestCase):
    def cleaned(self, lines: list[object]) -> tuple[list[dict], list[dict], dict, Path]:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        source, out = Path(folder.name) / "in.ndjson", Path(folder.name) / "out.ndjson"
        source.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n"
                                  for line in lines))
        report = clean_file(source, out, Path(folder.name) / "rejects")
        read = lambda path: [json.loads(line) for line in path.read_text().splitlines()]  # noqa: E731
        return read(out), read(Path(folder.name) / "rejects"), report, out

    def test_text_is_mended_and_what_it_gives_away_masked(self) -> None:
        self.assertEqual(repair("schÃ¶n\u200b  Grüße\x07"), "schön Grüße")
        self.assertEqual(repair("ｆｕｌｌ"), "full")
        self.assertTrue(luhn("4111111111111111"))
        self.assertEqual(mask("pay 4111 1111 1111 1111 now"), "pay [card] now")
        self.assertEqual(mask("no 4111 1111 1111 1112"), "no 4111 1111 1111 1112")
        self.assertEqual(mask("to DE89 3704 0044 0532 0130 00"), "to [iban]")
        self.assertEqual(mask("ask anna@example.org"), "ask [email]")

    def test_repeats_go_and_time_rules(self) -> None:
        kept, _, report, _ = self.cleaned([
            payment("late", 200), payment("a", 0), payment("b", 30), payment("c", 80),
            payment("a", 100, memo="other"), payment("d", 30, memo="rent")])
        self.assertEqual([c["transaction"]["id"] for c in kept], ["a", "d", "late"])
        self.assertEqual((report["repeated identifiers"], report["near repeats"]), (1, 2))

    def test_a_line_that_cannot_be_used_is_told_with_its_reason(self) -> None:
        kept, rejects, report, _ = self.cleaned([
            "{", {"label": "fraud"}, payment("x", amount="-1"), payment("y", account={}),
            payment("z", timestamp="yesterday"), payment("ok")])
        self.assertEqual([c["transaction"]["id"] for c in kept], ["ok"])
        self.assertEqual([r["line"] for r in rejects], [1, 2, 3, 4, 5])
        self.assertEqual([r["reason"] for r in rejects[1:]], [
            "no transaction", "amount is not above zero", "no account.id", "timestamp is no instant"])
        self.assertEqual(report["rejected"], 5)

    def test_a_second_run_changes_nothing(self) -> None:
        memos = ["4111111111111111 dank", "schÃ¶n", "a@b.de https://x.org/y", "plain"]
        lines = [payment(str(i), 90 * (9 - i), memo=memos[i % 4]) for i in range(8)]
        _, _, _, out = self.cleaned(lines)
        first = out.read_bytes()
        report = clean_file(out, out.with_name("again"), out.with_name("rejects"))
        self.assertEqual(out.with_name("again").read_bytes(), first)
        self.assertEqual(report["texts repaired"] + report["texts masked"] + report["out of order"], 0)


if __name__ == "__main__":
    unittest.main()
