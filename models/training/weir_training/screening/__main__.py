"""`python -m weir_training.screening COMMAND`: tokenizer, train, export, evaluate, package."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from ..packaging.screening import package
from ..shared.loop import read_json, write_json
from ..shared.renders import Renders, load_screening
from .evaluate import evaluate, sample_period
from .export import export_fp32, invariance, session
from .fast_graph import fast_graph
from .model import build
from .quantize import quantize
from .teacher import teach
from .tokens import coverage, encode, load_tokenizer, save_tokenizer, train_tokenizer
from .train import Recipe, Trainer

_STEPS = ("tokenizer", "train", "export", "evaluate", "package")
_EPILOG = """\
Examples:
  python -m weir_training.screening all --renders work/render_screening.ndjson --minutes 30
  python -m weir_training.screening train --steps 4000 --minutes 0   # reproducible from its seed
Each step keeps what it made in --work and goes on from there."""


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    p = argparse.ArgumentParser(prog="python -m weir_training.screening", epilog=_EPILOG,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("step", choices=(*_STEPS, "all"))
    p.add_argument("--renders", type=Path, default=Path("work/render_screening.ndjson"))
    p.add_argument("--work", type=Path, default=Path("work/screening"))
    p.add_argument("--out", type=Path, default=Path("../screening"))
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
    p.add_argument("--max-tokens", type=int, default=128)
    p.add_argument("--vocabulary", type=int, default=7000)
    p.add_argument("--layers", type=int, default=6)
    p.add_argument("--width", type=int, default=384)
    p.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    p.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)
    p.add_argument("--sample", type=int, default=40_000, help="rows per period to evaluate")
    return p


class Pipeline:
    """The steps over one data set; what they share is made once."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.work = args, args.work
        self.work.mkdir(parents=True, exist_ok=True)
        self.renders: Renders = load_screening(args.renders, args.limit)
        print(f"{len(self.renders.texts)} renders, {int(self.renders.labels.sum())} frauds, "
              f"{self.renders.slots} slots", flush=True)
        if not (self.work / "tokenizer/tokenizer.json").exists() or args.step == "tokenizer":
            self._make_tokenizer()
        self.tokenizer = load_tokenizer(self.work / "tokenizer", args.max_tokens)
        self.encoded = encode(self.tokenizer, self.renders.texts, self.work / "encoded.npz")
        self.seen = coverage(self.tokenizer, self.renders, self.renders.rows("test")[::7])
        print(f"vocabulary {self.tokenizer.get_vocab_size()}, {self.seen}", flush=True)

    def _make_tokenizer(self) -> None:
        train = self.renders.rows("train")
        tokenizer = train_tokenizer([self.renders.texts[r] for r in train], self.args.vocabulary)
        save_tokenizer(tokenizer, self.work / "tokenizer", self.args.max_tokens)

    def train(self) -> None:
        """Teacher, then transformer."""
        logits = teach(self.renders, self.args.seed, self.work / "teacher.npz")
        recipe = Recipe.from_arguments(self.args)
        glance = sample_period(self.renders, "validation", 5000, self.args.seed).rows
        trainer = Trainer(recipe, self.renders, self.encoded, logits, self.tokenizer.get_vocab(),
                          self.work)
        trainer.run(glance)

    def export(self) -> None:
        """FP32 graph, INT8 graph, and that rewritten for speed: `int8.onnx`."""
        export_fp32(self.work / "hf", self.work / "fp32.onnx")
        train = self.renders.rows("train")
        frauds = train[self.renders.labels[train] > 0.5]
        rng = np.random.default_rng(self.args.seed)
        rows = np.concatenate([rng.choice(train, 400), rng.choice(frauds, 100)])
        feeds = (self.encoded.padded(np.array([row])) for row in rows)
        quantize(self.work / "fp32.onnx", self.work / "int8_plain.onnx", feeds)
        fast_graph(self.work / "int8_plain.onnx", self.work / "int8.onnx")

    def evaluate(self) -> None:
        """Calibration and metrics, written to evaluation.json."""
        logits = teach(self.renders, self.args.seed, self.work / "teacher.npz")
        report = evaluate(self.renders, self.encoded, logits, self.work, self.args.sample,
                          self.args.seed)
        rows = np.random.default_rng(1).choice(self.renders.rows("test"), 32, replace=False)
        report["invariance"] = {
            f"{kind}_{name}": value for kind in ("fp32", "int8")
            for name, value in invariance(session(self.work / f"{kind}.onnx"), self.encoded,
                                          rows).items()}
        report["vocabulary"] = {"size": self.tokenizer.get_vocab_size(), **self.seen}
        write_json(self.work / "evaluation.json", report)
        for part in ("calibration", "validation", "test", "baselines_test", "int8_against_fp32",
                     "invariance", "test_by_typology"):
            print(part, report[part], flush=True)

    def package(self) -> None:
        """The package folder."""
        package(self.renders, self.encoded, self.work, self.args.out, self.args.seed)


def main() -> None:
    """Runs one step or all."""
    args = parser().parse_args()
    args.minutes = args.minutes or None
    if args.minutes is None and args.steps is None:
        parser().error("give --minutes or --steps")
    torch.set_num_threads(args.threads)
    pipeline = Pipeline(args)
    for step in _STEPS[1:] if args.step == "all" else [s for s in _STEPS[1:] if s == args.step]:
        print(f"== {step}", flush=True)
        getattr(pipeline, step)()


if __name__ == "__main__":
    main()
