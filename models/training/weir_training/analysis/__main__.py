"""`python -m weir_training.analysis COMMAND`: select, prepare, train, export, package."""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import date
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from ..packaging.about import ANALYSES
from ..packaging.analysis import package
from ..screening.teacher import teach as screening_teacher
from ..shared.loop import read_json, write_json
from ..shared.metrics import sigmoid
from ..shared.renders import BOUNDS, bounds, load_screening
from .data import period_rows, read_cases, select_ids, write_ids
from .dataset import Dataset
from .evaluate import Probe, calibrate, graph_verdicts, margins_of, measure, verdict_logits, written
from .export import Graph, export
from .reports import Case, report
from .teacher import teach
from .tokens import END, encode_cases, frequent_buckets, save_tokenizer, train_tokenizer
from .train import PREFIX, VERDICTS, Recipe, Trainer

_STEPS = ("select", "prepare", "train", "export", "evaluate", "package")
_EPILOG = """\
Examples:
  python -m weir_training.analysis select      # work/select_ids.txt, for `weir render --select`
  python -m weir_training.analysis all --renders work/render_analysis.ndjson --minutes 30
  python -m weir_training.analysis train --device cuda --batch-size 96   # needs only what
      `prepare` wrote: work/analysis/dataset.npz"""
TRAIN, VALIDATION, TEST = 1, 2, 3


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    p = argparse.ArgumentParser(prog="python -m weir_training.analysis", epilog=_EPILOG,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("step", choices=(*_STEPS, "all"))
    p.add_argument("--name", choices=sorted(ANALYSES), default="weir-analysis")
    p.add_argument("--screening-renders", type=Path, default=Path("work/render_screening.ndjson"))
    p.add_argument("--screening-teacher", type=Path, default=Path("work/screening/teacher.npz"))
    p.add_argument("--select", type=Path, default=Path("work/select_ids.txt"))
    p.add_argument("--renders", type=Path, default=Path("work/render_analysis.ndjson"))
    p.add_argument("--work", type=Path, default=Path("work/analysis"))
    p.add_argument("--out", type=Path, default=Path("../analysis"))
    p.add_argument("--bounds", type=bounds, default=BOUNDS, metavar="TRAIN,VALIDATION,TEST",
                   help="days from the first on which these periods begin (default 10,120,150)")
    p.add_argument("--first-day", type=date.fromisoformat, default=date(2026, 1, 1))
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--minutes", type=float, default=30.0, help="0: no limit, use --steps")
    p.add_argument("--steps", type=int)
    p.add_argument("--learning-rate", type=float, default=6e-4)
    p.add_argument("--batch-size", type=int, default=24)
    p.add_argument("--layers", type=int, default=6)
    p.add_argument("--width", type=int, default=256)
    p.add_argument("--dropout", type=float, default=0.0, help="of attention")
    p.add_argument("--verdict-weight", type=float, default=1.0)
    p.add_argument("--fraud-repeat", type=int, default=2)
    p.add_argument("--teacher-share", type=float, default=0.5,
                   help="share of the teacher's opinion in the taught probability of fraud")
    p.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (of `train`)")
    p.add_argument("--vocabulary", type=int, default=4000)
    p.add_argument("--honest", type=int, default=30_000, help="look-alikes to select")
    p.add_argument("--ordinary", type=int, default=4_000, help="ordinary ones to select")
    p.add_argument("--precision", choices=("int4", "int8", "fp32"), default="int8")
    p.add_argument("--escalated", type=float, default=0.02,
                   help="cases above this tier-1 score calibrate and measure")
    p.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)
    return p


