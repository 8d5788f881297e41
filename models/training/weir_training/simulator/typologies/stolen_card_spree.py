"""A stolen card used at tills: new places, high amounts, little time."""

from __future__ import annotations

from ..geography import DISTANT
from ..model import DAY, HOUR, Event
from ..names import pick
from ..world import new_card
from .common import Scene, times_after

NAME = "stolen_card_spree"
_KINDS = (
    "electronics",
    "clothing",
    "jewellery",
    "gift_cards",
    "grocery",
    "fuel",
    "sports",
    "homeware",
    "convenience",
)


def _tap_and_go(scene: Scene) -> list[Event]:
    """A lost card tapped for small sums near home: looks like an errand run."""
    rng, account = scene.rng, scene.victim()
    card = pick(rng, account.cards)
    times = times_after(rng, scene.moment(), int(rng.integers(3, 7)), 300, 2 * HOUR)
    return [
        scene.till_purchase(
            account,
            card,
            t,
            pick(rng, ("grocery", "convenience", "fuel", "gift_cards", "fast_food")),
            float(rng.uniform(12, 49)),
            account.country,
            "contactless",
        )
        for t in times
    ]


def _spree(scene: Scene) -> list[Event]:
    rng, account = scene.rng, scene.victim()
    card = pick(rng, account.cards)
    away = [c for c in DISTANT if c not in ("NG",)]
    country = pick(rng, away) if rng.random() < 0.3 else account.country
    mode = pick(rng, ("magstripe", "chip", "chip", "contactless"))
    times = times_after(rng, scene.moment((17, 5)), int(rng.integers(2, 8)), 240, 4 * HOUR)
    events = []
    for time in times:
        euro = float(rng.lognormal(4.5, 0.8)) * min(account.level, 1.5)
        read = "chip" if mode == "contactless" and euro > 50 else mode
        events.append(
            scene.till_purchase(account, card, time, pick(rng, _KINDS), euro, country, read)
        )
    return events


def incident(scene: Scene) -> list[Event]:
    """A spree; four in ten thieves only tap small amounts."""
    rng = scene.rng
    events = _tap_and_go(scene) if rng.random() < 0.4 else _spree(scene)
    scene.convict(events, NAME)
    card, account = events[0].card, events[0].account
    assert card is not None
    scene.block(
        account,
        card,
        events[-1].time + int(rng.uniform(0.1, 3) * DAY),
        new_card(rng, account.country),
    )
    return events
