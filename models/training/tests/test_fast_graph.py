"""The rewrite of a classifier's graph, on the shipped model and the small fixtures."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from weir_training.screening import first_token
from weir_training.screening.attention import attentions
from weir_training.screening.fast_graph import difference, fast_graph, plain_graph, rewrite
from weir_training.screening.graph import Graph, Unrecognised

ROOT = Path(__file__).resolve().parents[3]
FIXTURES = ROOT / "crates/onnx/tests/fixtures"
SHIPPED = ROOT / "models/screening"
EXPORTS = [FIXTURES / "tiny-bert/model.onnx", FIXTURES / "tiny-roberta/model.onnx",
           FIXTURES / "tiny-distilbert/model.onnx",
           FIXTURES / "tiny-distilbert-int8/onnx/model_quantized.onnx"]


def answers(path: Path, rows: list[list[int]]) -> np.ndarray:
    longest = max(map(len, rows))
    ids = np.array([row + [0] * (longest - len(row)) for row in rows], np.int64)
    mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in rows], np.int64)
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    run = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return run.run(None, {value.name: feeds[value.name] for value in run.get_inputs()})[0]


class FastGraph(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.fast, self.plain = (Path(scratch.name) / f"{n}.onnx" for n in ("fast", "plain"))

    def test_logits_stay_to_the_bit_for_every_kind_of_export(self) -> None:
        for path in EXPORTS:
            with self.subTest(path.parent.name):
                fast_graph(path, self.fast)
                self.assertEqual(difference(path, self.fast, rounds=20), 0)

    def test_a_text_scores_the_same_alone_and_in_a_padded_batch(self) -> None:
        rng = np.random.default_rng(3)
        rows = [rng.integers(5, 48, n).tolist() for n in (3, 60, 17, 41, 9, 33, 12, 25)]
        for path in EXPORTS:
            with self.subTest(path.parent.name):
                fast_graph(path, self.fast)
                alone = np.concatenate([answers(self.fast, [row]) for row in rows])
                self.assertTrue((answers(self.fast, rows) == alone).all())

    def test_the_last_layer_reads_one_row_of_queries(self) -> None:
        graph = Graph.load(EXPORTS[0])
        rewrite(graph)
        node = next(node for node in graph.nodes if node.name == first_token.NODE)
        readers = {reader.op_type for reader in graph.consumers(node.output[0])}
        self.assertEqual(readers, {"MatMul", "Sum"})
        self.assertIs(graph.producer(attentions(graph)[-1].query.matmul.input[0]), node)

    def test_the_shipped_graph_is_a_fast_one_and_has_a_plain_form_of_the_same_logits(self) -> None:
        source = SHIPPED / "model.onnx"
        plain_graph(source, self.plain)
        self.assertEqual(difference(source, self.plain), 0)
        kinds = {node.op_type for node in onnx.load(self.plain).graph.node}
        self.assertFalse(kinds & {"MatMulIntegerToFloat", "Sum"})
        fast_graph(self.plain, self.fast)
        lines = (SHIPPED / "golden.jsonl").read_text(encoding="utf-8").splitlines()[:16]
        for line in map(json.loads, lines):
            again = answers(self.fast, [line["input_ids"]])
            self.assertTrue((again == answers(source, [line["input_ids"]])).all())

    def test_a_power_of_two_is_folded_and_no_other_factor(self) -> None:
        graph = Graph.load(SHIPPED / "model.onnx")
        self.assertFalse([node for node in graph.of("Mul") if "attention" in node.name])

    def test_an_unknown_graph_is_refused_with_a_reason(self) -> None:
        for name in ("tiny-llama/model.onnx",):
            with self.assertRaisesRegex(Unrecognised, "no attention"):
                fast_graph(FIXTURES / name, self.fast)
        graph = Graph.load(EXPORTS[0])
        pool = first_token.pooling(graph)
        pool.input[1] = graph.add_constant("last", np.int64(-1))
        with self.assertRaisesRegex(Unrecognised, "first token"):
            rewrite(graph)

    def test_a_graph_without_a_mask_is_refused(self) -> None:
        value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])
        node = helper.make_node("Softmax", ["x"], ["y"])
        out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])
        model = helper.make_model(helper.make_graph([node], "g", [value], [out]))
        with self.assertRaisesRegex(Unrecognised, "product of queries and keys"):
            rewrite(Graph(model))


if __name__ == "__main__":
    unittest.main()
