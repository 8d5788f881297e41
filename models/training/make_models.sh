#!/usr/bin/env bash
# Simulates, renders, trains and packages both models. Resumable: a step whose result is there is
# not repeated. Needs target/release/weir (`make build`) and Python 3.11 with venv.
set -euo pipefail
cd "$(dirname "$0")"
weir=../../target/release/weir
python=.venv/bin/python

../../scripts/locked-venv .venv requirements.lock
mkdir -p work
done_once() { [ -e "$1" ] || { echo "== $1"; return 1; }; }

done_once work/stream.ndjson || "$python" -m weir_training.simulator \
    --seed 7 --accounts 3000 --days 180 --start 2026-01-01 --out work/stream.ndjson
(
    cd ../..
    out=models/training/work/render_screening.ndjson
    [ -e "$out" ] || { target/release/weir render --tier screening models/training/work/stream.ndjson >"$out.tmp" &&
        mv "$out.tmp" "$out"; }
)
done_once work/screening.packaged || {
    "$python" -m weir_training.screening all --minutes "${MINUTES_SCREENING:-20}" --learning-rate 1.5e-4
    touch work/screening.packaged
}
done_once work/select_ids.txt || "$python" -m weir_training.analysis select
(
    cd ../..
    out=models/training/work/render_analysis.ndjson
    [ -e "$out" ] || { target/release/weir render --tier analysis \
        --select models/training/work/select_ids.txt models/training/work/stream.ndjson >"$out.tmp" &&
        mv "$out.tmp" "$out"; }
)
done_once work/analysis.packaged || {
    "$python" -m weir_training.analysis all --minutes "${MINUTES_ANALYSIS:-26}"
    touch work/analysis.packaged
}
"$weir" models verify ../screening
"$weir" models verify ../analysis
