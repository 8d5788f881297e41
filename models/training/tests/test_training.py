"""Small checks of the training code: `PYTHONPATH=. python -m unittest discover -s tests` in this folder."""

from __future__ import annotations

import json
import tempfile
import tomllib
import unittest
from pathlib import Path

import numpy as np

from weir_training.analysis.evaluate import margins_of
from weir_training.analysis.reports import REASON_ORDER, Case, _facts, report
from weir_training.packaging.manifest import sha256, to_toml, write_manifest
from weir_training.screening.evaluate import flipped
from weir_training.screening.sampling import Sampler
from weir_training.shared.loop import Budget, learning_rate_factor
from weir_training.shared.metrics import fit_platt, margins, ranking, recall_at, sigmoid
from weir_training.shared.renders import PERIODS, period_of

PROMPT = """payment card_payment pos 912.5 EUR sun 3h
account DE age 254 last 1h mean 28.6 max 180 ratio 31.9 1h 4/80 24h 9/111.18 7d 22/494 30d 27/772 fraud 0
terminal 24h 0 30d 9 fraud 2 last 3
report"""


class Metrics(unittest.TestCase):
    def test_platt_restores_the_true_share_from_weighted_rows(self) -> None:
        rng = np.random.default_rng(1)
        margin = rng.normal(-2, 2, 40_000)
        labels = (rng.random(40_000) < sigmoid(0.7 * margin - 1.5)).astype(float)
        kept = (labels > 0.5) | (rng.random(40_000) < 0.25)
        weights = np.where(labels > 0.5, 1.0, 4.0)[kept]
        a, b = fit_platt(margin[kept], labels[kept], weights)
        self.assertAlmostEqual(a, 0.7, delta=0.08)
        self.assertAlmostEqual(b, -1.5, delta=0.12)

    def test_recall_counts_weighted_traffic(self) -> None:
        labels, scores = np.array([1.0, 1.0, 0.0, 0.0]), np.array([4.0, 1.0, 3.0, 2.0])
        weights = np.array([1.0, 1.0, 4.0, 4.0])
        self.assertEqual(recall_at(labels, scores, weights, 0.1), 0.5)
        self.assertEqual(recall_at(labels, scores, weights, 1.0), 1.0)
        self.assertAlmostEqual(ranking(labels, scores, weights)["auc"], 0.5)

    def test_a_margin_is_fraud_against_all_other_labels(self) -> None:
        found = margins(np.array([[0.0, 2.0, 0.0]]))
        self.assertAlmostEqual(found[0], 2.0 - np.log(2.0))

    def test_a_flip_is_a_row_on_either_side_of_the_threshold(self) -> None:
        one, other = np.array([-1.0, 1.0, 2.0]), np.array([1.0, 1.0, 3.0])
        weights = np.array([3.0, 1.0, 1.0])
        self.assertAlmostEqual(flipped(one, other, (1.0, 0.0), 0.5, weights), 0.6)
        self.assertAlmostEqual(flipped(one, other, (1.0, 9.0), 0.5, weights), 0.0)

    def test_suspicious_counts_half_on_either_side(self) -> None:
        even = margins_of(np.log(np.array([[0.2, 0.6, 0.2]])))
        self.assertAlmostEqual(even[0], 0.0)
        self.assertGreater(margins_of(np.log(np.array([[0.3, 0.6, 0.1]])))[0], 0.0)