class Pipeline:
    """The steps over one set of rendered cases; what they share is made when first asked for."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.work = args, args.work
        self.work.mkdir(parents=True, exist_ok=True)

    @cached_property
    def cases(self) -> list[Case]:
        """All cases, with what they are taught to be."""
        args = self.args
        found = read_cases(args.renders, args.first_day)
        labels = np.array([case.fraud for case in found], np.float64)
        logits = teach([case.prompt for case in found], labels,
                       period_rows(found, TRAIN, args.bounds), args.seed, self.work / "teacher.npz")
        share = args.teacher_share
        belief = (1 - share) * labels + share * sigmoid(logits)
        return [replace(case, belief=float(p)) for case, p in zip(found, belief, strict=True)]

    @cached_property
    def answers(self) -> list[str]:
        """The report of each case."""
        rng = np.random.default_rng(self.args.seed)
        return [report(case, rng) for case in self.cases]

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, learnt from the training period when there is none yet."""
        path = self.work / "hf/tokenizer.json"
        if not path.exists():
            train = period_rows(self.cases, TRAIN, self.args.bounds)
            prompts = [self.cases[r].prompt for r in train]
            texts = prompts + [self.answers[r] for r in train] * 2
            learnt = train_tokenizer(texts, self.args.vocabulary, frequent_buckets(prompts))
            save_tokenizer(learnt, self.work / "hf")
        return Tokenizer.from_file(str(path))

    @cached_property
    def encoded(self) -> tuple[list[np.ndarray], np.ndarray]:
        """Token ids of prompt and report, and where each report begins."""
        rows, starts = encode_cases(self.tokenizer, [c.prompt for c in self.cases], self.answers)
        lengths = np.array([len(row) for row in rows])
        print(f"{len(rows)} cases, {sum(c.fraud for c in self.cases)} frauds; prompts "
              f"{starts.mean():.0f} tokens (longest {starts.max()}), answers "
              f"{(lengths - starts).mean():.0f} (longest {(lengths - starts).max()})", flush=True)
        return rows, starts

    @cached_property
    def probe(self) -> Probe:
        """Where the verdict is decided."""
        plain = {"add_special_tokens": False}
        prefix = self.tokenizer.encode(PREFIX, **plain).ids
        heads = []
        for verdict in VERDICTS:
            ids = self.tokenizer.encode(f'{PREFIX}{verdict}","', **plain).ids
            if ids[: len(prefix)] != prefix:
                raise SystemExit(f"the prefix is cut differently before {verdict}")
            heads.append(ids[len(prefix)])
        if len(set(heads)) != len(heads):
            raise SystemExit("two verdicts start with the same token")
        return Probe(np.array(prefix), np.array(heads))

    def prepare(self) -> None:
        """`dataset.npz`, all that `train` needs."""
        (rows, starts), train = self.encoded, period_rows(self.cases, TRAIN, self.args.bounds)
        cases = self._cases(train.tolist())
        Dataset(
            flat=np.concatenate([rows[r] for r in train]).astype(np.uint16),
            lengths=np.array([len(rows[r]) for r in train], np.int32),
            starts=starts[train].astype(np.int32),
            belief=np.array([case.belief for case in cases], np.float32),
            frauds=np.array([case.fraud for case in cases]), prefix=len(self.probe.prefix),
            heads=self.probe.heads, vocabulary=self.tokenizer.get_vocab_size(),
        ).save(self.work / "dataset.npz")

    def train(self) -> None:
        """The decoder, from `dataset.npz`."""
        recipe = Recipe.from_arguments(self.args)
        trainer = Trainer(recipe, Dataset.load(self.work / "dataset.npz"), self.work)
        trainer.run().save_pretrained(self.work / "hf")

    def export(self) -> None:
        """The graph that ships."""
        export(self.work / "hf", self.work / self.args.precision, self.args.precision,
               self.work / "scratch")

    def _escalated(self, period: int, most: int) -> list[int]:
        rows = [r for r in period_rows(self.cases, period, self.args.bounds)
                if self.cases[r].score >= self.args.escalated]
        rng = np.random.default_rng(self.args.seed)
        return sorted(rng.permutation(rows)[:most].tolist())

    def _prompts(self, rows: list[int]) -> list[np.ndarray]:
        encoded, starts = self.encoded
        return [encoded[r][: starts[r]] for r in rows]

    def _cases(self, rows: list[int]) -> list[Case]:
        return [self.cases[r] for r in rows]

    def evaluate(self) -> None:
        """Calibration and metrics, written to evaluation.json."""
        from transformers import LlamaForCausalLM
        model = LlamaForCausalLM.from_pretrained(self.work / "hf").eval()
        graph = Graph(self.work / self.args.precision)
        rows = self._escalated(VALIDATION, 6000)
        a, b = calibrate(self._cases(rows), verdict_logits(model, self._prompts(rows), self.probe))
        tested = self._escalated(TEST, 6000)
        full = verdict_logits(model, self._prompts(tested), self.probe)
        found = {"calibration": {"a": a, "b": b}, "teacher_share": self.args.teacher_share,
                 "test": measure(self._cases(tested), full, a, b)}
        few = tested[:: max(len(tested) // 300, 1)]
        shipped = graph_verdicts(graph, self._prompts(few), self.probe)
        plain = verdict_logits(model, self._prompts(few), self.probe)
        found["shipped_against_fp32"] = {
            "cases": len(few), "same_verdict": float((shipped.argmax(1) == plain.argmax(1)).mean()),
            "mean_margin_difference": float(np.abs(margins_of(shipped) - margins_of(plain)).mean())}
        some = few[::4]
        found["written"] = written(model, self._cases(some), self._prompts(some), self.probe,
                                   self.tokenizer.decode, self.tokenizer.token_to_id(END),
                                   self.args.seed)
        encoded, starts = self.encoded
        found["lengths"] = {"prompt_mean": float(starts.mean()),
                            "prompt_longest": int(starts.max()),
                            "answer_longest": int(max(len(r) - s for r, s in
                                                      zip(encoded, starts, strict=True)))}
        write_json(self.work / "evaluation.json", found)
        print(found, flush=True)

    def package(self) -> None:
        """The package folder."""
        golden = self._escalated(TEST, 10_000)[::97][:24]
        graph = Graph(self.work / self.args.precision, threads=1)
        logits = graph_verdicts(graph, self._prompts(golden), self.probe)
        package(self._cases(golden), logits, self.work, self.args.precision, self.args.out,
                read_json(self.work / "evaluation.json"), read_json(self.work / "training.json"),
                ANALYSES[self.args.name])


def select(args: argparse.Namespace) -> None:
    """Writes the ids to render."""
    renders = load_screening(args.screening_renders, None, args.bounds)
    suspicion = screening_teacher(renders, args.seed, args.screening_teacher)
    ids = select_ids(renders, suspicion, args.honest, args.ordinary, args.seed)
    write_ids(args.select, ids)
    print(f"{len(ids)} ids in {args.select}")


def main() -> None:
    """Runs one step or all but `select`."""
    args = parser().parse_args()
    if args.step == "select":
        select(args)
        return
    args.minutes = args.minutes or None
    torch.set_num_threads(args.threads)
    pipeline = Pipeline(args)
    for step in _STEPS[1:] if args.step == "all" else [args.step]:
        print(f"== {step}", flush=True)
        getattr(pipeline, step)()


if __name__ == "__main__":
    main()
