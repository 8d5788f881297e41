"""Rewrites a model-builder graph so that it answers the last position alone.

    python -m weir_training.analysis.last_token DIR

A prompt is read for one thing: what follows it. Keys and values of every position are needed, the
last layer's output and the logits of one. From the last attention on, the graph therefore computes
one position; a step, which has only one, stays what it was. Weights are not touched.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

ATTENTION, NORM = "GroupQueryAttention", "SkipSimplifiedLayerNormalization"
LAST = "/model/last_token/index"


class Unrecognised(ValueError):
    """Not a graph as the model builder makes it for the CPU."""


def last_token(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the graph whose logits are `[batch, 1, vocabulary]`."""
    rewritten = onnx.ModelProto()
    rewritten.CopyFrom(model)
    graph = rewritten.graph
    nodes = list(graph.node)
    attentions = [n for n, node in enumerate(nodes) if node.op_type == ATTENTION]
    if not attentions or any(node.output[0] == LAST for node in nodes):
        raise Unrecognised("no grouped attention, or rewritten before")
    at = attentions[-1]
    attended = nodes[at].output[0]
    norm = next((node for node in nodes[at:] if node.op_type == NORM), None)
    if norm is None:
        raise Unrecognised("no residual connection behind the last attention")
    made_later = {name for node in nodes[at:] for name in node.output}
    residual = next((name for name in norm.input[:2] if name not in made_later), None)
    if residual is None:
        raise Unrecognised("the last layer's residual is not what came in")
    kept = {attended: f"{attended}/last", residual: f"{residual}/last"}
    for node in nodes[at + 1:]:
        for n, name in enumerate(node.input):
            node.input[n] = kept.get(name, name)
    index = helper.make_node("Constant", [], [LAST], LAST + "/Constant",
                             value=numpy_helper.from_array(np.array([-1], np.int64)))
    gathers = [helper.make_node("Gather", [name, LAST], [last], f"{last}/Gather", axis=1)
               for name, last in kept.items()]
    del graph.node[:]
    graph.node.extend([*nodes[:at + 1], index, *gathers, *nodes[at + 1:]])
    shape = next(output for output in graph.output if output.name == "logits").type.tensor_type.shape
    shape.dim[1].Clear()
    shape.dim[1].dim_value = 1
    # Shapes that were inferred for all positions.
    del graph.value_info[:]
    return rewritten


def rewrite(path: Path) -> None:
    """Rewrites a graph whose weights lie beside it, in place."""
    model = onnx.load(path, load_external_data=False)
    path.write_bytes(last_token(model).SerializeToString())


if __name__ == "__main__":
    rewrite(Path(sys.argv[1]) / "model.onnx")
