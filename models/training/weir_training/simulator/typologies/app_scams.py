"""Authorised push payment scams: the victim pays, from their own device, under a false story."""

from __future__ import annotations

from ..geography import DISTANT
from ..model import DAY, HOUR, Account, Counterparty, Event
from ..names import pick
from ..regular import month_of, own_session
from ..scam_memos import scam_memo
from .common import Scene, times_after

INVOICE = "app_scam_invoice_redirection"
ROMANCE = "app_scam_romance"
BANK = "app_scam_bank_impersonation"


def _pay(
    scene: Scene, account: Account, payee: Counterparty, time: int, euro: float, story: str
) -> Event:
    """A transfer by the victim, with the victim's habits: own device, round sums."""
    plan = scene.plans[scene.world.accounts.index(account)]
    channel, session = own_session(account, plan, scene.world, time, scene.rng)
    cents = account.cents(euro)
    if scene.rng.random() < 0.5:
        cents = max(1000, round(cents / 1000) * 1000)
    text = scam_memo(scene.rng, story, account.language, account.country, month_of(time))
    return Event(time, account, cents, "transfer", channel, payee, session=session, memo=text)


def invoice_redirection(scene: Scene) -> list[Event]:
    """A real bill paid to a false account, once or twice."""
    rng, account = scene.rng, scene.victim()
    begin = scene.moment((13, 3))
    payee = scene.mule(begin, account.country, reuse=0.15, firm=0.6)
    euro = float(rng.lognormal(6.4, 1.0)) * min(account.level, 2.0)
    events = [_pay(scene, account, payee, begin, euro, "invoice_redirection")]
    if rng.random() < 0.35:
        later = begin + int(rng.uniform(0.2, 12) * DAY)
        events.append(
            _pay(
                scene,
                account,
                payee,
                later,
                euro * float(rng.uniform(0.3, 1.2)),
                "invoice_redirection",
            )
        )
    return scene.convict(events, INVOICE)


def romance(scene: Scene) -> list[Event]:
    """Weeks of growing payments to someone never met; the truth comes out long after."""
    rng, account = scene.rng, scene.victim()
    time = scene.moment((19, 3.5))
    where = pick(rng, DISTANT) if rng.random() < 0.7 else account.country
    payee = scene.mule(time, where, reuse=0.15, firm=0.05)
    euro = float(rng.lognormal(4.9, 0.6)) * min(account.level, 2.0)
    events: list[Event] = []
    for _ in range(int(rng.integers(3, 9))):
        events.append(_pay(scene, account, payee, time, euro, "romance"))
        time += int(rng.uniform(1.5, 14) * DAY)
        euro *= float(rng.uniform(0.9, 1.7))
        if rng.random() < 0.12:
            payee = scene.mule(time, where, reuse=0.3, firm=0.05)
    return scene.convict(events, ROMANCE)


def bank_impersonation(scene: Scene) -> list[Event]:
    """A caller "from the bank" has the victim move savings to a "safe account" within hours."""
    rng, account = scene.rng, scene.victim()
    begin = scene.moment((14, 3))
    own_name = account.holder if rng.random() < 0.4 else None
    payee = scene.mule(begin, account.country, reuse=0.4, firm=0.05, name=own_name)
    savings = account.income * float(rng.lognormal(-0.1, 0.8))
    times = times_after(rng, begin, int(rng.integers(1, 5)), 180, 1.5 * HOUR)
    events = [
        _pay(
            scene,
            account,
            payee,
            t,
            savings / len(times) * float(rng.uniform(0.7, 1.3)),
            "bank_impersonation",
        )
        for t in times
    ]
    return scene.convict(events, BANK)
