"""What the trainers read, and that they learn from it: run as `test_training`."""

from __future__ import annotations

import argparse
import tempfile
import unittest
from pathlib import Path

import numpy as np

from weir_training.analysis.dataset import Dataset as Cases
from weir_training.analysis.dataset import verdict_shares
from weir_training.analysis.evaluate import margins_of
from weir_training.analysis.reports import Case, verdict_of
from weir_training.analysis.teacher import bucket_table, plain_words
from weir_training.analysis.tokens import frequent_buckets, train_tokenizer
from weir_training.analysis.train import Recipe as CaseRecipe
from weir_training.analysis.train import Trainer as CaseTrainer
from weir_training.cardstream import line
from weir_training.screening.dataset import Dataset, prepare
from weir_training.screening.tokens import Encoded
from weir_training.screening.train import Recipe, Trainer
from weir_training.shared.renders import Renders, bounds

PROMPT = "payment 12 EUR\nhabit amt_c dev_none\nearlier ra_bb rr_a\nearlier ra_z rr_b\nsignals X\nreport"


class Verdicts(unittest.TestCase):
    def test_fraud_and_half_of_suspicious_are_the_probability_again(self) -> None:
        p = np.linspace(0.01, 0.99, 20)
        shares = verdict_shares(p)
        self.assertTrue(np.allclose(shares.sum(axis=1), 1))
        self.assertTrue(np.allclose(shares[:, 0] + shares[:, 1] / 2, p))
        self.assertTrue(np.allclose(margins_of(np.log(shares)), np.log(p / (1 - p))))

    def test_a_verdict_of_fraud_needs_belief_and_a_reason(self) -> None:
        def told(belief: float, reasons: tuple[str, ...]) -> str:
            return verdict_of(Case("x", 1, "", 0.5, reasons, True, "card_testing", belief))
        self.assertEqual(told(0.9, ("NIGHT_TIME",)), "fraud")
        self.assertEqual(told(0.9, ()), "suspicious")
        self.assertEqual(told(0.5, ("NIGHT_TIME",)), "suspicious")
        self.assertEqual(told(0.2, ("NIGHT_TIME",)), "legitimate")


class Prompts(unittest.TestCase):
    def test_buckets_become_numbers_place_by_place(self) -> None:
        table, columns = bucket_table([PROMPT, "habit amt_b"])
        named = dict(zip(columns, table[0].tolist(), strict=True))
        self.assertEqual((named["amt.1"], named["ra.1"], named["ra.2"]), (2.0, 27.0, 25.0))
        self.assertTrue(np.isnan(named["dev.1"]))
        self.assertTrue(np.isnan(table[1, columns.index("ra.1")]))
        self.assertNotIn("_", plain_words(PROMPT))

    def test_a_bucket_is_one_token_and_digits_stay_single(self) -> None:
        tokenizer = train_tokenizer([PROMPT] * 5, 300, frequent_buckets([PROMPT] * 5))
        tokens = tokenizer.encode("habit amt_c dev_none 12", add_special_tokens=False).tokens
        self.assertIn("amt_c", [t.strip() for t in tokens])
        self.assertIn("dev_none", [t.strip() for t in tokens])
        self.assertIn("1", [t.strip("Ġ ") for t in tokens])


class CardStream(unittest.TestCase):
    def test_a_payment_is_labelled_a_week_later(self) -> None:
        import pandas as pd
        row = next(pd.DataFrame({
            "tx_id": [5], "timestamp": pd.to_datetime(["2018-04-01 10:00:00"]), "customer_id": [1],
            "terminal_id": [2], "amount": [3.5], "fraud": [1], "scenario": [2],
        }).itertuples(index=False))
        told = line(row)
        self.assertIn('"amount":"3.50"', told)
        self.assertIn('"label":"fraud","label_at":"2018-04-08T10:00:00Z","scenario":"2"', told)


class Learning(unittest.TestCase):
    def test_periods_are_three_rising_days(self) -> None:
        self.assertEqual(bounds("1,2,3"), (1, 2, 3))
        self.assertRaises(argparse.ArgumentTypeError, bounds, "3,2,1")

    def test_prepare_keeps_every_fraud_and_the_screening_model_learns(self) -> None:
        rng = np.random.default_rng(1)
        fraud = rng.random(400) < 0.1
        lengths = np.full(400, 4)
        flat = np.stack([np.full(400, 1), np.where(fraud, 5, 6), rng.integers(7, 9, 400),
                         np.full(400, 2)], axis=1).astype(np.uint16).ravel()
        encoded = Encoded(flat, np.concatenate([[0], np.cumsum(lengths)]))
        renders = Renders([str(i) for i in range(400)], ["a"] * 400, np.repeat(np.arange(4), 100),
                          fraud.astype(np.float32), [""] * 400, [""] * 400, (1, 3, 4))
        data = prepare(renders, encoded, np.where(fraud, 2.0, -5.0), 60, 7)
        self.assertEqual(int(data.labels[data.train].sum()), int(fraud[100:300].sum()))
        self.assertEqual(int((data.labels[data.train] < 0.5).sum()), 60)
        with tempfile.TemporaryDirectory() as name:
            data.save(Path(name) / "dataset.npz")
            again = Dataset.load(Path(name) / "dataset.npz")
            self.assertTrue(np.array_equal(again.encoded.flat, data.encoded.flat))
            vocab = {w: i for i, w in enumerate(
                ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]", "bad", "good", "x", "y"])}
            recipe = Recipe(minutes=None, steps=60, batch_size=16, layers=1, width=64, dropout=0.0,
                            learning_rate=3e-3, negatives_per_fraud=3, bf16=False, resume=False)
            trainer = Trainer(recipe, again, vocab, Path(name))
            trainer.run()
            self.assertGreater(trainer.check(data.glance)["auc"], 0.95)

    def test_the_decoder_learns_the_probability_that_it_is_taught(self) -> None:
        # Prompt token 7 or 8, then a report: prefix 3, verdict 4, 5 or 6, end 2.
        rng = np.random.default_rng(2)
        risky = rng.random(200) < 0.5
        rows = np.stack([np.full(200, 1), np.where(risky, 7, 8), np.full(200, 3),
                         np.where(risky, 4, 6), np.full(200, 2)], axis=1)
        data = Cases(rows.astype(np.uint16).ravel(), np.full(200, 5, np.int32),
                     np.full(200, 2, np.int32), np.where(risky, 0.8, 0.1).astype(np.float32),
                     risky, 1, np.array([4, 5, 6]), 9)
        with tempfile.TemporaryDirectory() as name:
            data.save(Path(name) / "dataset.npz")
            recipe = CaseRecipe(minutes=None, steps=120, batch_size=32, layers=1, width=128,
                                learning_rate=3e-3, bf16=False, resume=False)
            model = CaseTrainer(recipe, Cases.load(Path(name) / "dataset.npz"), Path(name)).run()
        import torch
        with torch.inference_mode():
            logits = model(torch.tensor([[1, 7, 3], [1, 8, 3]])).logits[:, -1, [4, 5, 6]]
        told = 1 / (1 + np.exp(-margins_of(logits.double().numpy())))
        self.assertAlmostEqual(told[0], 0.8, delta=0.05)
        self.assertAlmostEqual(told[1], 0.1, delta=0.05)


if __name__ == "__main__":
    unittest.main()
