"""Takes samples while nobody else uses the machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

CORES = os.cpu_count() or 1
ENOUGH = 0.06
ATTEMPTS = 60


def machine_busy() -> float:
    """Processor seconds that the machine has spent on whomever, hypervisor's theft included."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _, _, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


class Quiet:
    """Repeats a sample until others had less than a small share of the cores during it."""

    def __init__(self) -> None:
        self.samples = self.disturbed = 0

    def take(self, sample: Callable[[], float]) -> float:
        self.samples += 1
        least, kept = float("inf"), 0.0
        for _ in range(ATTEMPTS):
            busy, own, before = machine_busy(), time.process_time(), time.perf_counter()
            value = sample()
            seconds = time.perf_counter() - before
            others = machine_busy() - busy - (time.process_time() - own)
            share = others / (seconds * CORES)
            if share < least:
                least, kept = share, value
            if least < ENOUGH:
                return kept
            time.sleep(0.2)
        self.disturbed += 1
        return kept
