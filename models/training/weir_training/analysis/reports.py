"""What the model is taught to write: one JSON report per case, from truth and facts.

Every number of a narrative is taken, as it is written, from the prompt: the server drops
narratives that state others.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace

import numpy as np

TYPOLOGIES = (
    "card_testing", "stolen_card_spree", "compromised_terminal", "account_takeover",
    "app_scam_invoice_redirection", "app_scam_romance", "app_scam_bank_impersonation",
    "mule_account", "refund_abuse", "none", "unknown",
)
# The most telling first.
REASON_ORDER = (
    "TERMINAL_FRAUD_HISTORY", "COUNTERPARTY_FRAUD_HISTORY", "SCAM_WORDING", "COUNTERPARTY_FAN_IN",
    "SMALL_AMOUNT_PROBING", "BURST_OF_TRANSACTIONS", "REPEATED_REFUNDS", "RAPID_DRAIN",
    "AMOUNT_ABOVE_HABIT", "NEW_DEVICE", "FOREIGN_NETWORK", "WEAK_CARD_ENTRY",
    "ACCOUNT_FRAUD_HISTORY", "YOUNG_COUNTERPARTY", "NEW_COUNTERPARTY", "FOREIGN_COUNTERPARTY",
    "YOUNG_ACCOUNT", "NIGHT_TIME",
)
STRONG = frozenset(REASON_ORDER[:10])
_VICTIM_CALL = frozenset(t for t in TYPOLOGIES if t.startswith("app_scam")) | {"mule_account"}


@dataclass(frozen=True)
class Case:
    """One rendered case with its truth."""

    id: str
    day: int
    prompt: str
    score: float
    reasons: tuple[str, ...]
    fraud: bool
    typology: str  # "" for what is not fraud
    belief: float | None = None  # the probability of fraud to teach; none: go by the truth


def _find(pattern: str, prompt: str) -> str | None:
    match = re.search(pattern, prompt, re.MULTILINE)
    return match.group(1) if match else None


def _facts(prompt: str) -> dict[str, str]:
    """The numbers that narratives use, exactly as the prompt writes them."""
    patterns = {
        "amount": r"^payment .*?([\d.]+ [A-Z]{3})",
        "ratio": r"^account.* ratio ([\d.]+)",
        "hour": r"^account.* (?:hour |1h )(\d+)",
        "spent": r"^account.* (?:day |24h \d+/)([\d.]+)",
        "payers": r"^party.*? payers (\d+)",
        "terminal": r"^terminal.*? fraud (\d+)",
        "party": r"^party.*? fraud (\d+)",
        "known": r"^party.*? age (\d+)",
    }
    found = {name: _find(pattern, prompt) for name, pattern in patterns.items()}
    return {name: value for name, value in found.items() if value is not None}


_OPENINGS: dict[str, tuple[str, ...]] = {
    "card_testing": ("Small online payments in quick succession test whether the card works.",
                     "The pattern of attempts is that of card testing."),
    "stolen_card_spree": ("The card is spent quickly at places it has not been before.",
                          "Purchases that do not fit the holder suggest a stolen card."),
    "compromised_terminal": ("The terminal has been abused before.",
                             "This terminal is linked to confirmed fraud."),
    "account_takeover": ("Somebody else seems to control the account.",
                         "Access and payee are new: the account looks taken over."),
    "app_scam_invoice_redirection": ("The payment looks like a redirected invoice.",
                                     "Payee and wording fit invoice redirection."),
    "app_scam_romance": ("Payee and wording fit a romance scam.",
                         "The holder may be paying a feigned acquaintance."),
    "app_scam_bank_impersonation": ("The holder seems to follow a feigned bank employee.",
                                    "Moving money to a new account fits bank impersonation."),
    "mule_account": ("The payee collects money like a mule account.",
                     "Money passes through like on a mule account."),
    "refund_abuse": ("Refunds without matching purchases suggest abuse.",
                     "The refunds do not fit the purchases."),
    "suspicious": ("Some signs are unusual, none is conclusive.",
                   "Unusual for this account, but not conclusive."),
    "none": ("The payment fits what this account does.", "Nothing here contradicts an honest payment.",
             "The signs have an ordinary explanation."),
}


def _details(case: Case, facts: dict[str, str]) -> list[str]:
    """Sentences that the facts bear out, for the reasons at hand."""
    amount = facts.get("amount", "")
    phrases = {
        "AMOUNT_ABOVE_HABIT": ("ratio", "{amount} is {ratio} times the usual amount."),
        "BURST_OF_TRANSACTIONS": ("hour", "{hour} earlier payments within an hour."),
        "SMALL_AMOUNT_PROBING": ("hour", "{hour} earlier payments within an hour, small ones among them."),
        "TERMINAL_FRAUD_HISTORY": ("terminal", "{terminal} confirmed frauds at this terminal."),
        "COUNTERPARTY_FRAUD_HISTORY": ("party", "{party} confirmed frauds with this party."),
        "COUNTERPARTY_FAN_IN": ("payers", "{payers} accounts paid this party within a week."),
        "RAPID_DRAIN": ("spent", "{amount} after {spent} within a day."),
        "YOUNG_COUNTERPARTY": ("known", "The party has been known for {known} days."),
    }
    plain = {"NEW_DEVICE": "The device is new.", "FOREIGN_NETWORK": "The network is abroad.",
             "SCAM_WORDING": "The memo uses words of known scams.",
             "NEW_COUNTERPARTY": "The party is new to the account.",
             "REPEATED_REFUNDS": "There were earlier refunds."}
    found = []
    for code in case.reasons:
        if code in phrases and phrases[code][0] in facts:
            found.append(phrases[code][1].format(**{**facts, "amount": amount}))
        elif code in plain:
            found.append(plain[code])
    return found


def verdict_of(case: Case) -> str:
    """The verdict that the belief and the facts allow: a verdict of fraud needs a reason."""
    strong = sum(code in STRONG for code in case.reasons)
    if case.belief is None:
        if case.fraud:
            return "fraud" if case.reasons else "suspicious"
        return "suspicious" if strong >= 3 else "legitimate"
    if case.belief >= 2 / 3:
        return "fraud" if case.reasons else "suspicious"
    return "suspicious" if case.belief >= 1 / 3 else "legitimate"


def report(case: Case, rng: np.random.Generator) -> str:
    """The compact JSON report."""
    verdict = verdict_of(case)
    typology = case.typology if case.fraud and verdict != "legitimate" else "none"
    limit = {"fraud": 4, "suspicious": 3, "legitimate": 2}[verdict]
    ordered = sorted(case.reasons, key=REASON_ORDER.index)[:limit]
    case = replace(case, reasons=tuple(ordered))
    action = {"suspicious": "challenge", "legitimate": "approve"}.get(verdict)
    action = action or ("review" if typology in _VICTIM_CALL else "decline")
    kind = typology if verdict == "fraud" else "suspicious" if verdict == "suspicious" else "none"
    opening = _OPENINGS[kind][rng.integers(len(_OPENINGS[kind]))]
    details = _details(case, _facts(case.prompt))[: 2 if verdict == "fraud" else 1]
    narrative = " ".join([opening, *details])
    fields = {"verdict": verdict, "typology": typology, "reasons": ordered, "action": action,
              "narrative": narrative}
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=True)
