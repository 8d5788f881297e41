"""Does a logit depend on its batch mates, its row, or on how its tokens were fed? To the bit.

    bits.py [--made target/bench/tier2] [--sets random-33m shipped]

Prints the largest difference of any logit; 0 means the same bits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from decoder import Decoder

ROOT = Path(__file__).resolve().parents[3]
CAPACITY, ROWS = 384, 16
LENGTHS = [250, 31, 300, 97, 8, 164, 222, 63, 281, 12, 190, 77, 140, 205, 45, 118]


def apart(a: np.ndarray, b: np.ndarray) -> float:
    return 0.0 if a.tobytes() == b.tobytes() else max(float(np.abs(a - b).max()), 1e-45)


class Probe:
    def __init__(self, folder: Path, threads: int):
        self.decoder = Decoder(folder, threads, ROWS, CAPACITY)
        random = np.random.default_rng(5)
        self.prompts = [random.integers(3, 4000, length) for length in LENGTHS]
        self.next = random.integers(3, 4000, (ROWS, 24))
        for row, prompt in enumerate(self.prompts):
            self.decoder.prefill(row, prompt)

    def mates(self, rows: int) -> float:
        """Each row's next logits among `rows` rows against alone."""
        lengths = LENGTHS[:rows]
        together = self.decoder.run(0, self.next[:rows, :1], lengths)[:, -1].copy()
        alone = [self.decoder.run(r, self.next[r : r + 1, :1], [lengths[r]])[0, -1].copy()
                 for r in range(rows)]
        return apart(together, np.array(alone))

    def tokens_at_once(self, count: int) -> float:
        """The last logits after `count` tokens in one run against one by one."""
        worst = 0.0
        for row in range(4):
            at_once = self.decoder.prefill(row, self.next[row, :count], start=LENGTHS[row])
            single = self.decoder.prefill(row, self.next[row, :count], 1, LENGTHS[row])
            worst = max(worst, apart(at_once, single))
        return worst

    def chunks(self, size: int) -> float:
        """The last logits of a prompt in chunks against whole."""
        worst = 0.0
        for row in (0, 2, 5):
            whole = self.decoder.prefill(row, self.prompts[row])
            worst = max(worst, apart(self.decoder.prefill(row, self.prompts[row], size), whole))
        return worst

    def left_over(self, count: int) -> float:
        """The last logits of a prompt whose last chunk is `count` tokens, against whole."""
        worst = 0.0
        for row in (0, 2, 5):
            prompt, start = self.prompts[row], LENGTHS[row] - count
            whole = self.decoder.prefill(row, prompt)
            self.decoder.prefill(row, prompt[:start])
            worst = max(worst, apart(self.decoder.prefill(row, prompt[start:], start=start), whole))
        return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--made", type=Path, default=ROOT / "target/bench/tier2")
    parser.add_argument("--sets", nargs="*", default=["random-33m", "shipped"])
    args = parser.parse_args()
    for name in args.sets:
        for graph in ("fp32-last", "int8-last", "int4-last"):
            probes = {threads: Probe(args.made / name / graph, threads) for threads in (1, 2)}
            for threads, probe in probes.items():
                found = {f"among {rows}": probe.mates(rows) for rows in (2, 3, 4, 8, 16)}
                found |= {f"{n} at once": probe.tokens_at_once(n) for n in (2, 4, 8, 16)}
                found |= {f"chunks of {n}": probe.chunks(n) for n in (2, 32, 64, 128)}
                found |= {f"a last chunk of {n}": probe.left_over(n) for n in (1, 2, 3, 5)}
                line = ", ".join(f"{what} {value:.1e}" if value else f"{what} 0"
                                 for what, value in found.items())
                print(f"{name}/{graph}, {threads} thread(s): {line}", flush=True)
            answers = [probe.decoder.prefill(0, probe.prompts[0]) for probe in probes.values()]
            print(f"{name}/{graph}: two threads against one {apart(*answers):.1e}")


if __name__ == "__main__":
    main()
