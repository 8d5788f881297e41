"""A terminal that skims cards: for weeks a share of what happens there is fraud.

Cloned cards are used at the same terminal for amounts as ordinary as its honest
trade, so that the terminal's history of confirmed fraud is the main evidence.
Returned events are new ones; honest events turned into fraud change in place and
are returned too.
"""

from __future__ import annotations

from ..model import DAY, HOUR, Event
from ..world import new_card
from .common import Scene

NAME = "compromised_terminal"


def _pick_terminal(scene: Scene) -> list[Event]:
    """Honest trade of one of the busier terminals."""
    busy = sorted(scene.traffic.values(), key=len, reverse=True)
    share = busy[: max(1, len(busy) // 3)]
    return share[int(scene.rng.random() * len(share))]


def _clone(scene: Scene, model: Event, typical: list[Event]) -> Event:
    """A cloned card used for an ordinary amount at the terminal where it was read."""
    rng = scene.rng
    like = typical[int(rng.random() * len(typical))]
    euro = like.cents / 100 / like.account.unit * float(rng.lognormal(0.15, 0.4))
    time = model.time + int(rng.uniform(2, 90) * HOUR)
    mode = "magstripe" if rng.random() < 0.3 else ("contactless" if euro < 50 else "chip")
    return Event(
        time,
        model.account,
        model.account.cents(euro),
        "card_payment",
        "pos",
        model.counterparty,
        model.wording,
        model.card,
        mode,
        model.terminal,
        None,
        None,
        None,
        None,
        None,
        model.currency,
    )


def incident(scene: Scene) -> list[Event]:
    """One terminal compromised for three to six weeks."""
    rng = scene.rng
    trade = _pick_terminal(scene)
    span = int(rng.uniform(21, 42) * DAY)
    begin = scene.world.start + int(rng.random() * max(DAY, scene.world.days * DAY - span))
    within = [
        e
        for e in trade
        if begin <= e.time < begin + span and e.typology is None and e.card is not None
    ]
    events: list[Event] = []
    for event in within:
        draw = rng.random()
        if draw < 0.18:
            if rng.random() < 0.15:
                event.entry_mode = "magstripe"
            events.append(event)
        elif draw < 0.45:
            events.append(_clone(scene, event, within))
    scene.convict(events, NAME, together=False)
    for event in events:
        if event.card is not None and rng.random() < 0.8:
            scene.block(
                event.account,
                event.card,
                event.time + int(rng.uniform(1, 9) * DAY),
                new_card(rng, event.account.country),
            )
    return events
