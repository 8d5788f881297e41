"""Fine-tunes any sequence classifier on prepared data: all weights, or LoRA adapters.

    python -m weir_training.screening.finetune --base FOLDER --method lora --work work/screening
    python -m weir_training.screening.finetune --base FOLDER --method compare --work work/screening

`--base` is a local folder or, where there is a network, a Hugging Face identifier of a DistilBERT,
BERT, RoBERTa or the like with its tokenizer; its head is made anew. It reads the texts that `weir
render --tier screening` printed. LoRA (Hu et al., 2021) trains two thin matrices beside each query
and value projection, and the head; they are merged before the model is saved, so that what comes
out is a plain checkpoint for `export`.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, TaskType, get_peft_model
from torch.nn import functional
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from ..shared.loop import learning_rate_factor, seed_everything, write_json
from ..shared.metrics import ranking
from ..shared.renders import BOUNDS, Renders, bounds, load_screening
from .evaluate import sample_period
from .model import FRAUD, LABELS

# Names of the query and value projections, by what they end in.
_PROJECTIONS = (("q_lin", "v_lin"), ("query", "value"), ("q_proj", "v_proj"), ("Wqkv",))


@dataclass(frozen=True)
class Plan:
    """How to fine-tune."""

    method: str  # full or lora
    steps: int = 600
    batch_size: int = 32
    learning_rate: float = 3e-4
    rank: int = 8
    max_tokens: int = 128
    negatives_per_fraud: float = 8.0
    seed: int = 7
    device: str = "cpu"


def adapted(model: PreTrainedModel, rank: int) -> PreTrainedModel:
    """The model with LoRA adapters on its queries and values; only they and the head train.

    Raises:
        ValueError: no projection of a known name.
    """
    names = [name.rsplit(".", 1)[-1] for name, _ in model.named_modules()]
    found = next((pair for pair in _PROJECTIONS if all(part in names for part in pair)), None)
    if found is None:
        raise ValueError("no query and value projections of a known name: "
                         + ", ".join("/".join(pair) for pair in _PROJECTIONS))
    config = LoraConfig(task_type=TaskType.SEQ_CLS, r=rank, lora_alpha=2 * rank, lora_dropout=0.05,
                        target_modules=list(found))
    return get_peft_model(model, config)


def fresh(base: str) -> PreTrainedModel:
    """The base with a new head of Weir's two labels."""
    return AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=2, id2label=LABELS, label2id={v: k for k, v in LABELS.items()},
        ignore_mismatched_sizes=True)


