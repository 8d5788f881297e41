"""A decoder graph run by ONNX Runtime with the cache in place, and nothing around it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime


class Decoder:
    """One session over one slab of rows; keys and values are read and written where they lie.

    The mask always has the width of the slab, so that shapes depend on the number of rows and
    tokens alone and bindings can be kept.
    """

    def __init__(self, folder: Path, threads: int, rows: int, capacity: int, spin: bool = True):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", options)
        config = json.loads((folder / "genai_config.json").read_text())["model"]
        self.vocabulary, decoder = config["vocab_size"], config["decoder"]
        heads, size = decoder["num_key_value_heads"], decoder["head_size"]
        self.last_only = self.session.get_outputs()[0].shape[1] == 1
        self.capacity = capacity
        self.slab = {
            f"{layer}.{part}": np.zeros((rows, heads, capacity, size), np.float32)
            for layer in range(decoder["num_hidden_layers"]) for part in ("key", "value")
        }
        self.bindings = {}

    def binding(self, first: int, rows: int, tokens: int) -> tuple:
        """Inputs and outputs for `rows` rows from `first` on, `tokens` tokens each."""
        key = (first, rows, tokens)
        if key in self.bindings:
            return self.bindings[key]
        ids = np.zeros((rows, tokens), np.int64)
        mask = np.zeros((rows, self.capacity), np.int64)
        logits = np.zeros((rows, 1 if self.last_only else tokens, self.vocabulary), np.float32)
        bound = self.session.io_binding()
        for name, array in (("input_ids", ids), ("attention_mask", mask)):
            bound.bind_input(name, "cpu", 0, np.int64, array.shape, array.ctypes.data)
        bound.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        for name, slab in self.slab.items():
            view = slab[first : first + rows]
            place = ("cpu", 0, np.float32, view.shape, view.ctypes.data)
            bound.bind_input(f"past_key_values.{name}", *place)
            bound.bind_output(f"present.{name}", *place)
        self.bindings[key] = (bound, ids, mask, logits)
        return self.bindings[key]

    def run(self, first: int, tokens: np.ndarray, lengths: list[int]) -> np.ndarray:
        """Appends `tokens` `[rows, n]` to rows that have `lengths` tokens; the logits."""
        rows, count = tokens.shape
        bound, ids, mask, logits = self.binding(first, rows, count)
        ids[:] = tokens
        mask[:] = 0
        for row, length in enumerate(lengths):
            mask[row, : length + count] = 1
        self.session.run_with_iobinding(bound)
        return logits

    def prefill(self, row: int, tokens: np.ndarray, chunk: int = 0, start: int = 0) -> np.ndarray:
        """Appends a prompt to one row, in chunks if asked; the logits of its last token."""
        chunk = chunk or len(tokens)
        for at in range(0, len(tokens), chunk):
            piece = tokens[None, at : at + chunk]
            logits = self.run(row, piece, [start + at])
        return logits[0, -1].copy()
