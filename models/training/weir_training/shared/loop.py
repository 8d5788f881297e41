"""What a long training run needs: a time budget, checkpoints it can resume from, progress."""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy and PyTorch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def learning_rate_factor(progress: float, warm_up: float = 0.05, floor: float = 0.01) -> float:
    """Linear warm-up, then a cosine down to `floor`, for progress 0 to 1."""
    if progress < warm_up:
        return max(progress / warm_up, 1e-3)
    rest = min((progress - warm_up) / (1.0 - warm_up), 1.0)
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * rest))


@dataclass
class Budget:
    """Ends a run by training time, by steps, or by both, whichever comes first.

    With `steps` alone a run is reproducible from its seed; with `minutes` it always ends in
    time and the learning rate still reaches its floor, however busy the machine is.
    """

    minutes: float | None
    steps: int | None
    step: int = 0
    spent: float = 0.0  # seconds of training in earlier processes
    begin: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, resumed parts included."""
        return self.spent + time.monotonic() - self.begin

    @property
    def progress(self) -> float:
        """0 at the start, 1 when the budget is spent."""
        by_time = self.elapsed / (60.0 * self.minutes) if self.minutes else 0.0
        by_step = self.step / self.steps if self.steps else 0.0
        return min(max(by_time, by_step), 1.0)

    @property
    def over(self) -> bool:
        """Whether to stop."""
        return self.progress >= 1.0

    @property
    def seconds_left(self) -> float:
        """Estimated seconds until the end."""
        done = max(self.progress, 1e-6)
        return self.elapsed * (1.0 - done) / done


class Progress:
    """One line every `every` seconds: loss, speed, time left."""

    def __init__(self, budget: Budget, every: float = 20.0) -> None:
        self.budget, self.every = budget, every
        self.losses: deque[torch.Tensor] = deque(maxlen=200)
        self.examples, self.last = 0, time.monotonic()
        self.total_examples, self.begin = 0, time.monotonic()

    def update(self, loss: torch.Tensor, examples: int, note: str = "") -> None:
        """Counts a step, and prints when it is time: a loss is only read from its device then."""
        self.losses.append(loss)
        self.examples += examples
        self.total_examples += examples
        now = time.monotonic()
        if now - self.last >= self.every:
            rate = self.examples / (now - self.last)
            mean = float(sum(self.losses)) / len(self.losses)
            print(f"step {self.budget.step:6d}  {self.budget.progress:6.1%}  loss {mean:.4f}  "
                  f"{rate:6.1f} examples/s  {self.budget.seconds_left / 60:5.1f} min left  {note}",
                  flush=True)
            self.examples, self.last = 0, now

    @property
    def rate(self) -> float:
        """Examples per second since this process started."""
        return self.total_examples / max(time.monotonic() - self.begin, 1e-9)


class Checkpoints:
    """A folder with the newest state; written beside and renamed, so it is never half there."""

    def __init__(self, folder: Path, every: float = 180.0) -> None:
        self.path, self.every = folder / "state.pt", every
        self.last = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def due(self) -> bool:
        """Whether enough time has passed since the last one."""
        return time.monotonic() - self.last >= self.every

    def save(self, state: dict[str, Any]) -> None:
        """Replaces the checkpoint."""
        beside = self.path.with_suffix(".tmp")
        torch.save(state, beside)
        os.replace(beside, self.path)
        self.last = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The newest state, or none."""
        if not self.path.exists():
            return None
        return torch.load(self.path, map_location="cpu", weights_only=False)


def write_json(path: Path, value: Any) -> None:
    """Writes readable JSON, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(path.suffix + ".tmp")
    beside.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(beside, path)


def read_json(path: Path) -> Any:
    """Reads JSON."""
    return json.loads(path.read_text(encoding="utf-8"))
