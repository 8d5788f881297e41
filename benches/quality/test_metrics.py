"""`python3 -m unittest discover -s benches/quality` with the bench's packages."""

from __future__ import annotations

import unittest

import numpy as np

from quality.metrics import (bootstrap, calibration_error, card_precision, false_positives_at,
                             recall_at)
from quality.stream import Stream


class Metrics(unittest.TestCase):
    def test_a_found_account_is_not_looked_at_again(self) -> None:
        days = np.array([1, 1, 1, 2, 2])
        accounts = np.array([1, 1, 2, 1, 2])
        fraud = np.array([True, False, False, True, True])
        score = np.array([0.9, 0.1, 0.2, 0.9, 0.1])
        self.assertAlmostEqual(card_precision(days, accounts, fraud, score, top=1), 1.0)
        other = np.array([0.1, 0.1, 0.9, 0.9, 0.1])
        self.assertAlmostEqual(card_precision(days, accounts, fraud, other, top=1), 0.5)

    def test_false_positives_are_counted_down_to_the_fraud_that_completes_the_recall(self) -> None:
        fraud = np.array([True, False, True, False, False, True])
        score = np.array([0.9, 0.8, 0.7, 0.7, 0.6, 0.1])
        self.assertEqual([false_positives_at(fraud, score, r) for r in (0.3, 0.6, 1.0)], [0, 2, 3])

    def test_recall_counts_the_highest_share(self) -> None:
        fraud = np.array([True, False, False, True])
        self.assertEqual(recall_at(fraud, np.array([4.0, 3, 2, 1]), 0.5), 0.5)

    def test_a_true_probability_has_no_calibration_error(self) -> None:
        fraud = np.arange(1000) % 10 == 0
        self.assertAlmostEqual(calibration_error(fraud, np.full(1000, 0.1), bins=10), 0.0)
        self.assertAlmostEqual(calibration_error(fraud, np.full(1000, 0.3), bins=10), 0.2)

    def test_an_interval_holds_the_figure_and_draws_whole_accounts(self) -> None:
        accounts = np.repeat(np.arange(50), 4)
        values = np.repeat(np.linspace(0, 1, 50), 4)
        low, high = bootstrap(accounts, lambda rows: float(values[rows].mean()), 300)
        self.assertTrue(0.35 < low < 0.5 < high < 0.65)

    def test_a_fold_leaves_out_accounts_known_to_be_compromised(self) -> None:
        days = np.array(["2018-06-25", "2018-07-01", "2018-07-04", "2018-07-04", "2018-07-09"],
                        "datetime64[D]")
        stream = Stream(list("abcde"), days, np.array([1, 2, 1, 2, 2]),
                        np.array([True, True, False, False, False]))
        first = np.datetime64("2018-07-04")
        # Account 2's fraud of 07-01 is known from 07-09 on.
        self.assertEqual(stream.fold(first, first + 6).tolist(), [3])


if __name__ == "__main__":
    unittest.main()
