"""Calibrates the verdict's margin and measures what the reports are worth."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from transformers import LlamaForCausalLM

from ..shared.metrics import fit_platt, sigmoid
from .export import Graph
from .reports import Case, report, verdict_of
from .train import VERDICTS


@dataclass(frozen=True)
class Probe:
    """Where the verdict is decided, and the first token of each verdict."""

    prefix: np.ndarray  # the tokens of {"verdict":"
    heads: np.ndarray  # first token of fraud, suspicious, legitimate


def margins_of(log_probs: np.ndarray) -> np.ndarray:
    """Log-odds of fraud from `[n, 3]` verdict log-probabilities; `suspicious` counts half."""
    p = np.exp(log_probs - log_probs.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    half = 0.5 * p[:, 1]
    tiny = np.finfo(np.float64).tiny
    return np.log(np.maximum(p[:, 0] + half, tiny)) - np.log(np.maximum(p[:, 2] + half, tiny))


def verdict_logits(model: LlamaForCausalLM, prompts: list[np.ndarray], probe: Probe,
                   batch: int = 64) -> np.ndarray:
    """Logits `[n, 3]` of the verdicts' first tokens, right after the forced prefix."""
    out = np.zeros((len(prompts), 3))
    order = np.argsort([len(p) for p in prompts], kind="stable")
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            picked = order[start : start + batch]
            rows = [np.concatenate([prompts[i], probe.prefix]) for i in picked]
            longest = max(len(r) for r in rows)
            ids = np.zeros((len(rows), longest), np.int64)
            for i, row in enumerate(rows):
                ids[i, : len(row)] = row
            hidden = model.model(input_ids=torch.from_numpy(ids)).last_hidden_state
            last = hidden[torch.arange(len(rows)), torch.tensor([len(r) - 1 for r in rows])]
            out[picked] = model.lm_head(last)[:, probe.heads].double().numpy()
    return out


def graph_verdicts(graph: Graph, prompts: list[np.ndarray], probe: Probe) -> np.ndarray:
    """The same from the exported graph."""
    rows = [graph.logits(np.concatenate([p, probe.prefix]))[-1, probe.heads] for p in prompts]
    return np.array(rows, np.float64)


def calibrate(cases: list[Case], logits: np.ndarray) -> tuple[float, float]:
    """Platt's slope and intercept."""
    labels = np.array([case.fraud for case in cases], np.float64)
    return fit_platt(margins_of(logits), labels, np.ones(len(cases)))


def measure(cases: list[Case], logits: np.ndarray, a: float, b: float) -> dict[str, float]:
    """Ranking of the verdict's margin beside that of tier 1's score, on the same cases."""
    labels = np.array([case.fraud for case in cases])
    score = np.array([case.score for case in cases])
    margin = margins_of(logits)
    p = sigmoid(a * margin + b)
    told = np.array([VERDICTS[i] for i in logits.argmax(axis=1)])
    meant = np.array([verdict_of(case) for case in cases])
    return {
        "cases": len(cases), "frauds": int(labels.sum()),
        "auc": float(roc_auc_score(labels, margin)),
        "average_precision": float(average_precision_score(labels, margin)),
        "auc_screening_score": float(roc_auc_score(labels, score)),
        "average_precision_screening_score": float(average_precision_score(labels, score)),
        "brier": float(((p - labels) ** 2).mean()), "mean_p": float(p.mean()),
        "fraud_rate": float(labels.mean()), "verdict_agrees": float((told == meant).mean()),
    }


def written(model: LlamaForCausalLM, cases: list[Case], prompts: list[np.ndarray], probe: Probe,
            decode, end: int, seed: int) -> dict[str, float]:
    """Greedy reports without any constraint: do they parse, and do they say what they should?"""
    rng = np.random.default_rng(seed)
    valid = reasons = typology = 0
    for case, prompt in zip(cases, prompts, strict=True):
        ids = torch.from_numpy(np.concatenate([prompt, probe.prefix])[None])
        with torch.inference_mode():
            out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=160,
                                 do_sample=False, eos_token_id=end, pad_token_id=0)
        text = decode(out[0, len(prompt):].tolist())
        wanted = json.loads(report(case, rng))
        try:
            told = json.loads(text)
            valid += 1
            reasons += set(told["reasons"]) == set(wanted["reasons"])
            typology += told["typology"] == wanted["typology"]
        except (ValueError, KeyError, TypeError):
            continue
    n = max(len(cases), 1)
    return {"reports": len(cases), "valid_json_unconstrained": valid / n,
            "reasons_as_taught": reasons / n, "typology_as_taught": typology / n}
