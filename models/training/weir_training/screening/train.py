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
from .dataset import Dataset
from .model import FRAUD, build
from .sampling import Sampler


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
    margin_weight: float = 0.0  # of the (smooth L1) distance to the teacher's log-odds
    max_tokens: int = 128
    layers: int = 6
    width: int = 384
    dropout: float = 0.1
    bf16: bool = True
    device: str = "cpu"
    resume: bool = True

    @classmethod
    def from_arguments(cls, args: argparse.Namespace) -> Recipe:
        """Takes the fields that the command line set."""
        return cls(**{name: getattr(args, name) for name in cls.__dataclass_fields__})


class Trainer:
    """Model, optimizer and the state they resume from."""

    def __init__(self, recipe: Recipe, data: Dataset, vocab: dict[str, int],
                 folder: Path) -> None:
        seed_everything(recipe.seed)
        self.recipe, self.data, self.folder = recipe, data, folder
        self.device = torch.device(recipe.device)
        self.model = build(vocab, recipe.max_tokens, recipe.layers, recipe.width,
                           recipe.dropout).to(self.device)
        self.optimizer = torch.optim.AdamW(self._groups(), lr=recipe.learning_rate,
                                           betas=(0.9, 0.98), fused=True)
        self.sampler = Sampler(data.labels, data.teacher, data.look_alike, data.train,
                               recipe.negatives_per_fraud, recipe.seed)
        # The draw of an epoch holds more fraud than the data: the teacher's odds move with it.
        drawn = np.clip(data.teacher, -9, 7) + self.sampler.prior_shift
        self.ids, self.lengths = self._table(), data.encoded.lengths
        self.labels, self.drawn = self._tensor(data.labels), self._tensor(drawn)
        self.budget = Budget(recipe.minutes, recipe.steps)
        self.checkpoints = Checkpoints(folder / "checkpoint")
        self.epoch, self.batch = 0, 0
        self.history: list[dict[str, float]] = []
        if recipe.resume:
            self._resume()

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self.device)

    def _table(self) -> torch.Tensor:
        """All token ids, `[n, longest]`, padded with 0, on the device."""
        encoded = self.data.encoded
        table = np.zeros((len(encoded.lengths), int(encoded.lengths.max())), np.int32)
        table[np.arange(table.shape[1]) < encoded.lengths[:, None]] = encoded.flat
        return torch.from_numpy(table).to(self.device)

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
        lengths = torch.from_numpy(self.lengths[rows]).to(self.device)
        longest = int(self.lengths[rows].max())
        ids = self.ids[torch.from_numpy(rows).to(self.device), :longest].long()
        mask = torch.arange(longest, device=self.device) < lengths[:, None]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bf16):
            out = self.model(input_ids=ids, attention_mask=mask.long())
        logits = out.logits.float()
        return logits[:, FRAUD] - logits[:, 1 - FRAUD]

    def step(self, rows: np.ndarray, weights: np.ndarray) -> torch.Tensor:
        """One optimizer step; returns the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * learning_rate_factor(self.budget.progress)
        margin, share = self._forward(rows), self.recipe.teacher_share
        places = torch.from_numpy(rows).to(self.device)
        weight, drawn = self._tensor(weights[rows]), self.drawn[places]
        target = (1 - share) * self.labels[places] + share * torch.sigmoid(drawn)
        loss = functional.binary_cross_entropy_with_logits(margin, target, weight=weight)
        if self.recipe.margin_weight:
            apart = functional.smooth_l1_loss(margin, drawn, reduction="none")
            loss = loss + self.recipe.margin_weight * (weight * apart).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.budget.step += 1
        return loss.detach()

    def margins(self, rows: np.ndarray, size: int = 512) -> np.ndarray:
        """Fraud margins of some rows, without dropout."""
        self.model.eval()
        out = np.zeros(len(rows), np.float32)
        order = np.argsort(self.lengths[rows], kind="stable")
        with torch.inference_mode():
            for start in range(0, len(rows), size):
                places = order[start : start + size]
                out[places] = self._forward(rows[places]).cpu().numpy()
        self.model.train()
        return out

    def check(self, rows: np.ndarray) -> dict[str, float]:
        """A quick look at some validation rows, evenly weighted within their class."""
        return ranking(self.data.labels[rows], self.margins(rows), np.ones(len(rows)))

    def run(self) -> DistilBertForSequenceClassification:
        """Trains until the budget is spent."""
        self.model.train()
        progress = Progress(self.budget)
        while not self.budget.over:
            epoch = self.sampler.epoch(self.epoch, self.lengths, self.recipe.batch_size)
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
                self._look()
        self._look()
        self.save()
        self._finish(progress.rate)
        return self.model.eval()

    def _look(self) -> None:
        seen = self.check(self.data.glance)
        self.history.append({"step": self.budget.step, **seen})
        print(f"validation glance: auc {seen['auc']:.4f}, ap {seen['average_precision']:.4f}",
              flush=True)

    def _finish(self, rate: float) -> None:
        self.model.cpu().save_pretrained(self.folder / "hf")
        write_json(self.folder / "training.json", {
            "recipe": asdict(self.recipe), "steps": self.budget.step, "epochs": self.epoch,
            "minutes": round(self.budget.elapsed / 60, 2), "examples_per_second": round(rate, 1),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "train_frauds": len(self.sampler.frauds), "train_legitimate": len(self.sampler.fair),
            "history": self.history})
