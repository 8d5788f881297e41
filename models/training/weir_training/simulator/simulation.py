"""Puts a simulation together: the cast, their lives, the frauds, all in event order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .habits import cash, everyday, make_taste, returns
from .model import DAY, Event
from .plans import Plan, make_plan
from .regular import direct_debits, subscriptions, transfers
from .scenarios import popular_payees, turns
from .typologies import commit
from .typologies.common import Scene
from .world import World, build_world


@dataclass(frozen=True, slots=True)
class Config:
    """What to simulate. `start` is midnight UTC in epoch seconds; `label_delay` scales
    every label's delay (1.0: days to weeks); `fraud_rate` is the aimed share of frauds.
    Typologies in `withhold` do not happen before `withhold_until` (epoch seconds; None: never)."""

    seed: int = 7
    start: int = 1_767_225_600
    days: int = 180
    accounts: int = 3000
    fraud_rate: float = 0.008
    label_delay: float = 1.0
    withhold: tuple[str, ...] = ()
    withhold_until: int | None = None

    def allows(self, event: Event) -> bool:
        """Whether a fraud may happen."""
        if event.typology not in self.withhold:
            return True
        return self.withhold_until is not None and event.time >= self.withhold_until


def _honest(world: World, seeds: list[np.random.SeedSequence]) -> tuple[list[Plan], list[Event]]:
    plans: list[Plan] = []
    events: list[Event] = []
    for account, seed in zip(world.accounts, seeds, strict=True):
        rng = np.random.default_rng(seed)
        plan = make_plan(world, account, rng)
        taste = make_taste(world, account, rng)
        bought = everyday(world, account, plan, taste, rng)
        plans.append(plan)
        events += bought
        events += returns(bought, rng)
        events += cash(world, account, plan, rng)
        events += direct_debits(world, account, rng)
        events += subscriptions(world, account, rng)
        events += transfers(world, account, plan, rng)
        events += turns(world, account, plan, rng)
    return plans, events


def _traffic(events: list[Event]) -> dict[str, list[Event]]:
    """Honest card events by till terminal."""
    by_terminal: dict[str, list[Event]] = {}
    for event in events:
        if event.terminal is not None and event.channel == "pos" and event.type == "card_payment":
            by_terminal.setdefault(event.terminal, []).append(event)
    return by_terminal


def _in_order(world: World, events: list[Event]) -> list[Event]:
    """Events within the span, by time; no payee is first seen after it was paid."""
    kept = [e for e in events if world.start <= e.time < world.end]
    kept.sort(key=lambda e: e.time)
    for event in kept:
        payee = event.counterparty
        if payee is not None and payee.first_seen is not None and payee.first_seen > event.time:
            payee.first_seen = event.time
    return kept


def simulate(config: Config) -> list[Event]:
    """All events of a simulation in event order; the same config gives the same events."""
    if config.days < 1 or config.accounts < 1:
        raise ValueError("days and accounts must be at least 1")
    if config.start % DAY:
        raise ValueError("start must be midnight UTC")
    root = np.random.SeedSequence(config.seed)
    cast, lives, crowd, crime = root.spawn(4)
    world = build_world(cast, config.start, config.days, config.accounts)
    plans, events = _honest(world, lives.spawn(config.accounts))
    events += popular_payees(world, plans, np.random.default_rng(crowd))
    events = _in_order(world, events)
    scene = Scene(world, plans, np.random.default_rng(crime), _traffic(events), config.label_delay)
    frauds = commit(scene, len(events), config.fraud_rate) if config.fraud_rate > 0 else []
    known = {id(e) for e in events}
    events += [e for e in frauds if id(e) not in known]
    return _in_order(world, [e for e in events if config.allows(e)])
