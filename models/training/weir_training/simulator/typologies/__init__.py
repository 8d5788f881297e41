"""Named kinds of fraud, and how much of each a simulation contains."""

from __future__ import annotations

from collections.abc import Callable

from ..model import Event
from . import (
    account_takeover,
    app_scams,
    card_testing,
    compromised_terminal,
    mule_account,
    refund_abuse,
    stolen_card_spree,
)
from .common import Scene

# Each typology's share of fraudulent transactions, and what makes one incident of it.
TYPOLOGIES: dict[str, tuple[float, Callable[[Scene], list[Event]]]] = {
    card_testing.NAME: (0.20, card_testing.incident),
    stolen_card_spree.NAME: (0.16, stolen_card_spree.incident),
    compromised_terminal.NAME: (0.21, compromised_terminal.incident),
    account_takeover.NAME: (0.13, account_takeover.incident),
    app_scams.INVOICE: (0.05, app_scams.invoice_redirection),
    app_scams.ROMANCE: (0.05, app_scams.romance),
    app_scams.BANK: (0.05, app_scams.bank_impersonation),
    mule_account.NAME: (0.10, mule_account.incident),
    refund_abuse.NAME: (0.05, refund_abuse.incident),
}


def commit(scene: Scene, honest: int, share: float) -> list[Event]:
    """Frauds beside `honest` legitimate events, so that fraud is about `share` of all.

    What one typology has too much or too little goes to the next, so that totals hold.
    """
    wanted = share / (1 - share) * honest
    events: list[Event] = []
    carried = 0.0
    for part, incident in TYPOLOGIES.values():
        budget = wanted * part + carried
        made = 0
        for _ in range(100_000):
            if made >= budget - 2:
                break
            fresh = incident(scene)
            made += len(fresh)
            events += fresh
        carried = budget - made
    return events
