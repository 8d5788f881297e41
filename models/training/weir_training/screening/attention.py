"""Finds the attention layers of a DistilBERT, BERT or RoBERTa export, FP32 or static QDQ INT8."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import NodeProto

from .graph import Graph, Unrecognised

_SCALING = {"Mul", "Div", "QuantizeLinear", "DequantizeLinear", "Cast"}
_MASKING = {"Add", "Where"} | _SCALING
_HEADS = {"Add", "Transpose", "Reshape"} | _SCALING
PROJECTIONS = {"MatMul", "MatMulIntegerToFloat"}


@dataclass(frozen=True)
class Projection:
    """A linear map of the layer's input, cut into heads."""

    matmul: NodeProto
    reshape: NodeProto
    width: int


@dataclass(frozen=True)
class Attention:
    """One layer's attention."""

    softmax: NodeProto
    scores: NodeProto
    """The product of queries and keys."""
    mask: NodeProto
    """The `Add` or `Where` that hides the padding."""
    query: Projection
    key: Projection
    value: Projection
    merge: NodeProto
    """The `Reshape` that puts the heads together again."""


def weight(graph: Graph, matmul: NodeProto) -> str | None:
    """The constant that a projection multiplies by, quantized or not; none for a product of two
    activations.
    """
    name = matmul.input[1]
    maker = graph.producer(name)
    if maker is not None and maker.op_type == "DequantizeLinear":
        name = maker.input[0]
    return name if graph.constant(name) is not None else None


def _back(graph: Graph, name: str, through: set[str], goal: str) -> list[NodeProto] | None:
    """The nodes from a tensor back to a product `weighted` by a constant or of two `activations`."""
    node = graph.producer(name)
    if node is None:
        return None
    if node.op_type in PROJECTIONS:
        found = "activations" if weight(graph, node) is None else "weighted"
        return [node] if found == goal else None
    if node.op_type not in through:
        return None
    for source in node.input:
        path = _back(graph, source, through, goal)
        if path is not None:
            return [*path, node]
    return None


def _path(graph: Graph, name: str, through: set[str], goal: str, what: str) -> list[NodeProto]:
    path = _back(graph, name, through, goal)
    if path is None:
        raise Unrecognised(f"no {what} behind the tensor `{name}`")
    return path


def _projection(graph: Graph, name: str, what: str) -> Projection:
    path = _path(graph, name, _HEADS, "weighted", what)
    reshapes = [node for node in path if node.op_type == "Reshape"]
    if len(reshapes) != 1:
        raise Unrecognised(f"the {what} at `{path[0].name}` is not cut into heads by one Reshape")
    shape = graph.constant(weight(graph, path[0]) or "")
    if shape is None or shape.ndim != 2:
        raise Unrecognised(f"the weight of the {what} at `{path[0].name}` is not a matrix")
    return Projection(path[0], reshapes[0], shape.shape[1])


def _only(nodes: list[NodeProto], what: str) -> NodeProto:
    if len(nodes) != 1:
        raise Unrecognised(f"{len(nodes)} {what}, not one")
    return nodes[0]


def _forward(graph: Graph, name: str, through: set[str], goal: str) -> NodeProto:
    """The first node of a kind behind a tensor that has one reader at each step."""
    while True:
        node = _only(graph.consumers(name), f"readers of `{name}`")
        if node.op_type == goal:
            return node
        if node.op_type not in through:
            raise Unrecognised(f"`{node.name}` is a {node.op_type}, where a {goal} was expected")
        name = node.output[0]


def _attention(graph: Graph, softmax: NodeProto) -> Attention:
    path = _path(graph, softmax.input[0], _MASKING, "activations", "product of queries and keys")
    masks = [node for node in path if node.op_type in {"Add", "Where"}]
    mask = _only(masks, f"masks before `{softmax.name}`")
    context = _forward(graph, softmax.output[0], _SCALING | {"Where", "IsNaN"}, "MatMul")
    merge = _forward(graph, context.output[0], _SCALING | {"Transpose"}, "Reshape")
    return Attention(
        softmax=softmax, scores=path[0], mask=mask,
        query=_projection(graph, path[0].input[0], "query"),
        key=_projection(graph, path[0].input[1], "key"),
        value=_projection(graph, context.input[1], "value"), merge=merge)


def attentions(graph: Graph) -> list[Attention]:
    """The attention layers, first to last."""
    found = [_attention(graph, node) for node in graph.ordered() if node.op_type == "Softmax"]
    if not found:
        raise Unrecognised("the graph has no Softmax, so no attention that could be recognised")
    return found
