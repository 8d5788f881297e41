#!/usr/bin/env bash
# Renders, trains and packages both models of the public card stream (the Fraud Detection
# Handbook's simulated payments). Resumable: a step whose result is there is not repeated. Needs
# target/release/weir (`make build`).
#
#     models/training/make_cardstream.sh FILE.parquet
#     DEVICE=cuda models/training/make_cardstream.sh FILE.parquet
set -euo pipefail
parquet=$(realpath "${1:?"give the Parquet file: models/training/make_cardstream.sh FILE.parquet"}")
cd "$(dirname "$0")"
device=${DEVICE:-cpu} work=work/card
../../scripts/locked-venv .venv requirements.lock
mkdir -p "$work"
python=$PWD/.venv/bin/python
periods="--bounds 19,80,87" # 2018-04-20, 2018-06-20, 2018-06-27
step() { [ -e "$work/$1" ] || { echo "== $1"; return 1; }; }
render() { # NAME ARGUMENT...
    local out=$PWD/$work/$1
    shift
    (cd ../.. && target/release/weir render --screening-template models/screening-cardstream/input.j2 \
        "$@" models/training/$work/stream.ndjson >"$out.tmp" || [ $? = 2 ]) && mv "$out.tmp" "$out"
}

step stream.ndjson || "$python" -m weir_training.cardstream "$parquet" "$work/stream.ndjson"
step render_screening.ndjson || render render_screening.ndjson --tier screening
step screening.packaged || {
    "$python" -m weir_training.screening all --name weir-screening-cardstream $periods \
        --renders $work/render_screening.ndjson --work $work/screening --out ../screening-cardstream \
        --most-legitimate 600000 --layers 3 --width 192 --batch-size 512 --learning-rate 8e-4 \
        --negatives-per-fraud 24 --teacher-share 0.6 --margin-weight 0.02 \
        --device "$device" --minutes 0 --steps "${STEPS_SCREENING:-7300}"
    touch $work/screening.packaged
}
step select_ids.txt || "$python" -m weir_training.analysis select $periods \
    --screening-renders $work/render_screening.ndjson \
    --screening-teacher $work/screening/teacher.npz --honest 80000 --ordinary 8000 \
    --select $work/select_ids.txt
step render_analysis.ndjson || render render_analysis.ndjson --tier analysis \
    --screening-package models/screening-cardstream \
    --analysis-template models/analysis-cardstream/prompt.j2 \
    --select models/training/$work/select_ids.txt
step analysis.packaged || {
    "$python" -m weir_training.analysis all --name weir-analysis-cardstream $periods \
        --first-day 2018-04-01 --renders $work/render_analysis.ndjson --work $work/analysis \
        --out ../analysis-cardstream --vocabulary 1200 --teacher-share 0.8 --escalated 0.01 \
        --layers 3 --width 192 --batch-size 192 --learning-rate 1e-3 --verdict-weight 2 \
        --device "$device" --minutes 0 --steps "${STEPS_ANALYSIS:-9500}"
    touch $work/analysis.packaged
}
../../target/release/weir models verify ../screening-cardstream
../../target/release/weir models verify ../analysis-cardstream
