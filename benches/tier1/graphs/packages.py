"""Writes four packages of the same texts: two models, each as exported and as rewritten for speed.

    packages.py [--out target/fixtures/tier1]

`shipped` is models/screening; `full-size` has the dimensions of distilbert-base (6 x 768, 30522
word pieces) with seeded random weights and the shipped tokenizer and template, so that a rendered
transaction has the same tokens in both. `fast` is what Weir serves; `plain` computes the same with
standard operators and without first-token pooling, as other servers would load it. A folder that
is there already stays.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "models/screening"
sys.path[:0] = [str(ROOT / "models/training"), str(ROOT / "models/training/fixtures")]

import full_size_distilbert as full_size  # noqa: E402
from weir_training.packaging.manifest import write_manifest  # noqa: E402
from weir_training.screening.fast_graph import fast_graph, plain_graph  # noqa: E402
from weir_training.screening.quantize import quantize  # noqa: E402

TEXT_FILES = ("tokenizer.json", "tokenizer_config.json", "input.j2")
# The spread of random logits says nothing: these put about one text in twelve above 0.02.
SLOPE, OFFSET = 1.5, -6.0


def golden_texts() -> list[dict]:
    """The shipped golden vectors: real rendered transactions."""
    lines = (SHIPPED / "golden.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def feed(ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """One text as a batch."""
    batch = np.array([ids], np.int64)
    return batch, np.ones_like(batch)


def logits(graph: Path, texts: list[dict]) -> np.ndarray:
    """Logits `[texts, labels]`, one text at a time, as the server's session computes them."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    run = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in run.get_inputs()]
    return np.concatenate([run.run(None, dict(zip(names, feed(text["input_ids"]))))[0]
                           for text in texts])


def write_golden(folder: Path, texts: list[dict], rows: np.ndarray, a: float, b: float) -> None:
    """The texts with what this folder's graph says."""
    with (folder / "golden.jsonl").open("w", encoding="utf-8", newline="\n") as out:
        for text, row in zip(texts, rows):
            margin = float(row[1]) - float(row[0])
            line = {"text": text["text"], "input_ids": text["input_ids"], "logits": row.tolist(),
                    "probability": 1 / (1 + float(np.exp(-(a * margin + b))))}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")


def package(folder: Path, name: str, label: str, config: str, platt: tuple[float, float],
            graph: Callable[[Path], None]) -> None:
    """Fills one folder, renamed into place when it is whole."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    graph(partial / "model.onnx")
    (partial / "config.json").write_text(config, encoding="utf-8")
    for file in TEXT_FILES:
        shutil.copy(SHIPPED / file, partial / file)
    texts = golden_texts()
    write_golden(partial, texts, logits(partial / "model.onnx", texts), *platt)
    write_manifest(partial, {
        "format": 1, "kind": "classifier", "name": name, "version": "1.0.0",
        "license": "Apache-2.0",
        "classifier": {"fraud_label": label, "max_tokens": 128, "input_template": "input.j2"},
        "calibration": {"method": "platt", "a": platt[0], "b": platt[1]},
        "golden": {"file": "golden.jsonl", "tolerance": 1e-4},
    })
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def both(folder: Path, name: str, label: str, config: str, platt: tuple[float, float],
         fast: Path) -> None:
    """`fast` as it is and `plain` derived from it."""
    kinds: dict[str, Callable[[Path], None]] = {
        "fast": lambda out: shutil.copy(fast, out), "plain": lambda out: plain_graph(fast, out)}
    for kind, graph in kinds.items():
        if (folder / kind / "package.toml").exists():
            print(f"there   {folder / kind}")
            continue
        package(folder / kind, f"{name}-{kind}", label, config, platt, graph)
        print(f"written {folder / kind}", flush=True)


def full_size_graph(scratch: Path) -> Path:
    """Random weights, quantized over the golden texts, rewritten."""
    fast = scratch / "fast.onnx"
    if fast.exists():
        return fast
    print("making the full-size graph: weights, calibration, rewrite", flush=True)
    scratch.mkdir(parents=True, exist_ok=True)
    onnx.save(full_size.build(full_size.weights()), scratch / "fp32.onnx")
    feeds = (feed(text["input_ids"]) for text in golden_texts())
    quantize(scratch / "fp32.onnx", scratch / "int8.onnx", feeds)
    (scratch / "fp32.onnx").unlink()
    fast_graph(scratch / "int8.onnx", scratch / "fast.partial.onnx")
    (scratch / "fast.partial.onnx").rename(fast)
    return fast


def spread(graph: Path) -> tuple[float, float]:
    """A calibration that makes probabilities out of random logits."""
    rows = logits(graph, golden_texts()).astype(np.float64)
    margins = rows[:, 1] - rows[:, 0]
    slope = SLOPE / float(margins.std())
    return slope, OFFSET - slope * float(margins.mean())


def shipped_platt() -> tuple[float, float]:
    """The shipped calibration, read where it stands."""
    import tomllib
    found = tomllib.loads((SHIPPED / "package.toml").read_text(encoding="utf-8"))["calibration"]
    return found["a"], found["b"]


def main() -> None:
    """Makes what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "target/fixtures/tier1")
    out = parser.parse_args().out
    both(out / "shipped", "weir-screening", "fraud",
         (SHIPPED / "config.json").read_text(encoding="utf-8"), shipped_platt(),
         SHIPPED / "model.onnx")
    if all((out / "full-size" / kind / "package.toml").exists() for kind in ("fast", "plain")):
        print(f"there   {out / 'full-size'}")
        return
    fast = full_size_graph(out / "scratch")
    both(out / "full-size", "full-size", "FRAUD", json.dumps(full_size.config(), indent=2),
         spread(fast), fast)
    shutil.rmtree(out / "scratch")


if __name__ == "__main__":
    main()
