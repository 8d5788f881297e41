"""Rewrites a classifier's graph so that ONNX Runtime's CPU kernels run it faster, and back.

    python -m weir_training.screening.fast_graph IN.onnx OUT.onnx
    python -m weir_training.screening.fast_graph --plain IN.onnx OUT.onnx

Every rewrite keeps the logits to the bit, against the graph as it was exported (which ONNX Runtime
changes in the last digits when it fuses `SkipLayerNormalization`); `fast_graph` checks that and
refuses to write a graph that answers anything else. What it does, in order:

1. Reshapes get constant shapes and the padding mask is one small tensor, `[batch, 1, 1, tokens]`.
2. The last layer is computed for the first token only (`first_token`).
3. A residual sum becomes a `Sum`: behind an `Add`, ONNX Runtime fuses `SkipLayerNormalization`,
   whose CPU kernel takes nine times as long as `LayerNormalization`.
4. Queries, keys and values are quantized before they are transposed: a quarter of the bytes.
5. A power of two that scales the attention scores moves into a dequantization's scale.
6. A quantized product takes its bias along (`MatMulIntegerToFloat`).

`plain_graph` undoes 2, 3 and 6, the ones that only ONNX Runtime or only this use profits from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import NodeProto, TensorProto, helper

from . import first_token
from .attention import Attention, Projection, attentions, weight
from .graph import CONTRIB, Graph, Unrecognised

_MASK = "weir/mask"


def _head_width(graph: Graph, reshape: NodeProto) -> int:
    """The last dimension that a Reshape asks for."""
    shape = graph.constant(reshape.input[1])
    if shape is None:
        concat = graph.producer(reshape.input[1])
        last = concat.input[-1] if concat is not None and concat.op_type == "Concat" else ""
        shape = graph.constant(last)
    if shape is None or int(shape.reshape(-1)[-1]) <= 0:
        raise Unrecognised(f"the width of a head is no constant at `{reshape.name}`")
    return int(shape.reshape(-1)[-1])


def static_shapes(graph: Graph, layers: list[Attention]) -> None:
    """Constant shapes for cutting into heads and merging; 0 keeps a dimension."""
    def cut(part: Projection) -> None:
        width = _head_width(graph, part.reshape)
        if part.width % width:
            raise Unrecognised(f"{part.width} is no multiple of the head width {width}")
        shape = [0, 0, part.width // width, width]
        part.reshape.input[1] = graph.add_constant(f"weir/heads_{shape[2]}x{width}",
                                                   np.array(shape, np.int64))

    for layer in layers:
        for part in (layer.query, layer.key, layer.value):
            cut(part)
        shape = np.array([0, 0, layer.value.width], np.int64)
        layer.merge.input[1] = graph.add_constant(f"weir/merged_{layer.value.width}", shape)


def one_mask(graph: Graph, layers: list[Attention]) -> None:
    """`(mask - 1) * max` for all layers: 0 for a token, the lowest float for padding."""
    kind = next((value.type.tensor_type.elem_type for value in graph.model.graph.input
                 if value.name == "attention_mask"), None)
    if kind != TensorProto.INT64:
        raise Unrecognised("the graph has no 64-bit input `attention_mask`")
    axes = graph.add_constant(f"{_MASK}/axes", np.array([1, 2], np.int64))
    one = graph.add_constant(f"{_MASK}/one", np.float32(1))
    largest = graph.add_constant(f"{_MASK}/largest", np.finfo(np.float32).max)
    graph.add("Cast", ["attention_mask"], f"{_MASK}/float", to=TensorProto.FLOAT)
    graph.add("Unsqueeze", [f"{_MASK}/float", axes], f"{_MASK}/wide")
    graph.add("Sub", [f"{_MASK}/wide", one], f"{_MASK}/hidden")
    graph.add("Mul", [f"{_MASK}/hidden", largest], _MASK)
    for layer in layers:
        mask = layer.mask
        scores = next(name for name in mask.input if _leads_to(graph, name, layer.scores))
        graph.remove(mask)
        graph.add("Add", [scores, _MASK], mask.output[0], name=mask.name)


def _leads_to(graph: Graph, name: str, goal: NodeProto) -> bool:
    """Whether a chain of first inputs and scalings leads back to a node."""
    node = graph.producer(name)
    if node is None or node is goal:
        return node is goal
    return node.op_type in {"Mul", "Div", "Cast"} and any(
        _leads_to(graph, source, goal) for source in node.input)


def plain_norms(graph: Graph, wanted: str) -> None:
    """Spells the sum before every norm as `Sum` or as `Add`."""
    for norm in graph.of("LayerNormalization"):
        node = graph.producer(norm.input[0])
        if node is not None and node.op_type in {"Add", "Sum"} and len(node.input) == 2:
            node.op_type = wanted


def quantize_early(graph: Graph) -> None:
    """Reshape, Transpose, QuantizeLinear: the last becomes the first."""
    for node in graph.of("QuantizeLinear"):
        transpose = graph.producer(node.input[0])
        if transpose is None or transpose.op_type != "Transpose":
            continue
        reshape = graph.producer(transpose.input[0])
        alone = all(len(graph.consumers(n.output[0])) == 1 for n in (transpose, reshape) if n)
        scale = graph.constant(node.input[1])
        if reshape is None or reshape.op_type != "Reshape" or not alone or scale is None \
                or scale.size != 1:
            continue
        source, result = reshape.input[0], node.output[0]
        node.input[0], node.output[0] = source, f"{result}/early"
        reshape.input[0], transpose.output[0] = node.output[0], result


def fold_scale(graph: Graph, layers: list[Attention]) -> None:
    """A scaling of the scores by a power of two goes into the queries' dequantization: exact."""
    for layer in layers:
        readers = graph.consumers(layer.scores.output[0])
        dequantize = graph.producer(layer.scores.input[0])
        if len(readers) != 1 or readers[0].op_type not in {"Mul", "Div"} or dequantize is None \
                or dequantize.op_type != "DequantizeLinear":
            continue
        node = readers[0]
        factor = next((c for c in map(graph.constant, node.input) if c is not None), None)
        if factor is None or factor.size != 1 or (np.frexp(factor)[0] != 0.5).any():
            continue
        factor = 1 / factor if node.op_type == "Div" else factor
        scale = graph.constant(dequantize.input[1]) * factor.reshape(())
        name = graph.add_constant(f"{dequantize.input[1]}/scaled", scale.astype(np.float32))
        scaled = helper.make_node("DequantizeLinear", dequantize.input[:], [f"{name}/value"],
                                  name=f"{name}/value")
        scaled.input[1] = name
        graph.nodes.append(scaled)
        layer.scores.input[0] = scaled.output[0]
        layer.scores.output[0] = node.output[0]
        graph.remove(node)


