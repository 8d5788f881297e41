"""`python -m weir_training.analysis COMMAND`: select, train, export, package."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from ..packaging.analysis import package
from ..screening.teacher import teach
from ..shared.loop import read_json, write_json
from ..shared.renders import load_screening
from .data import period_rows, read_cases, select_ids, write_ids
from .evaluate import Probe, calibrate, graph_verdicts, margins_of, measure, verdict_logits, written
from .export import Graph, export
from .reports import Case, report
from .tokens import END, encode_cases, save_tokenizer, train_tokenizer
from .train import PREFIX, VERDICTS, Recipe, Trainer

_STEPS = ("select", "train", "export", "evaluate", "package")
_EPILOG = """\
Examples:
  python -m weir_training.analysis select      # work/select_ids.txt, for `weir render --select`
  python -m weir_training.analysis all --renders work/render_analysis.ndjson --minutes 30"""
TRAIN, VALIDATION, TEST = 1, 2, 3


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    p = argparse.ArgumentParser(prog="python -m weir_training.analysis", epilog=_EPILOG,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("step", choices=(*_STEPS, "all"))
    p.add_argument("--screening-renders", type=Path, default=Path("work/render_screening.ndjson"))
    p.add_argument("--renders", type=Path, default=Path("work/render_analysis.ndjson"))
    p.add_argument("--work", type=Path, default=Path("work/analysis"))
    p.add_argument("--out", type=Path, default=Path("../analysis"))
    p.add_argument("--first-day", type=date.fromisoformat, default=date(2026, 1, 1))
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--minutes", type=float, default=30.0, help="0: no limit, use --steps")
    p.add_argument("--steps", type=int)
    p.add_argument("--learning-rate", type=float, default=6e-4)
    p.add_argument("--vocabulary", type=int, default=4000)
    p.add_argument("--honest", type=int, default=30_000, help="look-alikes to select")
    p.add_argument("--ordinary", type=int, default=4_000, help="ordinary ones to select")
    p.add_argument("--precision", choices=("int4", "int8", "fp32"), default="int8")
    p.add_argument("--escalated", type=float, default=0.02,
                   help="cases above this tier-1 score calibrate and measure")
    p.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)
    return p


class Pipeline:
    """The steps over one set of rendered cases."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.work = args, args.work
        self.work.mkdir(parents=True, exist_ok=True)
        self.cases = read_cases(args.renders, args.first_day)
        rng = np.random.default_rng(args.seed)
        self.answers = [report(case, rng) for case in self.cases]
        train = period_rows(self.cases, TRAIN)
        path = self.work / "hf/tokenizer.json"
        if not path.exists():
            texts = [self.cases[r].prompt for r in train] + [self.answers[r] for r in train] * 2
            save_tokenizer(train_tokenizer(texts, args.vocabulary), self.work / "hf")
        self.tokenizer = Tokenizer.from_file(str(path))
        self.rows, self.starts = encode_cases(
            self.tokenizer, [case.prompt for case in self.cases], self.answers)
        self.probe = self._probe()
        lengths = np.array([len(row) for row in self.rows])
        print(f"{len(self.cases)} cases, {sum(c.fraud for c in self.cases)} frauds; prompts "
              f"{self.starts.mean():.0f} tokens (longest {self.starts.max()}), answers "
              f"{(lengths - self.starts).mean():.0f} (longest {(lengths - self.starts).max()})",
              flush=True)

    def _probe(self) -> Probe:
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

    def train(self) -> None:
        """The decoder."""
        args, train = self.args, period_rows(self.cases, TRAIN)
        recipe = Recipe(seed=args.seed, minutes=args.minutes, steps=args.steps,
                        learning_rate=args.learning_rate, resume=args.resume)
        frauds = np.array([self.cases[r].fraud for r in train])
        trainer = Trainer(recipe, [self.rows[r] for r in train], self.starts[train], frauds,
                          len(self.probe.prefix), self.tokenizer.get_vocab_size(), self.work)
        trainer.run().float().save_pretrained(self.work / "hf")

    def export(self) -> None:
        """The graph that ships."""
        export(self.work / "hf", self.work / self.args.precision, self.args.precision,
               self.work / "scratch")

    def _escalated(self, period: int, most: int) -> list[int]:
        rows = [r for r in period_rows(self.cases, period)
                if self.cases[r].score >= self.args.escalated]
        rng = np.random.default_rng(self.args.seed)
        return sorted(rng.permutation(rows)[:most].tolist())

    def _prompts(self, rows: list[int]) -> list[np.ndarray]:
        return [self.rows[r][: self.starts[r]] for r in rows]

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
        found = {"calibration": {"a": a, "b": b},
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
        found["lengths"] = {"prompt_mean": float(self.starts.mean()),
                            "prompt_longest": int(self.starts.max()),
                            "answer_longest": int(max(len(r) - s for r, s in
                                                      zip(self.rows, self.starts, strict=True)))}
        write_json(self.work / "evaluation.json", found)
        print(found, flush=True)

    def package(self) -> None:
        """The package folder."""
        golden = self._escalated(TEST, 10_000)[::97][:24]
        graph = Graph(self.work / self.args.precision, threads=1)
        logits = graph_verdicts(graph, self._prompts(golden), self.probe)
        package(self._cases(golden), logits, self.work, self.args.precision, self.args.out,
                read_json(self.work / "evaluation.json"), read_json(self.work / "training.json"))


def select(args: argparse.Namespace) -> None:
    """Writes the ids to render."""
    renders = load_screening(args.screening_renders, None)
    suspicion = teach(renders, args.seed, Path("work/screening/teacher.npz"))
    ids = select_ids(renders, suspicion, args.honest, args.ordinary, args.seed)
    write_ids(Path("work/select_ids.txt"), ids)
    print(f"{len(ids)} ids in work/select_ids.txt")


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
