"""Decoder weights as llama.cpp's GGUF files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType, quants

from weights import SHIPPED, Decoder

TYPES = {
    "f32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (GGMLQuantizationType.Q4_0, LlamaFileType.MOSTLY_Q4_0),
}
# A chat's messages one after the other: what tier 2's prompt is without a chat around it.
CHAT_TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
PARTS = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def interleaved(matrix: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key projection in llama.cpp's order: it turns neighbours, not halves."""
    rows, columns = matrix.shape
    halves = matrix.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def renamed(decoder: Decoder) -> dict[str, np.ndarray]:
    found = {
        "token_embd.weight": decoder.tensors["model.embed_tokens.weight"],
        "output_norm.weight": decoder.tensors["model.norm.weight"],
        "output.weight": decoder.tensors["lm_head.weight"],
    }
    heads = {"attn_q": decoder.shape.heads, "attn_k": decoder.shape.kv_heads}
    for layer in range(decoder.shape.layers):
        for source, name in PARTS.items():
            tensor = decoder.tensors[f"model.layers.{layer}.{source}.weight"]
            if name in heads:
                tensor = interleaved(tensor, heads[name])
            found[f"blk.{layer}.{name}.weight"] = tensor
    return found


def add_tokenizer(writer: GGUFWriter, vocabulary: int) -> None:
    """Byte-level BPE with digits one by one, which is how llama.cpp splits for `smollm`."""
    description = json.loads((SHIPPED / "tokenizer.json").read_text(encoding="utf-8"))
    special = {token["id"]: token["content"] for token in description["added_tokens"]}
    known = {index: token for token, index in description["model"]["vocab"].items()} | special
    tokens, kinds = [], []
    for index in range(vocabulary):
        tokens.append(known.get(index, f"[PAD{index}]"))
        kind = TokenType.NORMAL if index in known else TokenType.UNUSED
        kinds.append(TokenType.CONTROL if index in special else kind)
    ids = {content: index for index, content in special.items()}
    pairs = description["model"]["merges"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in pairs]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(ids["<s>"])
    writer.add_eos_token_id(ids["</s>"])
    writer.add_pad_token_id(ids["<pad>"])
    writer.add_add_bos_token(True)
    writer.add_chat_template(CHAT_TEMPLATE)


def write(decoder: Decoder, name: str, precision: str, path: Path) -> None:
    shape, (kind, file_type) = decoder.shape, TYPES[precision]
    writer = GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_file_type(file_type)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_size)
    writer.add_value_length(shape.head_size)
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_rope_freq_base(shape.theta)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    add_tokenizer(writer, shape.vocabulary)
    for tensor_name, tensor in renamed(decoder).items():
        tensor = np.ascontiguousarray(tensor, np.float32)
        used = kind if tensor.ndim == 2 else GGMLQuantizationType.F32
        writer.add_tensor(tensor_name, quants.quantize(tensor, used), raw_dtype=used)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
