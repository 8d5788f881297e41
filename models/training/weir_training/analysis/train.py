"""Trains the decoder: next-token loss on the report, with weight on the verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from ..shared.loop import (Budget, Checkpoints, Progress, learning_rate_factor, seed_everything,
                           write_json)

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
    prompt_weight: float = 0.1
    verdict_weight: float = 6.0
    fraud_repeat: int = 2
    layers: int = 6
    width: int = 256
    bf16: bool = True
    resume: bool = True


def build(vocabulary: int, recipe: Recipe) -> LlamaForCausalLM:
    """A fresh Llama with tied embeddings and grouped key-value heads."""
    heads = recipe.width // 64
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=recipe.width, intermediate_size=recipe.width * 11 // 4,
        num_hidden_layers=recipe.layers, num_attention_heads=heads, num_key_value_heads=heads // 2,
        head_dim=64, max_position_embeddings=1024, tie_word_embeddings=True, bos_token_id=1,
        eos_token_id=2, pad_token_id=0, rms_norm_eps=1e-5, torch_dtype="float32")
    return LlamaForCausalLM(config)


class Trainer:
    """Model, optimizer and the state they resume from."""

    def __init__(self, recipe: Recipe, rows: list[np.ndarray], starts: np.ndarray,
                 frauds: np.ndarray, verdict_at: int, vocabulary: int, folder: Path) -> None:
        seed_everything(recipe.seed)
        self.recipe, self.rows, self.starts, self.folder = recipe, rows, starts, folder
        self.frauds, self.verdict_at = frauds, verdict_at
        self.model = build(vocabulary, recipe)
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
        order = np.arange(len(self.rows))
        order = np.concatenate([order, *[np.flatnonzero(self.frauds)] * (self.recipe.fraud_repeat - 1)])
        rng.shuffle(order)
        size, batches = self.recipe.batch_size, []
        for start in range(0, len(order), 30 * size):
            part = order[start : start + 30 * size]
            part = part[np.argsort([len(self.rows[r]) for r in part], kind="stable")]
            batches += [part[i : i + size] for i in range(0, len(part), size)]
        rng.shuffle(batches)
        return batches

    def padded(self, picked: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids `[n, longest]` and the loss weight of each predicted token `[n, longest - 1]`."""
        longest = max(len(self.rows[r]) for r in picked)
        ids = np.zeros((len(picked), longest), np.int64)
        weights = np.zeros((len(picked), longest - 1), np.float32)
        for i, r in enumerate(picked):
            row, start = self.rows[r], self.starts[r]
            ids[i, : len(row)] = row
            weights[i, : len(row) - 1] = 1.0
            weights[i, : start - 1] = self.recipe.prompt_weight
            weights[i, start + self.verdict_at - 1] = self.recipe.verdict_weight
        return torch.from_numpy(ids), torch.from_numpy(weights)

    def step(self, picked: np.ndarray) -> float:
        """One optimizer step; returns the weighted loss per token."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * learning_rate_factor(self.budget.progress)
        ids, weights = self.padded(picked)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bf16):
            logits = self.model(input_ids=ids[:, :-1]).logits
        loss = functional.cross_entropy(
            logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        loss = (loss * weights.flatten()).sum() / weights.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.budget.step += 1
        return float(loss.detach())

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
            "cases": len(self.rows), "frauds": int(self.frauds.sum())})
        return self.model.eval()