def join_bias(graph: Graph) -> None:
    """Dequantize, MatMul, Add: one `MatMulIntegerToFloat`."""
    for matmul in graph.of("MatMul"):
        sides = [graph.producer(name) for name in matmul.input]
        readers = graph.consumers(matmul.output[0])
        if any(side is None or side.op_type != "DequantizeLinear" or len(side.input) != 3
               for side in sides) \
                or weight(graph, matmul) is None or len(readers) != 1 \
                or readers[0].op_type != "Add":
            continue
        add = readers[0]
        bias = next(name for name in add.input if name != matmul.output[0])
        value = graph.constant(bias)
        if value is None or value.ndim != 1:
            continue
        a, b = sides
        graph.remove(matmul)
        graph.remove(add)
        graph.add("MatMulIntegerToFloat",
                  [a.input[0], b.input[0], a.input[1], b.input[1], a.input[2], b.input[2], bias],
                  add.output[0], name=matmul.name, domain=CONTRIB)


def split_bias(graph: Graph) -> None:
    """Undoes `join_bias`."""
    for node in graph.of("MatMulIntegerToFloat"):
        a, b, a_scale, b_scale, a_zero, b_zero, bias = node.input
        name = node.name
        graph.remove(node)
        graph.add("DequantizeLinear", [a, a_scale, a_zero], f"{name}/left")
        graph.add("DequantizeLinear", [b, b_scale, b_zero], f"{name}/right", axis=1)
        graph.add("MatMul", [f"{name}/left", f"{name}/right"], f"{name}/product", name=name)
        graph.add("Add", [f"{name}/product", bias], node.output[0], name=f"{name}/bias")


def rewrite(graph: Graph) -> None:
    """All rewrites on a graph in memory."""
    layers = attentions(graph)
    static_shapes(graph, layers)
    one_mask(graph, layers)
    first_token.insert(graph, attentions(graph)[-1])
    plain_norms(graph, "Sum")
    quantize_early(graph)
    fold_scale(graph, attentions(graph))
    join_bias(graph)


def fast_graph(source: Path, out: Path) -> None:
    """Rewrites a file; raises `Unrecognised` for another kind of graph or other logits."""
    graph = Graph.load(source)
    rewrite(graph)
    graph.save(out, infer_shapes=False)
    worst = difference(source, out)
    if worst != 0:
        out.unlink()
        raise Unrecognised(f"the rewritten graph answers other logits, by {worst:g}")


def plain_graph(source: Path, out: Path) -> None:
    """Undoes what `fast_graph` did for ONNX Runtime and for first-token pooling."""
    graph = Graph.load(source)
    first_token.remove(graph)
    plain_norms(graph, "Add")
    split_bias(graph)
    graph.save(out, infer_shapes=True)


def _exact(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # The one fusion that changes the order of a sum.
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"],
                                disabled_optimizers=["SkipLayerNormFusion"])


def difference(left: Path, right: Path, rounds: int = 12) -> float:
    """The largest difference of a logit over seeded ids, padded and in batches."""
    runs = [_exact(path) for path in (left, right)]
    rng = np.random.default_rng(1)
    worst = 0.0
    for _ in range(rounds):
        rows, longest = int(rng.integers(1, 9)), int(rng.integers(4, 65))
        lengths = rng.integers(2, longest + 1, rows)
        mask = (np.arange(longest) < lengths[:, None]).astype(np.int64)
        feeds = {"input_ids": rng.integers(2, 48, (rows, longest)) * mask, "attention_mask": mask,
                 "token_type_ids": np.zeros_like(mask)}
        feeds = {value.name: feeds[value.name] for value in runs[0].get_inputs()}
        a, b = (run.run(None, feeds)[0] for run in runs)
        worst = max(worst, float(np.abs(a - b).max()))
    return worst


def main() -> None:
    """Rewrites one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--plain", action="store_true", help="the other way round")
    args = parser.parse_args()
    (plain_graph if args.plain else fast_graph)(args.source, args.out)


if __name__ == "__main__":
    main()
