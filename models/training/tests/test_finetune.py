"""Fine-tuning by LoRA and in full, on a tiny model."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from weir_training.screening.finetune import Plan, Tuning, adapted
from weir_training.screening.model import build
from weir_training.screening.tokens import save_tokenizer, train_tokenizer
from weir_training.shared.renders import Renders


def stream() -> Renders:
    rng = np.random.default_rng(3)
    fraud = rng.random(400) < 0.2
    texts = [f"amt{9 if f else rng.integers(1, 5)} hr{rng.integers(0, 9)} name shop" for f in fraud]
    return Renders([str(i) for i in range(400)], texts, np.repeat(np.arange(4), 100),
                   fraud.astype(np.float32), [""] * 400, [""] * 400, (1, 2, 3))


class FineTuning(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.base, self.renders = Path(self.folder.name) / "base", stream()
        tokenizer = train_tokenizer(self.renders.texts, 200, bound=2)
        save_tokenizer(tokenizer, self.base, 32)
        torch.manual_seed(1)
        build(tokenizer.get_vocab(), 32, layers=1, width=64).save_pretrained(self.base)

    def tuned(self, method: str) -> Tuning:
        plan = Plan(method, steps=80, batch_size=18, learning_rate=5e-3, max_tokens=32)
        tuning = Tuning(str(self.base), plan, self.renders)
        tuning.run()
        return tuning

    def test_both_methods_learn_and_lora_trains_far_less(self) -> None:
        full, lora = self.tuned("full"), self.tuned("lora")
        self.assertGreater(full.quality(100)["auc"], 0.95)
        self.assertGreater(lora.quality(100)["auc"], 0.95)
        self.assertLess(lora.trained, full.trained / 4)

    def test_a_merged_checkpoint_answers_as_the_adapters_did(self) -> None:
        lora, rows = self.tuned("lora"), np.arange(20)
        with torch.inference_mode():
            before = lora.margins(rows)
        lora.save(Path(self.folder.name) / "merged")
        lora.model = AutoModelForSequenceClassification.from_pretrained(
            Path(self.folder.name) / "merged").eval()
        with torch.inference_mode():
            self.assertLess(float((lora.margins(rows) - before).abs().max()), 1e-4)

    def test_a_model_without_known_projections_is_refused(self) -> None:
        with self.assertRaisesRegex(ValueError, "no query and value projections"):
            adapted(torch.nn.Linear(2, 2), 4)


if __name__ == "__main__":
    unittest.main()
