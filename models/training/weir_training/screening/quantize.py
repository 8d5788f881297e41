"""FP32 to static INT8. Needs `onnxruntime` and `onnx`, not PyTorch."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from onnxruntime.quantization import (CalibrationDataReader, CalibrationMethod, QuantFormat,
                                      QuantType, quantize_static)
from onnxruntime.quantization.shape_inference import quant_pre_process

_KINDS = ["MatMul", "Gemm", "Gather"]


class _Reader(CalibrationDataReader):
    def __init__(self, feeds: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        self.feeds = ({"input_ids": ids, "attention_mask": mask} for ids, mask in feeds)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.feeds, None)


def quantize(source: Path, out: Path, feeds: Iterable[tuple[np.ndarray, np.ndarray]],
             method: CalibrationMethod = CalibrationMethod.MinMax,
             exclude: tuple[str, ...] = ()) -> None:
    """Static QDQ INT8: one scale per tensor, fixed here, so batch mates cannot move it.

    `feeds` are ids and masks, `[batch, tokens]` of 64-bit integers, to calibrate with.
    """
    source, out = source.resolve(), out.resolve()
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # the shape inference leaves a file in the working directory
        try:
            prepared = Path(scratch) / "prepared.onnx"
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared), str(Path(scratch) / "int8.onnx"), _Reader(feeds),
                quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=_KINDS,
                calibrate_method=method, nodes_to_exclude=list(exclude),
                extra_options={"MatMulConstBOnly": True,
                               "OpTypesToExcludeOutputQuantization": _KINDS})
            shutil.move(Path(scratch) / "int8.onnx", out)
        finally:
            os.chdir(here)
