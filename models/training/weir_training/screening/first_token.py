"""Computes the last layer for the first token only: the classifier reads no other.

Keys and values of the last layer need all tokens. Its queries, attention output, feed-forward
network and norms are computed row by row, so that one row of them needs one row of the layer's
input. One `Gather`, `weir/first_token`, takes that row; a graph without the node computes the same
logits the long way.

In a graph that is not quantized the node takes the row twice. A float product of one row runs
through another kernel than one of several, so that a text alone would round otherwise than in a
batch; products of integers are exact either way.
"""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, helper

from .attention import PROJECTIONS, Attention
from .graph import Graph, Unrecognised

NODE = "weir/first_token"
_COPIES = ("QuantizeLinear", "DequantizeLinear")


def pooling(graph: Graph) -> NodeProto:
    """The node that takes the first token of the last layer's output."""
    def takes_first(node: NodeProto) -> bool:
        index = graph.constant(node.input[1])
        return (graph.attribute(node, "axis", 0) == 1 and index is not None
                and index.size == 1 and int(index.reshape(-1)[0]) == 0 and node.name != NODE)

    found = [node for node in graph.of("Gather") if takes_first(node)]
    if len(found) != 1:
        raise Unrecognised(f"{len(found)} Gather nodes take the first token; the graph does not "
                           "pool by it, or not in a known way")
    return found[0]


def _chain(graph: Graph, name: str) -> list[str]:
    """A tensor's quantized and dequantized forms back to where it was computed, oldest first."""
    names = [name]
    while (node := graph.producer(names[0])) is not None and node.op_type in _COPIES:
        names.insert(0, node.input[0])
    return names


def _readers(graph: Graph, root: str) -> list[tuple[NodeProto, str]]:
    """Who reads a tensor in any of its forms."""
    found = []
    for node in graph.consumers(root):
        if node.op_type in _COPIES and node.input[0] == root:
            found += _readers(graph, node.output[0])
        elif node.op_type != "Shape":
            found.append((node, root))
    return found


def _row_readers(graph: Graph, last: Attention) -> list[tuple[NodeProto, str]]:
    """The two readers of the layer's input that need one row: the query and the residual."""
    maps = [last.query.matmul, last.key.matmul, last.value.matmul]
    if len({id(node) for node in maps}) != 3:
        raise Unrecognised("queries, keys and values of the last layer are one product")
    roots = {_chain(graph, node.input[0])[0] for node in maps}
    if len(roots) != 1:
        raise Unrecognised("queries, keys and values of the last layer read different tensors")
    readers = _readers(graph, roots.pop())
    others = [pair for pair in readers if not any(pair[0] is node for node in maps)]
    if len(others) != 1 or others[0][0].op_type not in {"Add", "Sum"}:
        kinds = ", ".join(node.op_type for node, _ in others) or "nothing"
        raise Unrecognised("the last layer's input should be read by its queries, keys, values and "
                           f"one residual sum; besides those, it is read by {kinds}")
    return [others[0], *(pair for pair in readers if pair[0] is last.query.matmul)]


def _quantized(graph: Graph, matmul: NodeProto) -> bool:
    maker = graph.producer(matmul.input[1])
    return matmul.op_type == "MatMulIntegerToFloat" or maker is not None


def insert(graph: Graph, last: Attention) -> None:
    """Cuts the last layer's query and residual to the first token. Reshapes must be constant."""
    if any(graph.constant(node.input[1]) is None for node in (last.query.reshape, last.merge)):
        raise Unrecognised("the last layer's Reshape computes its shape from the sequence length")
    pooling(graph)
    readers = _row_readers(graph, last)
    chains = [_chain(graph, name) for _, name in readers]
    shared = [a for a, b in zip(*chains) if a == b]
    # As late as both readers allow, but before a dequantization: then it works on one row too.
    while len(shared) > 1 and graph.producer(shared[-1]).op_type == "DequantizeLinear":
        shared.pop()
    rows = 1 if _quantized(graph, last.query.matmul) else 2
    index = graph.add_constant(f"{NODE}/index", np.zeros(rows, np.int64))
    graph.add("Gather", [shared[-1], index], NODE, axis=1)
    copies = {shared[-1]: NODE}
    for (node, name), chain in zip(readers, chains):
        for step in chain[len(shared):]:
            if step not in copies:
                copies[step] = f"{NODE}/{len(copies)}"
                made = graph.producer(step)
                clone = helper.make_node(
                    made.op_type, [copies[made.input[0]], *made.input[1:]], [copies[step]],
                    name=copies[step])
                clone.attribute.extend(made.attribute)
                graph.nodes.append(clone)
        for place, source in enumerate(node.input):
            if source == name and (place == 0 or node.op_type not in PROJECTIONS):
                node.input[place] = copies[name]


def remove(graph: Graph) -> bool:
    """Takes the node out again; false when there is none."""
    node = next((node for node in graph.nodes if node.name == NODE), None)
    if node is None:
        return False
    for reader in graph.consumers(NODE):
        for place, source in enumerate(reader.input):
            if source == NODE:
                reader.input[place] = node.input[0]
    graph.remove(node)
    return True
