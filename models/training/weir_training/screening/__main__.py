"""`python -m weir_training.screening COMMAND`: prepare, train, export, evaluate, package."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from onnxruntime.quantization import CalibrationMethod
from tokenizers import Tokenizer

from ..packaging.about import ABOUT
from ..packaging.screening import package
from ..shared.loop import read_json, write_json
from ..shared.renders import BOUNDS, Renders, bounds, load_screening
from .dataset import Dataset, prepare
from .evaluate import evaluate, sample_period
from .export import export_fp32, invariance, session
from .fast_graph import fast_graph
from .quantize import quantize
from .teacher import teach
from .tokens import Encoded, coverage, encode, load_tokenizer, save_tokenizer, train_tokenizer
from .train import Recipe, Trainer
from .variants import Bench, markdown, variants

_STEPS = ("tokenizer", "prepare", "train", "export", "evaluate", "package")
_EPILOG = """\
Examples:
  python -m weir_training.screening all --renders work/render_screening.ndjson --minutes 30
  python -m weir_training.screening train --steps 4000 --minutes 0   # reproducible from its seed
  python -m weir_training.screening train --device cuda --batch-size 256   # needs only what
      `prepare` wrote: work/screening/dataset.npz and work/screening/tokenizer
Each step keeps what it made in --work and goes on from there."""


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    p = argparse.ArgumentParser(prog="python -m weir_training.screening", epilog=_EPILOG,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("step", choices=(*_STEPS, "all", "variants"),
                   help="all: from prepare on; variants: number formats of the FP32 graph compared")
    p.add_argument("--renders", type=Path, default=Path("work/render_screening.ndjson"))
    p.add_argument("--work", type=Path, default=Path("work/screening"))
    p.add_argument("--out", type=Path, default=Path("../screening"))
    p.add_argument("--name", choices=sorted(ABOUT), default="weir-screening")
    p.add_argument("--limit", type=int, help="read only the first lines (for trials)")
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--minutes", type=float, default=30.0, help="0: no limit, use --steps")
    p.add_argument("--steps", type=int)
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--learning-rate", type=float, default=1.5e-4)
    p.add_argument("--weight-decay", type=float, default=0.05)
    p.add_argument("--negatives-per-fraud", type=float, default=8.0)
    p.add_argument("--teacher-share", type=float, default=0.5, help="weight of the soft labels")
    p.add_argument("--margin-weight", type=float, default=0.0,
                   help="weight of the distance to the teacher's log-odds")
    p.add_argument("--most-legitimate", type=int, default=450_000,
                   help="legitimate training rows to keep at most")
    p.add_argument("--max-tokens", type=int, default=128)
    p.add_argument("--vocabulary", type=int, default=7000)
    p.add_argument("--layers", type=int, default=6)
    p.add_argument("--width", type=int, default=384)
    p.add_argument("--dropout", type=float, default=0.1)
    p.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (of `train`)")
    p.add_argument("--bounds", type=bounds, default=BOUNDS, metavar="TRAIN,VALIDATION,TEST",
                   help="days from the first on which these periods begin (default 10,120,150)")
    p.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    p.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)
    p.add_argument("--calibration", choices=("MinMax", "Percentile"), default="MinMax",
                   help="how `export` finds the ranges of activations")
    p.add_argument("--sample", type=int, default=40_000, help="rows per period to evaluate")
    return p


class Pipeline:
    """The steps over one data set; what they share is made once, when first asked for."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.work = args, args.work
        self.work.mkdir(parents=True, exist_ok=True)

    @cached_property
    def renders(self) -> Renders:
        """The rendered stream."""
        found = load_screening(self.args.renders, self.args.limit, self.args.bounds)
        print(f"{len(found.texts)} renders, {int(found.labels.sum())} frauds, "
              f"{found.slots} slots", flush=True)
        return found

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, learnt from the training period when there is none yet."""
        if not (self.work / "tokenizer/tokenizer.json").exists():
            self.learn_tokenizer()
        return load_tokenizer(self.work / "tokenizer", self.args.max_tokens)

    @cached_property
    def encoded(self) -> Encoded:
        """Token ids of all renders."""
        return encode(self.tokenizer, self.renders.texts, self.work / "encoded.npz")

    def learn_tokenizer(self) -> None:
        """Learns the tokenizer anew."""
        train = self.renders.rows("train")
        tokenizer = train_tokenizer([self.renders.texts[r] for r in train], self.args.vocabulary)
        save_tokenizer(tokenizer, self.work / "tokenizer", self.args.max_tokens)

    def teacher(self) -> np.ndarray:
        """The teacher's log-odds of every row."""
        return teach(self.renders, self.args.seed, self.work / "teacher.npz")

    def prepare(self) -> None:
        """`dataset.npz`, all that `train` needs beside the tokenizer."""
        data = prepare(self.renders, self.encoded, self.teacher(), self.args.most_legitimate,
                       self.args.seed)
        data.save(self.work / "dataset.npz")

    def train(self) -> None:
        """The transformer, from `dataset.npz`."""
        trainer = Trainer(Recipe.from_arguments(self.args), Dataset.load(self.work / "dataset.npz"),
                          self.tokenizer.get_vocab(), self.work)
        trainer.run()

    def export(self) -> None:
        """FP32 graph, INT8 graph, and that rewritten for speed: `int8.onnx`."""
        export_fp32(self.work / "hf", self.work / "fp32.onnx")
        method = CalibrationMethod[self.args.calibration]
        quantize(self.work / "fp32.onnx", self.work / "int8_plain.onnx", self.feeds(), method)
        fast_graph(self.work / "int8_plain.onnx", self.work / "int8.onnx")

    def feeds(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Ids and masks of 500 training rows, one at a time, to calibrate activations with."""
        train = self.renders.rows("train")
        frauds = train[self.renders.labels[train] > 0.5]
        rng = np.random.default_rng(self.args.seed)
        rows = np.concatenate([rng.choice(train, 400), rng.choice(frauds, 100)])
        return (self.encoded.padded(np.array([row])) for row in rows)

    def variants(self) -> None:
        """Number formats side by side: `results/variants-NAME.json` and `.md`."""
        platt = read_json(self.work / "evaluation.json")["calibration"]
        sample = sample_period(self.renders, "test", min(self.args.sample, 12_000), self.args.seed)
        bench = Bench(self.renders, self.encoded, sample, (platt["a"], platt["b"]), self.work)
        found = variants(bench, self.feeds)
        results = Path("results")
        write_json(results / f"variants-{self.args.name}.json", found)
        table = markdown(self.args.name, found, len(sample.rows))
        (results / f"variants-{self.args.name}.md").write_text(table, encoding="utf-8")
        print(table)

    def evaluate(self) -> None:
        """Calibration and metrics, written to evaluation.json."""
        report = evaluate(self.renders, self.encoded, self.teacher(), self.work, self.args.sample,
                          self.args.seed)
        rows = np.random.default_rng(1).choice(self.renders.rows("test"), 32, replace=False)
        seen = coverage(self.tokenizer, self.renders, self.renders.rows("test")[::7])
        report["invariance"] = {
            f"{kind}_{name}": value for kind in ("fp32", "int8")
            for name, value in invariance(session(self.work / f"{kind}.onnx"), self.encoded,
                                          rows).items()}
        report["vocabulary"] = {"size": self.tokenizer.get_vocab_size(), **seen}
        write_json(self.work / "evaluation.json", report)
        for part in ("calibration", "validation", "test", "baselines_test", "int8_against_fp32",
                     "invariance", "test_by_typology"):
            print(part, report[part], flush=True)

    def package(self) -> None:
        """The package folder."""
        package(self.renders, self.encoded, self.work, self.args.out, ABOUT[self.args.name],
                self.args.seed)


def main() -> None:
    """Runs one step or all."""
    args = parser().parse_args()
    args.minutes = args.minutes or None
    if args.minutes is None and args.steps is None:
        parser().error("give --minutes or --steps")
    torch.set_num_threads(args.threads)
    pipeline = Pipeline(args)
    for step in _STEPS[1:] if args.step == "all" else [args.step]:
        print(f"== {step}", flush=True)
        pipeline.learn_tokenizer() if step == "tokenizer" else getattr(pipeline, step)()


if __name__ == "__main__":
    main()
