"""`benches/quality/run FILE.parquet`: the figures, as JSON, Markdown and plots."""

from __future__ import annotations

import argparse
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np

from . import baselines, metrics, plots, product, report
from .stream import FOLDS, TRAIN, Stream, convert

RESULTS = Path("benches/quality/results")


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    p = argparse.ArgumentParser(prog="benches/quality/run", description=__doc__)
    p.add_argument("parquet", type=Path, help="the Handbook's stream: tx_id, timestamp, "
                   "customer_id, terminal_id, amount, fraud; 2018-04-01 to 2018-07-31")
    p.add_argument("--work", type=Path, default=Path("target/quality/cardstream"))
    p.add_argument("--results", type=Path, default=RESULTS)
    p.add_argument("--bootstrap", type=int, default=200, help="draws for the intervals")
    p.add_argument("--compare", type=int, default=200, help="payments to time tier 2 alone on")
    p.add_argument("--fresh", action="store_true", help="forget what earlier runs left in --work")
    return p


def fold_figures(stream: Stream, score: np.ndarray) -> list[dict[str, float]]:
    """Each fold's figures for scores `[n]` of the whole stream."""
    found = []
    for first, last in FOLDS:
        rows = stream.fold(first, last)
        found.append({"first_day": str(first), "rows": len(rows),
                      "frauds": int(stream.fraud[rows].sum()),
                      **metrics.ranking(stream.fraud[rows], score[rows]),
                      "card_precision_at_100": metrics.card_precision(
                          stream.days[rows], stream.accounts[rows], stream.fraud[rows],
                          score[rows])})
    return found


def mean_of(folds: list[dict[str, float]]) -> dict[str, float]:
    """Means over folds of what is a figure."""
    names = [name for name in folds[0] if name not in ("first_day", "rows", "frauds")]
    return {name: float(np.mean([fold[name] for fold in folds])) for name in names}


def cascade_scores(said: product.Scores) -> np.ndarray:
    """Escalated payments by tier 2's score above all others, these by tier 1's."""
    return np.where(np.isnan(said.analysis), said.screening, 1.0 + said.analysis)


def equal_recall(stream: Stream, rows: np.ndarray, one: np.ndarray, both: np.ndarray,
                 times: int) -> list[dict[str, object]]:
    """False positives of tier 1 and of the cascade at the same recall, all folds together."""
    def saved(recall: float, drawn: np.ndarray) -> float:
        fraud = stream.fraud[rows[drawn]]
        before = metrics.false_positives_at(fraud, one[rows[drawn]], recall)
        return 1 - metrics.false_positives_at(fraud, both[rows[drawn]], recall) / max(before, 1)

    found, fraud = [], stream.fraud[rows]
    for recall in metrics.RECALLS:
        interval = metrics.bootstrap(stream.accounts[rows], partial(saved, recall), times)
        found.append({"recall": recall,
                      "tier_1": metrics.false_positives_at(fraud, one[rows], recall),
                      "cascade": metrics.false_positives_at(fraud, both[rows], recall),
                      "reduction": saved(recall, np.arange(len(rows))), "interval": interval})
    return found


def main() -> None:
    """Runs every step; what an earlier run of the same binary and packages left is used again."""
    args = parser().parse_args()
    if args.fresh:
        shutil.rmtree(args.work, ignore_errors=True)
    print("1/5 converting", flush=True)
    stream = convert(args.parquet, args.work)
    product.forget_stale(args.work)
    print("2/5 features, from weir render", flush=True)
    ids, table = product.features(args.work)
    if ids != stream.ids:
        raise SystemExit("weir render gave other payments than the stream has")
    print("3/5 scores, from weir screen (some minutes)", flush=True)
    said = product.screen(args.work)
    test = stream.period(str(FOLDS[0][0]), str(FOLDS[-1][1]))
    if said.ids != [stream.ids[row] for row in test]:
        raise SystemExit("weir screen gave other payments than the stream has")
    one, both = np.full(len(ids), -1.0), np.full(len(ids), -1.0)
    one[test], both[test] = said.screening, cascade_scores(said)
    print("4/5 baselines", flush=True)
    scores = {"tier 1 (INT8)": one, "cascade": both,
              **baselines.train_and_score(table, stream.fraud, stream.period(*TRAIN)),
              "oracle": stream.fraud + 0.0}
    print("5/5 figures", flush=True)
    rows = np.concatenate([stream.fold(*fold) for fold in FOLDS])
    folds = {name: fold_figures(stream, score) for name, score in scores.items()}
    fraud, accounts = stream.fraud[rows], stream.accounts[rows]
    interval = metrics.bootstrap(accounts, lambda drawn: metrics.ranking(
        fraud[drawn], one[rows][drawn])["average_precision"], args.bootstrap)
    escalated = ~np.isnan(said.analysis)
    found = {
        "protocol": {"train": TRAIN, "folds": [str(first) for first, _ in FOLDS],
                     "rows": len(rows), "frauds": int(fraud.sum())},
        "mean": {name: mean_of(each) for name, each in folds.items()}, "folds": folds,
        "tier_1_average_precision_interval": interval,
        "calibration_error": metrics.calibration_error(fraud, one[rows]),
        "equal_recall": equal_recall(stream, rows, one, both, args.bootstrap),
        "escalated": {"share": float(escalated.mean()),
                      "complete_reports": float(said.reported[escalated].mean())},
        "compare": product.compare(args.work, args.compare),
    }
    args.results.mkdir(parents=True, exist_ok=True)
    (args.results / "cardstream.json").write_text(json.dumps(found, indent=2) + "\n")
    (args.results / "cardstream.md").write_text(report.markdown(found))
    plots.draw(args.results, stream, rows, scores)
    print(report.markdown(found))


if __name__ == "__main__":
    main()
