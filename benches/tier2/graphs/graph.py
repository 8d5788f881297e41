"""Decoder weights as ONNX graphs, in the layout of onnxruntime-genai's model builder.

Written without the builder, which needs PyTorch. Names, order and attributes are the builder's
(0.18.0, `-e cpu -p fp32 | int8 | int4`), and so is the quantizer: ONNX Runtime's own, symmetric
blocks of 32, integer activations (`accuracy_level=4`).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from weights import SHIPPED, Decoder

BITS = {"int8": 8, "int4": 4}
CONTRIB = "com.microsoft"
ONE, ONE_LIST = "/model/constants/INT64/1", "/model/constants/INT64/[1]"


class Builder:
    """Collects nodes and weights of one graph."""

    def __init__(self, decoder: Decoder):
        self.shape, self.tensors = decoder.shape, decoder.tensors
        self.nodes, self.weights = [], []
        self.lengths = self.total = ""

    def add(self, kind: str, name: str, inputs: list[str], output: str = "", **attributes) -> str:
        output = output or f"{name}/output_0"
        self.nodes.append(helper.make_node(kind, inputs, [output], name, **attributes))
        return output

    def constant(self, name: str, value: np.ndarray) -> None:
        node = name.replace("/constants/", "/constant_nodes/")
        self.add("Constant", node, [], name, value=numpy_helper.from_array(value, name))

    def weight(self, name: str, value: np.ndarray) -> str:
        stored = np.ascontiguousarray(value, np.float32)
        self.weights.append(numpy_helper.from_array(stored, name))
        return name

    def linear(self, name: str, x: str, *sources: str) -> str:
        """One product with the matrices of `sources` side by side."""
        matrix = np.concatenate([self.tensors[f"{source}.weight"] for source in sources]).T
        weight = self.weight(f"{name.removeprefix('/').replace('/', '.')}.MatMul.weight", matrix)
        return self.add("MatMul", f"{name}/MatMul", [x, weight])

    def mask(self) -> None:
        """Each row's length less one, and the mask's width: what attention wants to know."""
        scope = "/model/attn_mask_reformat/attn_mask_subgraph"
        self.constant(ONE_LIST, np.array([1], np.int64))
        ones = ["attention_mask", ONE_LIST]
        count = self.add("ReduceSum", f"{scope}/ReduceSum", ones, keepdims=0)
        less = self.add("Sub", f"{scope}/Sub", [count, ONE_LIST])
        self.lengths = self.add("Cast", f"{scope}/Sub/Cast", [less], to=TensorProto.INT32)
        shape = self.add("Shape", f"{scope}/Shape", ["attention_mask"])
        self.constant(ONE, np.array(1, np.int64))
        width = self.add("Gather", f"{scope}/Gather", [shape, ONE], axis=0)
        self.total = self.add("Cast", f"{scope}/Gather/Cast", [width], to=TensorProto.INT32)

    def rotary(self) -> None:
        shape = self.shape
        exponents = np.arange(0, shape.head_size, 2, dtype=np.float32) / shape.head_size
        frequencies = (1.0 / shape.theta**exponents).astype(np.float32)
        angles = np.outer(np.arange(shape.context, dtype=np.float32), frequencies)
        self.weight("cos_cache", np.cos(angles))
        self.weight("sin_cache", np.sin(angles))

    def attention(self, layer: int, x: str) -> str:
        shape, name = self.shape, f"/model/layers.{layer}/attn"
        source = f"model.layers.{layer}.self_attn"
        packed = self.linear(f"{name}/qkv_proj", x, *(f"{source}.{kind}_proj" for kind in "qkv"))
        past = [f"past_key_values.{layer}.{part}" for part in ("key", "value")]
        inputs = [packed, "", "", *past, self.lengths, self.total, "cos_cache", "sin_cache"]
        outputs = [f"{name}/GroupQueryAttention/output_0"]
        outputs += [f"present.{layer}.{part}" for part in ("key", "value")]
        self.nodes.append(helper.make_node(
            "GroupQueryAttention", inputs + [""] * 3, outputs, f"{name}/GroupQueryAttention",
            domain=CONTRIB, num_heads=shape.heads, kv_num_heads=shape.kv_heads,
            scale=shape.head_size**-0.5, local_window_size=-1, softcap=0.0, do_rotary=1,
            rotary_interleaved=0,
        ))
        return self.linear(f"{name}/o_proj", outputs[0], f"{source}.o_proj")

    def feed_forward(self, layer: int, x: str) -> str:
        name, source = f"/model/layers.{layer}/mlp", f"model.layers.{layer}.mlp"
        gate = self.linear(f"{name}/gate_proj", x, f"{source}.gate_proj")
        up = self.linear(f"{name}/up_proj", x, f"{source}.up_proj")
        sigmoid = self.add("Sigmoid", f"{name}/act_fn/Sigmoid", [gate])
        gate = self.add("Mul", f"{name}/act_fn/Mul", [gate, sigmoid])
        both = self.add("Mul", f"{name}/Mul", [gate, up])
        return self.linear(f"{name}/down_proj", both, f"{source}.down_proj")

    def skip_norm(self, name: str, weight: str, x: str, added: str, last: bool) -> tuple[str, str]:
        """The normalised sum and the sum itself."""
        scale = self.weight(f"{name.removeprefix('/').replace('/', '.')}.weight", weight)
        outputs = [f"{name}/output_0"] if last else [f"{name}/output_0", "", "", f"{name}/output_3"]
        self.nodes.append(helper.make_node(
            "SkipSimplifiedLayerNormalization", [x, added, scale], outputs,
            f"{name}/SkipLayerNorm", domain=CONTRIB, epsilon=self.shape.epsilon,
        ))
        return outputs[0], outputs[-1]

    def body(self) -> None:
        layers = self.shape.layers
        self.mask()
        self.rotary()
        table = self.weight("model.embed_tokens.weight", self.tensors["model.embed_tokens.weight"])
        x = self.add("Gather", "/model/embed_tokens/Gather", [table, "input_ids"])
        name = "model.layers.0.input_layernorm"
        scale = self.weight(f"{name}.weight", self.tensors[f"{name}.weight"])
        normed = self.add(
            "SimplifiedLayerNormalization", "/model/layers.0/input_layernorm/LayerNorm",
            [x, scale], "/model/layers.0/input_layernorm/output_0", axis=-1,
            epsilon=self.shape.epsilon, stash_type=1,
        )
        for layer in range(layers):
            here, following = f"model.layers.{layer}", f"model.layers.{layer + 1}"
            kind = "post_attention_layernorm"
            normed, x = self.skip_norm(
                f"/{here.replace('model.', 'model/', 1)}/{kind}",
                self.tensors[f"{here}.{kind}.weight"], x, self.attention(layer, normed), False,
            )
            last = layer + 1 == layers
            kind = "final_norm_layernorm" if last else "input_layernorm"
            source = "model.norm.weight" if last else f"{following}.input_layernorm.weight"
            normed, x = self.skip_norm(
                f"/{following.replace('model.', 'model/', 1)}/{kind}", self.tensors[source], x,
                self.feed_forward(layer, normed), last,
            )
        self.linear("/lm_head", normed, "lm_head")
        self.nodes[-1].output[0] = "logits"

    def caches(self, prefix: str, length: str) -> list:
        shape = ["batch_size", self.shape.kv_heads, length, "kv_cache_dim"]
        return [
            helper.make_tensor_value_info(f"{prefix}.{layer}.{part}", TensorProto.FLOAT, shape)
            for part in ("key", "value") for layer in range(self.shape.layers)
        ]

    def model(self) -> onnx.ModelProto:
        self.body()
        integer, rows = TensorProto.INT64, "batch_size"
        ids, mask = [rows, "sequence_length"], [rows, "total_sequence_length"]
        inputs = [
            helper.make_tensor_value_info("input_ids", integer, ids),
            helper.make_tensor_value_info("attention_mask", integer, mask),
            *self.caches("past_key_values", "past_sequence_length"),
        ]
        logits = [rows, "sequence_length", self.shape.vocabulary]
        outputs = [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, logits),
            *self.caches("present", "total_sequence_length"),
        ]
        graph = helper.make_graph(self.nodes, "main_graph", inputs, outputs, self.weights)
        opsets = [helper.make_opsetid("", 22), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def quantized(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """The same graph with its matrices in blocks of whole numbers; the embedding stays float."""
    quantizer = MatMulNBitsQuantizer(
        model, bits=BITS[precision], block_size=32, is_symmetric=True, accuracy_level=4,
        op_types_to_quantize=("MatMul",),
    )
    quantizer.process()
    return quantizer.model.model


def write_package(model: onnx.ModelProto, decoder: Decoder, folder: Path) -> None:
    """A folder as the builder leaves it: graph, weights beside it, configuration, tokenizer."""
    folder.mkdir(parents=True)
    onnx.save(
        model, folder / "model.onnx", save_as_external_data=True, location="model.onnx.data",
        size_threshold=1024,
    )
    shape = decoder.shape
    config = json.loads((SHIPPED / "genai_config.json").read_text(encoding="utf-8"))
    config["model"]["context_length"] = config["search"]["max_length"] = shape.context
    config["model"]["vocab_size"] = shape.vocabulary
    config["model"]["decoder"] |= {
        "head_size": shape.head_size, "hidden_size": shape.hidden,
        "num_attention_heads": shape.heads, "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
    }
    (folder / "genai_config.json").write_text(json.dumps(config, indent=4), encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(SHIPPED / name, folder / name)