class Schedule(unittest.TestCase):
    def test_periods_follow_the_calendar(self) -> None:
        found = [PERIODS[i] for i in period_of(np.array([0, 9, 10, 119, 120, 149, 150, 179]))]
        self.assertEqual(found, ["warm-up"] * 2 + ["train"] * 2 + ["validation"] * 2 + ["test"] * 2)

    def test_the_rate_rises_and_reaches_its_floor(self) -> None:
        self.assertLess(learning_rate_factor(0.0), 0.01)
        self.assertAlmostEqual(learning_rate_factor(0.05), 1.0)
        self.assertAlmostEqual(learning_rate_factor(1.0), 0.01)

    def test_a_budget_of_steps_ends_by_steps(self) -> None:
        budget = Budget(None, 10, step=9)
        self.assertFalse(budget.over)
        budget.step = 10
        self.assertTrue(budget.over)

    def test_an_epoch_holds_every_fraud_and_weights_undo_the_favour(self) -> None:
        labels = np.zeros(2000, np.float32)
        labels[::50] = 1
        suspicion = np.random.default_rng(3).normal(-5, 2, 2000)
        sampler = Sampler(labels, suspicion, np.zeros(2000), np.arange(2000), 8, 5)
        epoch = sampler.epoch(0, np.full(2000, 10), 32)
        rows = np.concatenate(epoch.batches)
        self.assertEqual(int(labels[rows].sum()), 40)
        fair = rows[labels[rows] < 0.5]
        self.assertAlmostEqual(float(epoch.weights[fair].sum()) / len(fair), 1.0, delta=0.25)
        again = np.concatenate(sampler.epoch(0, np.full(2000, 10), 32).batches)
        self.assertTrue(np.array_equal(rows, again))


class Packages(unittest.TestCase):
    def test_a_manifest_reads_back_and_vouches_for_every_file(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "model.onnx").write_bytes(b"graph")
            (folder / "MODEL_CARD.md").write_text("card")
            write_manifest(folder, {"format": 1, "kind": "classifier", "name": "x",
                                    "calibration": {"method": "platt", "a": 1.5, "b": -2.0},
                                    "metrics": {"test": {"auc": 0.9, "by kind": [1, 2]}}})
            read = tomllib.loads((folder / "package.toml").read_text())
            self.assertEqual(read["files"], {"model.onnx": sha256(folder / "model.onnx")})
            self.assertEqual(read["calibration"]["b"], -2.0)
            self.assertEqual(read["metrics"]["test"]["by kind"], [1, 2])

    def test_toml_keeps_odd_keys_and_text(self) -> None:
        table = {"a b": 'say "hi"\n', "deep": {"er": {"x": True}}}
        self.assertEqual(tomllib.loads(to_toml(table)), table)


class Reports(unittest.TestCase):
    def test_a_narrative_states_only_numbers_of_the_prompt(self) -> None:
        given = set(PROMPT.replace("/", " ").split())
        for seed in range(40):
            rng = np.random.default_rng(seed)
            reasons = tuple(rng.choice(REASON_ORDER, 4, replace=False))
            told = json.loads(report(Case("x", 20, PROMPT, 0.5, reasons, seed % 2 == 0,
                                          "stolen_card_spree" if seed % 2 == 0 else ""), rng))
            numbers = [w.strip(".,") for w in told["narrative"].split() if w[0].isdigit()]
            self.assertLessEqual(set(numbers), given, told["narrative"])
            self.assertLessEqual(set(told["reasons"]), set(reasons))
            self.assertLessEqual(len(told["narrative"]), 200)

    def test_facts_are_found_and_a_name_that_speaks_of_fraud_is_none(self) -> None:
        facts = _facts(PROMPT.replace("report", "party person DE age 4 payers 3 fraud 2 name «x fraud 99»"))
        self.assertEqual((facts["terminal"], facts["hour"], facts["spent"]), ("2", "4", "111.18"))
        self.assertEqual((facts["party"], facts["payers"], facts["known"]), ("2", "3", "4"))

    def test_fields_stand_in_the_order_of_the_schema(self) -> None:
        case = Case("x", 20, PROMPT, 0.5, ("NIGHT_TIME",), False, "")
        told = report(case, np.random.default_rng(1))
        self.assertTrue(told.startswith('{"verdict":"legitimate","typology":"none","reasons":['))
        self.assertEqual(list(json.loads(told)),
                         ["verdict", "typology", "reasons", "action", "narrative"])


if __name__ == "__main__":
    unittest.main()
