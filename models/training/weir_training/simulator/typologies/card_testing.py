"""Card testing: tiny online attempts on stolen card numbers, then larger purchases."""

from __future__ import annotations

from ..model import DAY, HOUR, Event
from ..names import pick
from ..world import new_card
from .common import Scene, times_after

NAME = "card_testing"
_SMALL = ("games", "charity", "marketplace", "food_delivery", "books", "transit")
_LARGE = ("electronics", "gift_cards", "marketplace", "clothing", "travel_agency", "crypto")


def incident(scene: Scene) -> list[Event]:
    """One card tested; three in ten testers are slow, often send no device and stay near home."""
    rng, account = scene.rng, scene.victim()
    card = pick(rng, account.cards)
    slow = rng.random() < 0.3
    begin = scene.moment((3.0, 7.0))
    near = account.country if rng.random() < 0.35 else None
    session = None if slow and rng.random() < 0.6 else scene.ring(begin, near)
    count = int(rng.integers(2, 6)) if slow else int(rng.integers(5, 15))
    gap = (2 * HOUR, 20 * HOUR) if slow else (8, 500)
    times = times_after(rng, begin, count, *gap)
    events = [
        scene.online_purchase(
            account,
            card,
            t,
            pick(rng, _SMALL),
            float(rng.uniform(0.5, 12.0 if slow else 5.0)),
            session,
        )
        for t in times
    ]
    large = times[-1] + int(rng.uniform(0.05, 30) * HOUR)
    for time in times_after(rng, large, 1 + int(rng.random() * 2.3), 60, 2 * HOUR):
        euro = float(rng.lognormal(4.9, 0.7))
        events.append(scene.online_purchase(account, card, time, pick(rng, _LARGE), euro, session))
    scene.convict(events, NAME)
    scene.block(
        account,
        card,
        events[-1].time + int(rng.uniform(0.3, 6) * DAY),
        new_card(rng, account.country),
    )
    return events
