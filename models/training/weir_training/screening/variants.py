"""Number formats of one FP32 graph side by side: size, quality, drift, time.

    python -m weir_training.screening variants --work work/screening
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.transformers.float16 import convert_float_to_float16

from ..shared.metrics import ranking, sigmoid
from ..shared.renders import Renders
from .evaluate import THRESHOLDS, Sample, flipped, score
from .export import invariance, session
from .fast_graph import fast_graph
from .quantize import quantize
from .tokens import Encoded

TIMED = 400
Feeds = Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]


@dataclass(frozen=True)
class Bench:
    """What every variant is measured on."""

    renders: Renders
    encoded: Encoded
    sample: Sample
    platt: tuple[float, float]
    folder: Path


def _static(method: CalibrationMethod) -> Callable[[Path, Path, Feeds], None]:
    def make(source: Path, out: Path, feeds: Feeds) -> None:
        plain = out.with_suffix(".plain.onnx")
        quantize(source, plain, feeds(), method)
        fast_graph(plain, out)
    return make


def _dynamic(source: Path, out: Path, _: Feeds) -> None:
    quantize_dynamic(source, out, per_channel=True, weight_type=QuantType.QInt8,
                     extra_options={"MatMulConstBOnly": True})


def _half(source: Path, out: Path, _: Feeds) -> None:
    onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), out)


def _int4(source: Path, out: Path, _: Feeds) -> None:
    quantizer = MatMulNBitsQuantizer(onnx.load(source), bits=4, block_size=32, is_symmetric=True,
                                     accuracy_level=4)
    quantizer.process()
    quantizer.model.save_model_to_file(str(out))


# ONNX Runtime's entropy calibration has as many bins as levels: it cannot cut, and is min-max.
MAKERS: dict[str, Callable[[Path, Path, Feeds], None]] = {
    "INT8 static, min-max": _static(CalibrationMethod.MinMax),
    "INT8 static, percentile": _static(CalibrationMethod.Percentile),
    "INT8 dynamic": _dynamic, "FP16": _half, "INT4 weights (MatMulNBits)": _int4}


def _milliseconds(graph: Path, encoded: Encoded, rows: np.ndarray) -> float:
    """Median time of a text alone, one thread."""
    run, spent = session(graph), []
    for row in rows[:TIMED]:
        ids, mask = encoded.padded(np.array([row]))
        begin = time.perf_counter()
        run.run(["logits"], {"input_ids": ids, "attention_mask": mask})
        spent.append(time.perf_counter() - begin)
    return 1000 * float(np.median(spent))


def _measure(bench: Bench, graph: Path, full: np.ndarray) -> dict[str, float]:
    rows, weights = bench.sample.rows, bench.sample.weights
    margin = score(graph, bench.encoded, rows)
    a, b = bench.platt
    drift = np.abs(sigmoid(a * margin + b) - sigmoid(a * full + b))
    found = ranking(bench.renders.labels[rows], margin, weights)
    return {"bytes": graph.stat().st_size, "average_precision": found["average_precision"],
            "auc": found["auc"], "largest_drift": float(drift.max()),
            "mean_drift": float((drift * weights).sum() / weights.sum()),
            **{f"flipped_at_{t:g}": flipped(full, margin, bench.platt, t, weights)
               for t in THRESHOLDS},
            "batch_changes_a_logit_by": invariance(session(graph), bench.encoded,
                                                   rows[:16])["batch"],
            "milliseconds": _milliseconds(graph, bench.encoded, rows[::-1])}


def variants(bench: Bench, feeds: Feeds) -> dict[str, dict[str, float]]:
    """Makes and measures every variant."""
    source = bench.folder / "fp32.onnx"
    full = score(source, bench.encoded, bench.sample.rows)
    found = {"FP32": _measure(bench, source, full)}
    for name, make in MAKERS.items():
        print(f"== {name}", flush=True)
        out = bench.folder / f"variant-{len(found)}.onnx"
        make(source, out, feeds)
        found[name] = _measure(bench, out, full)
    return found


def markdown(title: str, found: dict[str, dict[str, float]], rows: int) -> str:
    """The table."""
    lines = [f"# {title}: number formats", "",
             f"{rows:,} rows of the test period, weighted to the true mix; drift and flips against "
             "FP32; times of a text alone on one thread, one after another on one machine. A text's "
             "logit may not depend on its batch mates: where the last column but one is not 0, it "
             "does.", "",
             "| | MB | AP | AUC | largest drift | mean drift | flipped at 0.02 | at 0.5 | batch "
             "mates move a logit by | ms |", "|---|---|---|---|---|---|---|---|---|---|"]
    for name, m in found.items():
        lines.append(
            f"| {name} | {m['bytes'] / 1e6:.2f} | {m['average_precision']:.4f} | {m['auc']:.4f} | "
            f"{m['largest_drift']:.4f} | {m['mean_drift']:.6f} | {m['flipped_at_0.02']:.3%} | "
            f"{m['flipped_at_0.5']:.3%} | {m['batch_changes_a_logit_by']:.2g} | "
            f"{m['milliseconds']:.2f} |")
    return "\n".join(lines) + "\n"
