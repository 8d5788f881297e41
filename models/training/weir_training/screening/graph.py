"""An ONNX graph that can be searched and rewritten. Needs `onnx` and `numpy` only."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

CONTRIB = "com.microsoft"


class Unrecognised(ValueError):
    """The graph is not of a shape that a rewrite knows; the message says what was missing."""


class Graph:
    """Nodes and constants of one model. `Constant` and `Identity` nodes are dissolved on load."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes: list[NodeProto] = list(model.graph.node)
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._dissolve()

    @classmethod
    def load(cls, path: Path) -> Graph:
        """Reads a model file."""
        return cls(onnx.load(path))

    def _dissolve(self) -> None:
        renamed: dict[str, str] = {}
        results = {output.name for output in self.model.graph.output}
        kept = []
        for node in self.nodes:
            for place, name in enumerate(node.input):
                node.input[place] = renamed.get(name, name)
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                tensor = TensorProto()
                tensor.CopyFrom(node.attribute[0].t)
                tensor.name = node.output[0]
                self._constants[tensor.name] = tensor
            elif node.op_type == "Identity" and node.output[0] not in results:
                renamed[node.output[0]] = node.input[0]
            else:
                kept.append(node)
        self.nodes = kept

    def inputs(self) -> list[str]:
        """The graph's inputs, in order."""
        return [value.name for value in self.model.graph.input]

    def producer(self, name: str) -> NodeProto | None:
        """The node that makes a tensor; none for inputs and constants."""
        return next((node for node in self.nodes if name in node.output), None)

    def consumers(self, name: str) -> list[NodeProto]:
        """The nodes that read a tensor."""
        return [node for node in self.nodes if name in node.input]

    def of(self, *kinds: str) -> list[NodeProto]:
        """All nodes of some kinds, in order."""
        return [node for node in self.nodes if node.op_type in kinds]

    def constant(self, name: str) -> np.ndarray | None:
        """The value of a constant; none for anything computed."""
        tensor = self._constants.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def add_constant(self, name: str, value: Any) -> str:
        """Adds a constant, once; answers its name."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def add(self, kind: str, inputs: Iterable[str], output: str, **attributes: Any) -> NodeProto:
        """Adds a node named after its output unless `name` says otherwise."""
        attributes.setdefault("name", output)
        node = helper.make_node(kind, list(inputs), [output], **attributes)
        self.nodes.append(node)
        return node

    def remove(self, node: NodeProto) -> None:
        """Takes a node out; whoever reads its outputs must have been rewired."""
        self.nodes = [other for other in self.nodes if other is not node]

    def attribute(self, node: NodeProto, name: str, default: Any = None) -> Any:
        """The value of an attribute."""
        found = next((a for a in node.attribute if a.name == name), None)
        return default if found is None else helper.get_attribute_value(found)

    def ordered(self) -> list[NodeProto]:
        """The nodes that the outputs need, each behind what it reads."""
        makers = {name: node for node in self.nodes for name in node.output}
        order: list[NodeProto] = []
        state: dict[int, bool] = {}
        stack = [(makers.get(out.name), False) for out in self.model.graph.output]
        while stack:
            node, done = stack.pop()
            if node is None or state.get(id(node)) or (not done and id(node) in state):
                continue
            if done:
                state[id(node)] = True
                order.append(node)
                continue
            state[id(node)] = False
            stack.append((node, True))
            stack.extend((makers.get(name), False) for name in node.input)
        return order

    def save(self, path: Path, infer_shapes: bool) -> None:
        """Writes what the outputs need, without the old shape notes: some are no longer true."""
        order = self.ordered()
        used = {name for node in order for name in node.input}
        graph = self.model.graph
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(order)
        graph.initializer.extend(t for name, t in self._constants.items() if name in used)
        self._imports({node.domain for node in order})
        onnx.save(onnx.shape_inference.infer_shapes(self.model) if infer_shapes else self.model,
                  path)

    def _imports(self, domains: set[str]) -> None:
        """Exactly the operator sets in use, so that no reader refuses one that is not."""
        versions = {item.domain: item.version for item in self.model.opset_import}
        versions.setdefault(CONTRIB, 1)
        del self.model.opset_import[:]
        self.model.opset_import.extend(
            helper.make_opsetid(domain, versions[domain]) for domain in sorted({"", *domains}))
