"""What ONNX Runtime alone needs for tier 2's work: prefill, batched steps, reports a second.

    measure.py [--made target/bench/tier2] [--sets random-33m] [--rounds 7]

A report is 250 tokens read and 80 written. Every line of a round is measured in turn, again if
others used the machine meanwhile, and medians are over rounds. *Reports/s* is what a loop without any waiting would reach with `n` running:
1 / (prefill + 80 * step(n) / n). *Side by side* is two sessions of one thread each, at once, each
with `n` running. *By 64* is the prefill in chunks, *feed 4* four tokens at once to a row of 300.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from decoder import Decoder
from quiet import Quiet

ROOT = Path(__file__).resolve().parents[3]
READ, WRITTEN, CACHED, CAPACITY = 250, 80, 300, 384
RUNNING = (1, 2, 4, 8, 16)
CHUNKS = (64, 128)
FED = (2, 4, 8)
WIDTH = 12


def prompt(count: int) -> np.ndarray:
    return np.random.default_rng(7).integers(3, 4000, count)


def timed(work: Callable[[], object], seconds: float) -> float:
    """Median milliseconds of a call, over at least three calls and `seconds`."""
    work()
    taken, begun = [], time.perf_counter()
    while len(taken) < 3 or time.perf_counter() - begun < seconds:
        before = time.perf_counter()
        work()
        taken.append(time.perf_counter() - before)
    return statistics.median(taken) * 1e3


def works(decoder: Decoder) -> dict[str, Callable[[], object]]:
    tokens = prompt(READ)
    found = {"prefill": lambda: decoder.prefill(0, tokens)}
    for chunk in CHUNKS:
        found[f"by {chunk}"] = lambda chunk=chunk: decoder.prefill(0, tokens, chunk)
    for rows in RUNNING:
        one, lengths = prompt(rows)[:, None], [CACHED] * rows
        found[f"step {rows}"] = lambda one=one, lengths=lengths: decoder.run(0, one, lengths)
    for count in FED:
        piece = prompt(count)
        found[f"feed {count}"] = lambda piece=piece: decoder.prefill(0, piece, start=CACHED)
    return found


def at_once(pair: list[Callable[[], object]], seconds: float) -> float:
    """Median milliseconds of a call while the other session does the same."""
    medians = [0.0, 0.0]
    ready = threading.Barrier(2)

    def measure(index: int) -> None:
        pair[index]()
        ready.wait()
        medians[index] = timed(pair[index], seconds)

    threads = [threading.Thread(target=measure, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statistics.mean(medians)


def reports(figures: dict[str, float], rows: int, sessions: int = 1) -> float:
    milliseconds = figures["prefill"] + WRITTEN * figures[f"step {rows}"] / rows
    return sessions * 1e3 / milliseconds


def measured(folder: Path, rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """Medians per way of running and kind of work, in milliseconds."""
    rows = max(RUNNING)
    one, two, idle = (
        Decoder(folder, threads, rows, CAPACITY, spin)
        for threads, spin in ((1, True), (2, True), (2, False))
    )
    other = Decoder(folder, 1, rows, CAPACITY)
    ways = {"1 thread": works(one), "2 threads": works(two), "2, no spin": works(idle)}
    samples: dict = {way: {} for way in [*ways, "side by side"]}
    beside, quiet = works(other), Quiet()
    for _ in range(rounds):
        for kind in beside:
            for way, found in ways.items():
                taken = quiet.take(lambda: timed(found[kind], seconds))
                samples[way].setdefault(kind, []).append(taken)
            pair = [ways["1 thread"][kind], beside[kind]]
            taken = quiet.take(lambda: at_once(pair, seconds))
            samples["side by side"].setdefault(kind, []).append(taken)
    print(f"{folder.name}: {quiet.disturbed} of {quiet.samples} samples disturbed")
    return {
        way: {kind: statistics.median(taken) for kind, taken in kinds.items()}
        for way, kinds in samples.items()
    }


def show(name: str, figures: dict[str, dict[str, float]]) -> None:
    kinds = next(iter(figures.values()))
    print(f"\n{name}, ms\n" + " " * 14 + "".join(f"{kind:>{WIDTH}}" for kind in kinds))
    for way, found in figures.items():
        print(f"{way:<14}" + "".join(f"{found[kind]:{WIDTH}.2f}" for kind in kinds))
    print(f"{'reports/s':<14}" + "".join(f"{f'{rows} running':>{WIDTH}}" for rows in RUNNING))
    for way, found in figures.items():
        sessions = 2 if way == "side by side" else 1
        line = "".join(f"{reports(found, rows, sessions):{WIDTH}.2f}" for rows in RUNNING)
        print(f"{way:<14}" + line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--made", type=Path, default=ROOT / "target/bench/tier2")
    parser.add_argument("--sets", nargs="*", default=["random-33m", "shipped"])
    graphs = ["fp32", "fp32-last", "int8-last", "int4-last"]
    parser.add_argument("--graphs", nargs="*", default=graphs)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="a sample's least length")
    args = parser.parse_args()
    found = {}
    for name in args.sets:
        for graph in args.graphs:
            folder = args.made / name / graph
            found[f"{name}/{graph}"] = measured(folder, args.rounds, args.seconds)
            show(f"{name}/{graph}", found[f"{name}/{graph}"])
    (args.made / "bare.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
