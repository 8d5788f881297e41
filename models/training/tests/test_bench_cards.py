"""The bench's figures in a model card."""

from __future__ import annotations

import json
import unittest
from pathlib import Path

from weir_training.packaging.bench import HEADING, put, section

ROOT = Path(__file__).parents[3]
CARD = "# a model\n\n## What was measured\nthis\n\nLicence: Apache-2.0.\n"


class Cards(unittest.TestCase):
    def test_the_section_comes_before_the_licence_and_is_replaced(self) -> None:
        once = put(CARD, f"{HEADING}\nold\n")
        self.assertEqual(once.index(HEADING) < once.index("Licence:"), True)
        again = put(once, f"{HEADING}\nnew\n")
        self.assertEqual((again.count(HEADING), "old" in again, "new" in again), (1, False, True))
        self.assertEqual(put(again, f"{HEADING}\nnew\n"), again)
        self.assertTrue(again.endswith("Licence: Apache-2.0.\n"))

    def test_shipped_cards_say_what_the_bench_found(self) -> None:
        found = json.loads((ROOT / "benches/quality/results/cardstream.json").read_text())
        for name in ("screening-cardstream", "analysis-cardstream"):
            card = (ROOT / "models" / name / "MODEL_CARD.md").read_text()
            self.assertIn(section(found).strip(), card, name)


if __name__ == "__main__":
    unittest.main()
