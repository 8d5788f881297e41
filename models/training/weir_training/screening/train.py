"""Trains the screening model."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from transformers import DistilBertForSequenceClassification

from ..shared.loop import (Budget, Checkpoints, Progress, learning_rate_factor, seed_everything,
                           write_json)
from ..shared.metrics import ranking
from ..shared.renders import Renders
from .model import FRAUD, build
from .sampling import Sampler
from .tokens import Encoded


@dataclass(frozen=True)
class Recipe:
    """Everything that shapes the weights."""

    seed: int = 7
    minutes: float | None = 30.0
    steps: int | None = None
    batch_size: int = 32
    learning_rate: float = 1.5e-4
    weight_decay: float = 0.05
    negatives_per_fraud: float = 8.0
    teacher_share: float = 0.5
    max_tokens: int = 128
    layers: int = 6
    width: int = 384
    bf16: bool = True
    resume: bool = True

    @classmethod
    def from_arguments(cls, args: argparse.Namespace) -> Recipe:
        """Takes the fields that the command line set."""
        return cls(**{name: getattr(args, name) for name in cls.__dataclass_fields__})


class Trainer:
    """Model, optimizer and the state they resume from."""

    def __init__(self, recipe: Recipe, renders: Renders, encoded: Encoded, teacher: np.ndarray,
                 vocab: dict[str, int], folder: Path) -> None:
        seed_everything(recipe.seed)
        self.recipe, self.renders, self.encoded, self.folder = recipe, renders, encoded, folder
        self.model = build(vocab, recipe.max_tokens, recipe.layers, recipe.width)
        self.optimizer = torch.optim.AdamW(self._groups(), lr=recipe.learning_rate,
                                           betas=(0.9, 0.98), fused=True)
        look_alike = np.array([bool(s) for s in renders.scenarios], np.float32)
        self.sampler = Sampler(renders.labels, teacher, look_alike, renders.rows("train"),
                               recipe.negatives_per_fraud, recipe.seed)
        self.soft = 1 / (1 + np.exp(-(np.clip(teacher, -9, 6) + self.sampler.prior_shift)))
        self.budget = Budget(recipe.minutes, recipe.steps)
        self.checkpoints = Checkpoints(folder / "checkpoint")
        self.epoch, self.batch = 0, 0
        self.history: list[dict[str, float]] = []
        if recipe.resume:
            self._resume()

    def _groups(self) -> list[dict[str, object]]:
        decayed = [p for p in self.model.parameters() if p.dim() >= 2]
        plain = [p for p in self.model.parameters() if p.dim() < 2]
        return [{"params": decayed, "weight_decay": self.recipe.weight_decay},
                {"params": plain, "weight_decay": 0.0}]

    def _resume(self) -> None:
        state = self.checkpoints.load()
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.batch, self.history = state["epoch"], state["batch"], state["history"]
        self.budget.step, self.budget.spent = state["step"], state["elapsed"]
        print(f"resumed at step {self.budget.step}, {self.budget.elapsed / 60:.1f} min trained")

    def save(self) -> None:
        """Writes a checkpoint."""
        self.checkpoints.save({
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch, "batch": self.batch, "history": self.history,
            "step": self.budget.step, "elapsed": self.budget.elapsed})

    def _forward(self, rows: np.ndarray) -> torch.Tensor:
        ids, mask = self.encoded.padded(rows)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bf16):
            out = self.model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))
        logits = out.logits.float()
        return logits[:, FRAUD] - logits[:, 1 - FRAUD]

    def step(self, rows: np.ndarray, weights: np.ndarray) -> float:
        """One optimizer step; returns the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * learning_rate_factor(self.budget.progress)
        margin = self._forward(rows)
        share = self.recipe.teacher_share
        truth = torch.from_numpy(self.renders.labels[rows])
        soft = torch.from_numpy(self.soft[rows].astype(np.float32))
        loss = functional.binary_cross_entropy_with_logits(
            margin, (1 - share) * truth + share * soft, weight=torch.from_numpy(weights[rows]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.budget.step += 1
        return float(loss.detach())

    def check(self, rows: np.ndarray) -> dict[str, float]:
        """A quick look at some validation rows, evenly weighted within their class."""
        self.model.eval()
        with torch.inference_mode():
            order = rows[np.argsort(self.encoded.lengths[rows])]
            margin = torch.cat([self._forward(order[i : i + 128])
                                for i in range(0, len(order), 128)]).numpy()
        self.model.train()
        return ranking(self.renders.labels[order], margin, np.ones(len(order)))

    def run(self, glance: np.ndarray) -> DistilBertForSequenceClassification:
        """Trains until the budget is spent; `glance` are validation rows to look at."""
        self.model.train()
        progress = Progress(self.budget)
        while not self.budget.over:
            epoch = self.sampler.epoch(self.epoch, self.encoded.lengths, self.recipe.batch_size)
            for rows in epoch.batches[self.batch :]:
                loss = self.step(rows, epoch.weights)
                self.batch += 1
                progress.update(loss, len(rows), f"epoch {self.epoch}")
                if self.checkpoints.due:
                    self.save()
                if self.budget.over:
                    break
            else:
                self.epoch, self.batch = self.epoch + 1, 0
                self._look(glance)
        self._look(glance)
        self.save()
        self._finish(progress.rate)
        return self.model.eval()

    def _look(self, glance: np.ndarray) -> None:
        seen = self.check(glance)
        self.history.append({"step": self.budget.step, **seen})
        print(f"validation glance: auc {seen['auc']:.4f}, ap {seen['average_precision']:.4f}",
              flush=True)

    def _finish(self, rate: float) -> None:
        self.model.save_pretrained(self.folder / "hf")
        write_json(self.folder / "training.json", {
            "recipe": asdict(self.recipe), "steps": self.budget.step, "epochs": self.epoch,
            "minutes": round(self.budget.elapsed / 60, 2), "examples_per_second": round(rate, 1),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "train_frauds": len(self.sampler.frauds), "train_legitimate": len(self.sampler.fair),
            "history": self.history})
