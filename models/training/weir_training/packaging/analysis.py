"""The analysis package: graph, tokenizer, golden vectors, card, manifest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis import last_token
from ..analysis.evaluate import margins_of
from ..analysis.reports import Case
from ..analysis.train import VERDICTS
from ..shared.metrics import sigmoid
from .about import About
from .manifest import clear, rounded, write_manifest


def card(about: About, training: dict[str, Any], found: dict[str, Any], size: int, precision: str) -> str:
    """The model card, from what was measured."""
    test, written, close = found["test"], found["written"], found["shipped_against_fp32"]
    recipe = training["recipe"]
    where = "a GPU" if recipe.get("device", "cpu").startswith("cuda") else "two CPU cores"
    return f"""# {about.name}

A small Llama-architecture decoder ({recipe['layers']} layers, {recipe['width']} wide,
{training['parameters']:,} parameters, {precision} weights, {size / 1e6:.1f} MB) that reads one
escalated case and writes a JSON report about it. It is Weir's tier 2.

## What it is for, and what it is not
{about.purpose}

## How it was trained
{training['cases']:,} cases of the training period ({training['frauds']:,} frauds, each seen
{recipe['fraud_repeat']} times an epoch): every fraud, the honest transactions that look most like
fraud, and a few ordinary ones (periods: {about.split}). {training['steps']:,} steps of
{recipe['batch_size']}, {training['minutes']:.0f} minutes on {where}, seed {recipe['seed']}; loss on
the report ({recipe['prompt_weight']:g} of it on the prompt), and on the verdict's token, which is
taught a probability of fraud: {1 - found['teacher_share']:.0%} truth, {found['teacher_share']:.0%} the
out-of-fold opinion of a gradient-boosting teacher on the same prompt. Tier 1 was trained on the same days, so its score in
those prompts is better than it is later. Platt calibration on the calibration period.

## What was measured
Held-out test period, {test['cases']:,} cases that tier 1 would escalate
({test['frauds']:,} frauds; selected for difficulty, so not the natural mix), fp32 weights:

| | AUC | average precision |
|---|---|---|
| this model's verdict margin | {test['auc']:.4f} | {test['average_precision']:.4f} |
| tier 1's score on the same cases | {test['auc_screening_score']:.4f} | {test['average_precision_screening_score']:.4f} |

- Brier score {test['brier']:.4f}; mean probability {test['mean_p']:.3f} against a fraud rate of
  {test['fraud_rate']:.3f} in this selection.
- {written['reports']} reports written greedily without any constraint: {written['valid_json_unconstrained']:.1%}
  valid JSON, {written['reasons_as_taught']:.1%} with exactly the reasons taught,
  {written['typology_as_taught']:.1%} with the typology taught. (In service the schema is enforced.)
- {precision} against fp32 on {close['cases']} cases: same verdict in {close['same_verdict']:.1%},
  margins {close['mean_margin_difference']:.4f} apart on average.
"""


def package(cases: list[Case], logits: np.ndarray, work: Path, precision: str, out: Path,
            found: dict[str, Any], training: dict[str, Any], about: About) -> None:
    """Fills `out`; the template, written by hand, stays."""
    clear(out, keep={"prompt.j2"})
    for source in sorted((work / precision).iterdir()):
        if source.is_file() and not source.name.endswith(".jinja"):
            shutil.copy(source, out / source.name)
    last_token.rewrite(out / "model.onnx")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(work / "hf" / name, out / name)
    a, b = found["calibration"]["a"], found["calibration"]["b"]
    margin = margins_of(logits)
    with (out / "golden.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        for case, row, m in zip(cases, logits, margin, strict=True):
            line = {"prompt": case.prompt, "verdict": VERDICTS[int(row.argmax())],
                    "margin": float(m), "probability": float(sigmoid(a * m + b))}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    size = sum(path.stat().st_size for path in out.glob("model.onnx*"))
    (out / "MODEL_CARD.md").write_text(card(about, training, found, size, precision), encoding="utf-8")
    lengths = found["lengths"]
    write_manifest(out, {
        "format": 1, "kind": "decoder", "name": about.name, "version": about.version,
        "license": "Apache-2.0",
        "decoder": {"prompt_template": "prompt.j2",
                    "max_prompt_tokens": max(512, lengths["prompt_longest"] + 64),
                    "max_new_tokens": max(192, lengths["answer_longest"] + 32)},
        "calibration": {"method": "platt", **found["calibration"]},
        "golden": {"file": "golden.jsonl", "tolerance": 1e-3},
        "training": rounded({
            "data": about.data, "split": about.split,
            **{k: training[k] for k in ("steps", "epochs", "minutes", "examples_per_second",
                                        "parameters", "cases", "frauds")},
            "recipe": training["recipe"]}),
        "metrics": rounded({"graph_bytes": size, "precision": precision, "test": found["test"],
                            "written": found["written"],
                            "shipped_against_fp32": found["shipped_against_fp32"],
                            "lengths": lengths}),
    })
