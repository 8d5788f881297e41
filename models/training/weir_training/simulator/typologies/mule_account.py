"""Mule accounts: many people pay one young payee; a mule passes money on within hours."""

from __future__ import annotations

from ..geography import DISTANT
from ..memos import memo
from ..merchants import BY_NAME
from ..model import DAY, HOUR, Account, Event
from ..names import pick
from ..regular import month_of, own_session
from .common import Scene, times_after

NAME = "mule_account"


def _collect(scene: Scene) -> list[Event]:
    """Buyers who never receive what they paid for: ordinary sums, one payee, many accounts."""
    rng, first = scene.rng, scene.victim()
    begin = scene.moment((16, 4))
    payee = scene.mule(begin, first.country, reuse=0.1, firm=0.15)
    events: list[Event] = []
    for time in times_after(rng, begin, int(rng.integers(4, 12)), HOUR, 2.5 * DAY):
        account = scene.victim()
        plan = scene.plans[scene.world.accounts.index(account)]
        channel, session = own_session(account, plan, scene.world, time, rng)
        text = memo(
            rng,
            pick(rng, ("marketplace", "marketplace", "friends", "moving")),
            account.language,
            account.country,
            month_of(time),
        )
        cents = max(1000, round(account.cents(float(rng.lognormal(5.2, 0.7))) / 500) * 500)
        events.append(
            Event(time, account, cents, "transfer", channel, payee, session=session, memo=text)
        )
    return scene.convict(events, NAME)


def _young(scene: Scene) -> Account:
    """Mules are often recently opened accounts, but not always."""
    accounts = scene.world.accounts
    candidates = [scene.victim() for _ in range(min(12, len(accounts)))]
    if scene.rng.random() < 0.7:
        return max(candidates, key=lambda a: a.opened_at)
    return candidates[0]


def _pass_on(scene: Scene) -> list[Event]:
    """The mule's own account: money moved out fast, to payees, cash machines and coins."""
    rng, account = scene.rng, _young(scene)
    plan = scene.plans[scene.world.accounts.index(account)]
    events: list[Event] = []
    for time in times_after(rng, scene.moment((15, 5)), int(rng.integers(4, 10)), 300, 14 * HOUR):
        euro = float(rng.lognormal(5.9, 0.7))
        kind = rng.random()
        if kind < 0.6:
            channel, session = own_session(account, plan, scene.world, time, rng)
            payee = scene.mule(time, pick(rng, DISTANT), reuse=0.35)
            text = memo(
                rng,
                pick(rng, ("plain", "friends", "abroad")),
                account.language,
                account.country,
                month_of(time),
            )
            events.append(
                Event(
                    time,
                    account,
                    account.cents(euro),
                    "transfer",
                    channel,
                    payee,
                    session=session,
                    memo=text,
                )
            )
        elif kind < 0.82:
            machine = pick(rng, scene.world.machines[account.country])
            cents = max(2000, round(account.cents(min(euro, 500)) / 2000) * 2000)
            events.append(
                Event(
                    time,
                    account,
                    cents,
                    "cash_withdrawal",
                    "atm",
                    machine,
                    0,
                    account.cards[0],
                    "chip",
                    pick(rng, machine.terminals),
                )
            )
        elif scene.world.online_pool(account.country, BY_NAME["crypto"]):
            session = account.phone_at(time).usual[0]
            events.append(
                scene.online_purchase(account, account.cards[0], time, "crypto", euro, session)
            )
    return scene.convict(events, NAME)


def incident(scene: Scene) -> list[Event]:
    """Either side of a mule: the people who pay it, or the account that passes money on."""
    return _collect(scene) if scene.rng.random() < 0.5 else _pass_on(scene)
