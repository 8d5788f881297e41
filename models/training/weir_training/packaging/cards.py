"""Model cards, written from what was measured."""

from __future__ import annotations

from typing import Any

from .about import About


def _row(name: str, m: dict[str, float]) -> str:
    return (f"| {name} | {m['auc']:.4f} | {m['average_precision']:.3f} | {m['recall_at_1pct']:.3f} "
            f"| {m['recall_at_5pct']:.3f} | {m['recall_at_10pct']:.3f} |")


def screening_card(about: About, training: dict[str, Any], report: dict[str, Any],
                   metrics: dict[str, Any]) -> str:
    """The card of the screening model."""
    test, base, quant = report["test"], report["baselines_test"], report["int8_against_fp32"]
    recipe = training["recipe"]
    kinds = "\n".join(f"| {k} | {v['count']} | {v['recall']:.3f} |"
                      for k, v in sorted(report["test_by_typology"].items()))
    ratio = 1 - metrics["int8_bytes"] / metrics["fp32_bytes"]
    where = "a GPU" if recipe.get("device", "cpu").startswith("cuda") else "two CPU cores"
    return f"""# {about.name}

A compact DistilBERT ({recipe['layers']} layers, {recipe['width']} wide, {training['parameters']:,}
parameters, {report['vocabulary']['size']} word pieces) that reads one rendered transaction and
says how likely it is fraud. It is Weir's tier 1: every transaction passes through it.

## What it is for, and what it is not
{about.purpose}

- Input: the text that `input.j2` renders, at most {recipe['max_tokens']} tokens; on average
  {report['vocabulary']['mean_tokens']:.0f}.
- Output: two logits; `p = 1 / (1 + exp(-(a * margin + b)))` with the calibration in
  `package.toml`. Fraud is about {test['fraud_rate']:.2%} of the simulated traffic: at another rate
  the probability is off by the ratio of the odds.
- Free text (merchant name, memo), where the template shows it, may be meant to game the model.

## How it was trained
{training['train_frauds']:,} frauds and {training['train_legitimate']:,} honest transactions
(periods: {about.split}), {training['steps']:,} steps of {recipe['batch_size']},
{training['minutes']:.0f} minutes on {where} ({training['examples_per_second']:.0f} examples/s),
seed {recipe['seed']}. All frauds and {recipe['negatives_per_fraud']:g} honest transactions per
fraud, drawn anew each epoch, half of them in favour of look-alikes and what the teacher suspects and weighted
back. {recipe['teacher_share']:.0%} of the loss is the out-of-fold opinion of a gradient-boosting
teacher on the same text. Platt calibration on the validation period.

## What was measured
Held-out test period: all {test['frauds']} frauds and an even draw of honest transactions
({test['rows']:,} rows, weighted to the true share), the INT8 graph as it is shipped. The last
three columns say which share of fraud lies in the highest-scored 1, 5 and 10 % of traffic.

| model | AUC | average precision | 1 % | 5 % | 10 % |
|---|---|---|---|---|---|
{_row("this model, INT8", test)}
{_row("logistic regression on the slot words", base['logistic_regression'])}
{_row("gradient boosting (the teacher)", base['gradient_boosting_teacher'])}

Calibration on the test period: expected calibration error {test['calibration_error']:.5f}, mean
probability {test['mean_probability']:.5f} against a fraud rate of {test['fraud_rate']:.5f}, log
loss {test['log_loss']:.5f}.

| kind of fraud | in the test | caught at 5 % |
|---|---|---|
{kinds}

## Quantization
Static QDQ INT8 (`MatMul`, `Gemm`, `Gather`; their outputs stay float), {ratio:.0%} smaller than
FP32 ({metrics['int8_bytes'] / 1e6:.1f} against {metrics['fp32_bytes'] / 1e6:.1f} MB). On the same
{quant['rows']:,} rows: average precision {quant['ap_int8']:.4f} against {quant['ap_fp32']:.4f} in
FP32, AUC {quant['auc_int8']:.4f} against {quant['auc_fp32']:.4f}; {quant['flipped_at_0.02']:.3%} of
decisions differ at the default threshold of 0.02, {quant['flipped_at_0.5']:.3%} at 0.5. Largest change of a logit by
batch mates {metrics['invariance']['int8_batch']:g}, by padding
{metrics['invariance']['int8_padding']:g}.

The graph is rewritten for ONNX Runtime's CPU kernels (`weir_training.screening.fast_graph`): the
last layer is computed for the first token only, biases go into the quantized products, norms stay
unfused. The logits are those of the plain quantized graph, to the bit.

Licence: Apache-2.0.
"""