class Tuning:
    """One run over the training period."""

    def __init__(self, base: str, plan: Plan, renders: Renders) -> None:
        seed_everything(plan.seed)
        self.plan, self.renders = plan, renders
        self.tokenizer = AutoTokenizer.from_pretrained(base)
        model = fresh(base)
        head = [p for n, p in model.named_parameters() if "classifier" in n]
        for parameter in head:  # a base that classified before must not bring its answers along
            torch.nn.init.normal_(parameter, std=0.02)
        self.model = (adapted(model, plan.rank) if plan.method == "lora" else model).to(plan.device)
        self.trained = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        train = renders.rows("train")
        self.frauds = train[renders.labels[train] > 0.5]
        self.fair = train[renders.labels[train] < 0.5]

    def margins(self, rows: np.ndarray) -> torch.Tensor:
        """Fraud margins `[n]`."""
        texts = [self.renders.texts[r] for r in rows]
        fed = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt",
                             max_length=self.plan.max_tokens, return_token_type_ids=False)
        logits = self.model(**fed.to(self.plan.device)).logits.float()
        return logits[:, FRAUD] - logits[:, 1 - FRAUD]

    def run(self) -> float:
        """Trains; answers the seconds spent."""
        plan, begin = self.plan, time.monotonic()
        rng = np.random.default_rng(plan.seed)
        weights = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=plan.learning_rate, weight_decay=0.01)
        frauds = max(int(plan.batch_size / (1 + plan.negatives_per_fraud)), 1)
        self.model.train()
        for step in range(plan.steps):
            rows = np.concatenate([rng.choice(self.frauds, frauds),
                                   rng.choice(self.fair, plan.batch_size - frauds)])
            truth = torch.from_numpy(self.renders.labels[rows]).to(plan.device)
            loss = functional.binary_cross_entropy_with_logits(self.margins(rows), truth)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            for group in optimizer.param_groups:
                group["lr"] = plan.learning_rate * learning_rate_factor(step / plan.steps)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if step % 100 == 0:
                print(f"{plan.method}: step {step} of {plan.steps}, loss {loss.item():.4f}", flush=True)
        self.model.eval()
        return time.monotonic() - begin

    def quality(self, size: int) -> dict[str, float]:
        """Ranking on every fraud and some other rows of the test period."""
        sample = sample_period(self.renders, "test", size, self.plan.seed)
        with torch.inference_mode():
            margin = np.concatenate([self.margins(part).cpu().numpy() for part in
                                     np.array_split(sample.rows, max(len(sample.rows) // 256, 1))])
        return ranking(self.renders.labels[sample.rows], margin, sample.weights)

    def save(self, out: Path) -> None:
        """A plain checkpoint; adapters are merged into the weights."""
        model = self.model.merge_and_unload() if self.plan.method == "lora" else self.model
        model.save_pretrained(out)
        self.tokenizer.save_pretrained(out)


def tune(base: str, plan: Plan, renders: Renders, out: Path, size: int) -> dict[str, float]:
    """One method from base to checkpoint, and what it took."""
    tuning = Tuning(base, plan, renders)
    seconds = tuning.run()
    found = {"trained_parameters": tuning.trained, "seconds": round(seconds, 1),
             "optimizer_bytes": 8 * tuning.trained, **tuning.quality(size)}
    tuning.save(out)
    return found


def markdown(found: dict[str, dict[str, float]], base: str, plan: Plan) -> str:
    """The table of a comparison."""
    lines = ["# Full fine-tuning and LoRA", "",
             f"Base `{base}` with a new head, {plan.steps} steps of {plan.batch_size}, on "
             f"{plan.device}; ranking on the test period.", "",
             "| | trained parameters | optimizer state, MB | seconds | AUC | AP |",
             "|---|---|---|---|---|---|"]
    lines += [f"| {name} | {m['trained_parameters']:,} | {m['optimizer_bytes'] / 1e6:.2f} | "
              f"{m['seconds']:.0f} | {m['auc']:.4f} | {m['average_precision']:.4f} |"
              for name, m in found.items()]
    return "\n".join(lines) + "\n"


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    p = argparse.ArgumentParser(prog="python -m weir_training.screening.finetune",
                                description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--base", required=True)
    p.add_argument("--method", choices=("full", "lora", "compare"), default="lora")
    p.add_argument("--renders", type=Path, default=Path("work/render_screening.ndjson"))
    p.add_argument("--work", type=Path, default=Path("work/finetune"))
    p.add_argument("--bounds", type=bounds, default=BOUNDS, metavar="TRAIN,VALIDATION,TEST")
    p.add_argument("--limit", type=int, help="read only the first lines (for trials)")
    p.add_argument("--steps", type=int, default=600)
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--learning-rate", type=float, default=3e-4)
    p.add_argument("--rank", type=int, default=8)
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--device", default="cpu")
    p.add_argument("--sample", type=int, default=12_000, help="rows of the test period to rank")
    return p


def main() -> None:
    """Fine-tunes by one method, or by both and compares them."""
    args = parser().parse_args()
    renders = load_screening(args.renders, args.limit, args.bounds)
    methods = ("full", "lora") if args.method == "compare" else (args.method,)
    found, plan = {}, None
    for method in methods:
        plan = Plan(method, args.steps, args.batch_size, args.learning_rate, args.rank,
                    seed=args.seed, device=args.device)
        found[method] = tune(args.base, plan, renders, args.work / method, args.sample)
    write_json(args.work / "finetune.json", found)
    table = markdown(found, args.base, plan)
    (args.work / "finetune.md").write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
