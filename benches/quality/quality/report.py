"""The figures as Markdown."""

from __future__ import annotations

from typing import Any


def _models(found: dict[str, Any]) -> str:
    head = ("| | AUC | AP | CP@100 | recall at 1 % | at 5 % | at 10 % |\n"
            "|---|---|---|---|---|---|---|\n")
    return head + "\n".join(
        f"| {name} | {m['auc']:.4f} | {m['average_precision']:.4f} | "
        f"{m['card_precision_at_100']:.4f} | {m['recall_at_1%']:.3f} | {m['recall_at_5%']:.3f} | "
        f"{m['recall_at_10%']:.3f} |" for name, m in found["mean"].items())


def _cascade(found: dict[str, Any]) -> str:
    head = ("| recall | tier 1 alone | cascade | fewer | 95 % interval |\n"
            "|---|---|---|---|---|\n")
    return head + "\n".join(
        f"| {e['recall']:.2f} | {e['tier_1']:,} | {e['cascade']:,} | {e['reduction']:.0%} | "
        f"{e['interval'][0]:.0%} to {e['interval'][1]:.0%} |" for e in found["equal_recall"])


def markdown(found: dict[str, Any]) -> str:
    """Tables of all figures."""
    protocol, escalated = found["protocol"], found["escalated"]
    low, high = found["tier_1_average_precision_interval"]
    return f"""# The public card stream

{protocol['rows']:,} payments with {protocol['frauds']:,} frauds in four test weeks from
{', '.join(protocol['folds'])}; means over the four. Labels 7 days late, accounts known to be
compromised left out. The baselines were fitted on {protocol['train'][0]} to
{protocol['train'][1]} on tier 1's own features.

{_models(found)}

The oracle ranks by the truth: no model can pass its CP@100. Tier 1's average precision over all
four weeks has a 95 % interval of {low:.4f} to {high:.4f} (accounts drawn with replacement); its
expected calibration error is {found['calibration_error']:.5f}.

## False positives at equal recall

{_cascade(found)}

{escalated['share']:.2%} of the payments went to tier 2; {escalated['complete_reports']:.1%} of the
reports were complete.

## Time

On the same payments, in turn, one at a time:

```
{found['compare'].strip()}
```
"""
