"""Account takeover: someone else logs in and drains the balance to a new payee."""

from __future__ import annotations

import numpy as np

from ..geography import DISTANT, address
from ..memos import memo
from ..model import HOUR, Account, Event, Session
from ..names import pick
from ..regular import month_of
from .common import Scene, times_after

NAME = "account_takeover"


def _entry(scene: Scene, account: Account, time: int) -> Session:
    """A strange device, the victim's own device under remote control, or a proxy near home."""
    rng, draw = scene.rng, scene.rng.random()
    if draw < 0.2:
        return account.phone_at(time).usual[0]
    if draw < 0.34:
        return Session(account.phone_at(time).device, address(rng), pick(rng, DISTANT))
    return scene.ring(time, account.country if draw < 0.65 else None)


def incident(scene: Scene) -> list[Event]:
    """One to five transfers, sometimes after a small one to see whether it works."""
    rng, account = scene.rng, scene.victim()
    begin = scene.moment((23.0, 6.0))
    session = _entry(scene, account, begin)
    channel = "mobile" if session.device.user_agent.startswith("App") else "web"
    count = int(rng.integers(1, 6))
    times = times_after(rng, begin, count, 90, 5 * HOUR)
    balance = account.income * float(np.clip(rng.lognormal(-0.6, 0.9), 0.05, 3.0))
    payee = scene.mule(begin, account.country)
    events: list[Event] = []
    for index, time in enumerate(times):
        if index and rng.random() < 0.3:
            payee = scene.mule(time, account.country)
        part = balance * float(rng.uniform(0.15, 0.5))
        balance -= part
        if index == 0 and rng.random() < 0.25:
            part = float(rng.uniform(1, 15))
        purpose = pick(rng, ("plain", "plain", "friends", "invoice", "marketplace", "rent"))
        text = memo(rng, purpose, account.language, account.country, month_of(time))
        if rng.random() < 0.3:
            text = None
        cents = account.cents(part)
        if rng.random() < 0.5:
            cents = max(500, round(cents / 5000) * 5000)
        events.append(
            Event(time, account, cents, "transfer", channel, payee, session=session, memo=text)
        )
    return scene.convict(events, NAME)
