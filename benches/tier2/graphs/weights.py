"""Two sets of decoder weights, as float32 arrays under Hugging Face's Llama names.

`random` draws a 33M Llama; `shipped` turns the INT8 weights of models/analysis back into floats,
exactly: scale * (q - 128). Matrices are `[out, in]`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "models/analysis"
SEED = 20240817


@dataclass(frozen=True)
class Shape:
    """The dimensions of a Llama."""

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    feed_forward: int
    context: int
    epsilon: float = 1e-5
    theta: float = 10_000.0


@dataclass(frozen=True)
class Decoder:
    """Weights and their dimensions; `embed_tokens` and `lm_head` are not tied."""

    shape: Shape
    tensors: dict[str, np.ndarray]

    def parameters(self) -> int:
        return sum(tensor.size for tensor in self.tensors.values())


RANDOM = Shape(
    vocabulary=9600, hidden=512, layers=8, heads=8, kv_heads=4, head_size=64, feed_forward=1376,
    context=2048,
)


def random(shape: Shape = RANDOM) -> Decoder:
    """Spread so that activations keep their size and the best logit stands out."""
    generator = np.random.default_rng(SEED)

    def matrix(out: int, into: int, gain: float = 1.0) -> np.ndarray:
        drawn = generator.standard_normal((out, into), np.float32)
        return drawn * np.float32(gain / np.sqrt(into))

    wide, narrow = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    deep = 1.0 / np.sqrt(2 * shape.layers)
    ones = np.ones(shape.hidden, np.float32)
    tensors = {
        "model.embed_tokens.weight": matrix(shape.vocabulary, shape.hidden, np.sqrt(shape.hidden)),
        "model.norm.weight": ones,
        "lm_head.weight": matrix(shape.vocabulary, shape.hidden, 3.0),
    }
    for layer in range(shape.layers):
        name = f"model.layers.{layer}"
        tensors |= {
            f"{name}.input_layernorm.weight": ones,
            f"{name}.self_attn.q_proj.weight": matrix(wide, shape.hidden),
            f"{name}.self_attn.k_proj.weight": matrix(narrow, shape.hidden),
            f"{name}.self_attn.v_proj.weight": matrix(narrow, shape.hidden),
            f"{name}.self_attn.o_proj.weight": matrix(shape.hidden, wide, deep),
            f"{name}.post_attention_layernorm.weight": ones,
            f"{name}.mlp.gate_proj.weight": matrix(shape.feed_forward, shape.hidden),
            f"{name}.mlp.up_proj.weight": matrix(shape.feed_forward, shape.hidden),
            f"{name}.mlp.down_proj.weight": matrix(shape.hidden, shape.feed_forward, deep),
        }
    return Decoder(shape, tensors)


def shipped() -> Decoder:
    config = json.loads((SHIPPED / "config.json").read_text(encoding="utf-8"))
    shape = Shape(
        vocabulary=config["vocab_size"], hidden=config["hidden_size"],
        layers=config["num_hidden_layers"], heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"], head_size=config["head_dim"],
        feed_forward=config["intermediate_size"], context=config["max_position_embeddings"],
        epsilon=config["rms_norm_eps"], theta=config["rope_parameters"]["rope_theta"],
    )
    graph = onnx.load(SHIPPED / "model.onnx").graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}

    def matrix(name: str) -> np.ndarray:
        quantized = stored[f"{name}.MatMul.weight_Q8"].astype(np.float32) - 128.0
        scales = stored[f"{name}.MatMul.weight_scales"].reshape(*quantized.shape[:2], 1)
        return (quantized * scales).reshape(len(quantized), -1)

    tensors = {
        "model.embed_tokens.weight": stored["model.embed_tokens.weight"],
        "model.norm.weight": stored[f"model.layers.{shape.layers}.final_norm_layernorm.weight"],
        "lm_head.weight": matrix("lm_head"),
    }
    wide, narrow = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    for layer in range(shape.layers):
        name = f"model.layers.{layer}"
        packed = np.split(matrix(f"{name}.attn.qkv_proj"), [wide, wide + narrow])
        for kind, part in zip("qkv", packed):
            tensors[f"{name}.self_attn.{kind}_proj.weight"] = part
        tensors[f"{name}.self_attn.o_proj.weight"] = matrix(f"{name}.attn.o_proj")
        for kind in ("gate", "up", "down"):
            tensors[f"{name}.mlp.{kind}_proj.weight"] = matrix(f"{name}.mlp.{kind}_proj")
        for kind in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{name}.{kind}.weight"] = stored[f"{name}.{kind}.weight"]
    return Decoder(shape, tensors)
