"""The rewrite of a decoder's graph, on the small fixture."""

from __future__ import annotations

import json
import shutil
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from weir_training.analysis.last_token import Unrecognised, last_token, rewrite

ROOT = Path(__file__).resolve().parents[3]
FIXTURE = ROOT / "crates/onnx/tests/fixtures/tiny-llama"


def logits(folder: Path, ids: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    decoder = json.loads((folder / "genai_config.json").read_text())["model"]["decoder"]
    empty = np.zeros((1, decoder["num_key_value_heads"], 0, decoder["head_size"]), np.float32)
    past = [value.name for value in session.get_inputs() if value.name.startswith("past")]
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), **dict.fromkeys(past, empty)}
    return session.run(["logits"], feeds)[0]


class LastToken(unittest.TestCase):
    def test_the_last_position_keeps_its_logits(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            shutil.copytree(FIXTURE, folder)
            rewrite(folder / "model.onnx")
            random = np.random.default_rng(3)
            for length in (1, 2, 17, 60):
                ids = random.integers(3, 200, (1, length)).astype(np.int64)
                whole, last = logits(FIXTURE, ids), logits(folder, ids)
                self.assertEqual(last.shape[:2], (1, 1))
                np.testing.assert_allclose(last[:, 0], whole[:, -1], atol=1e-5)

    def test_a_graph_is_rewritten_once(self) -> None:
        model = onnx.load(FIXTURE / "model.onnx", load_external_data=False)
        with self.assertRaises(Unrecognised):
            last_token(last_token(model))
