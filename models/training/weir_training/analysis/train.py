"""Trains the decoder: the report token by token, and the verdict as a probability.

The verdict's token is taught the shares that a probability of fraud stands for (see
`dataset.verdict_shares`), part truth and part teacher, so that its margin ranks; the rest of the
report is taught as it was written.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from ..shared.loop import (Budget, Checkpoints, Progress, learning_rate_factor, seed_everything,
                           write_json)
from .dataset import Dataset, verdict_shares

VERDICTS = ("fraud", "suspicious", "legitimate")
PREFIX = '{"verdict":"'


@dataclass(frozen=True)
class Recipe:
    """Everything that shapes the weights."""

    seed: int = 7
    minutes: float | None = 30.0
    steps: int | None = None
    batch_size: int = 24
    learning_rate: float = 6e-4
    weight_decay: float = 0.05
    prompt_weight: float = 0.02
    verdict_weight: float = 1.0  # of the verdict's cross-entropy beside that of a report's token
    fraud_repeat: int = 2
    layers: int = 6
    width: int = 256
    dropout: float = 0.0
    bf16: bool = True
    device: str = "cpu"
    resume: bool = True

    @classmethod
    def from_arguments(cls, args: argparse.Namespace) -> Recipe:
        """Takes the fields that the command line has."""
        return cls(**{k: getattr(args, k) for k in cls.__dataclass_fields__ if hasattr(args, k)})


def build(vocabulary: int, recipe: Recipe) -> LlamaForCausalLM:
    """A fresh Llama with tied embeddings and grouped key-value heads."""
    heads = recipe.width // 64
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=recipe.width, intermediate_size=recipe.width * 11 // 4,
        num_hidden_layers=recipe.layers, num_attention_heads=heads, num_key_value_heads=heads // 2,
        head_dim=64, max_position_embeddings=1024, tie_word_embeddings=True, bos_token_id=1,
        eos_token_id=2, pad_token_id=0, rms_norm_eps=1e-5, attention_dropout=recipe.dropout,
        dtype="float32")
    return LlamaForCausalLM(config)


class Trainer:
    """Model, optimizer and the state they resume from."""

    def __init__(self, recipe: Recipe, data: Dataset, folder: Path) -> None:
        seed_everything(recipe.seed)
        self.recipe, self.data, self.folder = recipe, data, folder
        self.device = torch.device(recipe.device)
        self.model = build(int(data.vocabulary), recipe).to(self.device)
        self.ids = torch.from_numpy(data.table()).to(self.device)
        self.lengths = torch.from_numpy(data.lengths).to(self.device)
        self.starts = torch.from_numpy(data.starts).to(self.device)
        self.shares = torch.from_numpy(verdict_shares(data.belief)).float().to(self.device)
        self.heads = torch.from_numpy(data.heads).to(self.device)
        decayed = [p for p in self.model.parameters() if p.dim() >= 2]
        plain = [p for p in self.model.parameters() if p.dim() < 2]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": recipe.weight_decay},
             {"params": plain, "weight_decay": 0.0}],
            lr=recipe.learning_rate, betas=(0.9, 0.95), fused=True)
        self.budget = Budget(recipe.minutes, recipe.steps)
        self.checkpoints = Checkpoints(folder / "checkpoint")
        self.epoch, self.batch = 0, 0
        if recipe.resume:
            self._resume()

    def _resume(self) -> None:
        state = self.checkpoints.load()
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.batch = state["epoch"], state["batch"]
        self.budget.step, self.budget.spent = state["step"], state["elapsed"]
        print(f"resumed at step {self.budget.step}, {self.budget.elapsed / 60:.1f} min trained")

    def save(self) -> None:
        """Writes a checkpoint."""
        self.checkpoints.save({
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch, "batch": self.batch, "step": self.budget.step,
            "elapsed": self.budget.elapsed})

    def batches(self) -> list[np.ndarray]:
        """One epoch: every case, frauds repeated, rows of near-equal length together."""
        rng = np.random.default_rng((self.recipe.seed, self.epoch))
        order = np.arange(len(self.data.lengths))
        again = np.flatnonzero(self.data.frauds)
        order = np.concatenate([order, *[again] * (self.recipe.fraud_repeat - 1)])
        rng.shuffle(order)
        size, batches = self.recipe.batch_size, []
        for start in range(0, len(order), 30 * size):
            part = order[start : start + 30 * size]
            part = part[np.argsort(self.data.lengths[part], kind="stable")]
            batches += [part[i : i + size] for i in range(0, len(part), size)]
        rng.shuffle(batches)
        return batches

    def _loss(self, logits: torch.Tensor, ids: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Of logits `[n, longest - 1, vocabulary]` that foretell `ids[:, 1:]`."""
        place = torch.arange(1, ids.shape[1], device=self.device)
        lengths, starts = self.lengths[rows, None], self.starts[rows, None]
        verdict_at = starts + int(self.data.prefix)
        weight = torch.where(place < starts, self.recipe.prompt_weight, 1.0)
        weight = weight * ((place < lengths) & (place != verdict_at))
        each = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(),
                                        reduction="none").view(weight.shape)
        language = (each * weight).sum() / weight.sum()
        at = logits[torch.arange(len(rows), device=self.device), verdict_at[:, 0] - 1]
        told = functional.log_softmax(at, dim=-1)[:, self.heads]
        verdict = -(self.shares[rows] * told).sum(dim=-1).mean()
        return language + self.recipe.verdict_weight * verdict

    def step(self, picked: np.ndarray) -> torch.Tensor:
        """One optimizer step; returns the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * learning_rate_factor(self.budget.progress)
        rows = torch.from_numpy(picked).to(self.device)
        ids = self.ids[rows, : int(self.data.lengths[picked].max())].long()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bf16):
            logits = self.model(input_ids=ids[:, :-1]).logits
        loss = self._loss(logits.float(), ids, rows)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.budget.step += 1
        return loss.detach()

    def run(self) -> LlamaForCausalLM:
        """Trains until the budget is spent."""
        self.model.train()
        progress = Progress(self.budget)
        while not self.budget.over:
            batches = self.batches()
            while self.batch < len(batches) and not self.budget.over:
                loss = self.step(batches[self.batch])
                progress.update(loss, len(batches[self.batch]), f"epoch {self.epoch}")
                self.batch += 1
                if self.checkpoints.due:
                    self.save()
            if self.batch >= len(batches):
                self.epoch, self.batch = self.epoch + 1, 0
        self.save()
        write_json(self.folder / "training.json", {
            "recipe": asdict(self.recipe), "steps": self.budget.step, "epochs": self.epoch,
            "minutes": round(self.budget.elapsed / 60, 2),
            "examples_per_second": round(progress.rate, 1),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "cases": len(self.data.lengths), "frauds": int(self.data.frauds.sum())})
        return self.model.cpu().float().eval()
