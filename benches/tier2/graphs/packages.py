"""Writes the decoders that tier 2 is measured with, and checks that all forms of one agree.

    packages.py [--out target/bench/tier2]

`random-33m` is a Llama of 33M seeded random weights; `shipped` is models/analysis, turned back
into floats. Each has a package per precision, `fp32`, `int8` and `int4`, the same rewritten as the
shipped one is, which computes the last position alone from the last attention on (`-last`), and llama.cpp's files of the same weights. A set that is there
already stays.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from pathlib import Path

import onnx

import gguf_file
import weights
from graph import Builder, quantized, write_package

sys.path.append(str(weights.ROOT / "models/training"))
from weir_training.analysis.last_token import Unrecognised, last_token  # noqa: E402

SETS = {"random-33m": weights.random, "shipped": weights.shipped}


def graph(name: str, decoder: weights.Decoder, precision: str) -> onnx.ModelProto:
    if name == "shipped" and precision == "int8":
        return onnx.load(weights.SHIPPED / "model.onnx")
    model = Builder(decoder).model()
    return model if precision == "fp32" else quantized(model, precision)


def for_last(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return last_token(model)
    except Unrecognised:
        return model  # The shipped one is so already.


def write_set(name: str, out: Path) -> None:
    """All of it under a temporary name first, so that a set is whole or absent."""
    decoder = SETS[name]()
    folder = out / f"{name}.partial"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for precision in ("fp32", "int8", "int4"):
        model = graph(name, decoder, precision)
        write_package(for_last(model), decoder, folder / f"{precision}-last")
        write_package(model, decoder, folder / precision)
    for precision in gguf_file.TYPES:
        gguf_file.write(decoder, name, precision, folder / f"{precision}.gguf")
    folder.rename(out / name)
    print(f"{out / name}: {decoder.parameters() / 1e6:.1f}M parameters")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = weights.ROOT / "target/bench/tier2"
    parser.add_argument("--out", type=Path, default=default)
    out = parser.parse_args().out
    # The quantizer and the GGUF writer report every matrix.
    logging.disable(logging.INFO)
    for name in SETS:
        if not (out / name).is_dir():
            write_set(name, out)


if __name__ == "__main__":
    main()
