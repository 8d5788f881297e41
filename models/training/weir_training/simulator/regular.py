"""Payments that come back: rent, bills, subscriptions, savings, family and friends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from .geography import REMITTANCE, address
from .memos import YearMonth, memo
from .model import DAY, HOUR, Account, Counterparty, Event, Session
from .names import pick
from .plans import Plan
from .world import World, new_business, new_person

_SUBSCRIPTIONS = (
    ("4899", ("{w} Stream", "{w}TV", "{w} Music")),
    ("7997", ("{w} Gym", "Fit{w}")),
    ("5968", ("{w} Cloud", "{w} Box", "{w} News Digital")),
)
_WORDS = ("Nova", "Luna", "Vento", "Polar", "Mira", "Juno", "Tide", "Onda", "Falk", "Stella")


def month_of(time: int) -> YearMonth:
    """The year and month (1 to 12) of an epoch time."""
    date = datetime.fromtimestamp(time, UTC)
    return date.year, date.month


@dataclass(slots=True)
class Payee:
    """Someone paid again and again. `every` is in days (0 = monthly on `day`)."""

    counterparty: Counterparty
    purpose: str
    euro: float
    spread: float
    day: int = 1
    every: float = 0.0


def own_session(
    account: Account, plan: Plan, world: World, time: int, rng: np.random.Generator
) -> tuple[str, Session | None]:
    """Channel and session of a transfer that the account holder makes."""
    u = rng.random()
    if u < 0.03:
        return "branch", None
    computer = account.computer if u > 0.7 else None
    own = computer or account.phone_at(time)
    channel = "web" if computer else "mobile"
    day = min(max((time - world.start) // DAY, 0), world.days - 1)
    usual = own.usual[int(rng.random() * len(own.usual))]
    if plan.place[day] != account.country:
        return channel, Session(own.device, address(rng, mobile=True), plan.place[day])
    return channel, usual


def transfer(
    world: World,
    account: Account,
    plan: Plan,
    time: int,
    payee: Counterparty,
    euro: float,
    text: str | None,
    rng: np.random.Generator,
    scenario: str | None = None,
) -> Event:
    """A transfer by the account holder; larger amounts are often round."""
    channel, session = own_session(account, plan, world, time, rng)
    cents = account.cents(euro)
    if rng.random() < 0.6:
        step = 500 if cents < 20_000 else 5_000
        cents = max(step, round(cents / step) * step)
    day = min(max((time - world.start) // DAY, 0), world.days - 1)
    return Event(
        time,
        account,
        cents,
        "transfer",
        channel,
        payee,
        memo=text,
        session=session,
        scenario=scenario or plan.story[day],
    )


def waking_time(world: World, day: int, rng: np.random.Generator) -> int:
    """A time on a simulated day when people tend to do their banking (epoch seconds)."""
    hour = float(np.clip(rng.normal(15.5, 4.2), 0, 23.95))
    return world.start + day * DAY + int(hour * HOUR)


def month_days(world: World, day_of_month: int) -> list[int]:
    """Indices of simulated days that fall on this day of a month (29 and on: the 28th)."""
    wanted = min(day_of_month, 28)
    first = datetime.fromtimestamp(world.start, UTC).toordinal()
    return [d for d in range(world.days) if datetime.fromordinal(first + d).day == wanted]


def _biller(world: World, account: Account, rng: np.random.Generator) -> Counterparty:
    return pick(rng, world.billers[account.country])


def direct_debits(world: World, account: Account, rng: np.random.Generator) -> list[Event]:
    """Energy, phone, insurance and the like: collected monthly, mostly the same amount."""
    events: list[Event] = []
    for _ in range(int(rng.poisson(2.6))):
        biller = _biller(world, account, rng)
        euro = float(rng.lognormal(3.6, 0.7))
        reference = (
            f"{pick(rng, ['Ref', 'Mandate', 'Kd-Nr', 'Contract'])} {int(rng.integers(1e4, 1e6))}"
        )
        text = reference if rng.random() < 0.6 else None
        fixed = rng.random() < 0.7
        for day in month_days(world, int(rng.integers(1, 29))):
            time = world.start + day * DAY + int(rng.integers(2 * HOUR, 7 * HOUR))
            amount = euro if fixed else euro * float(rng.lognormal(0, 0.15))
            events.append(
                Event(
                    time, account, account.cents(amount), "direct_debit", "api", biller, memo=text
                )
            )
    return events


def subscriptions(world: World, account: Account, rng: np.random.Generator) -> list[Event]:
    """Monthly card payments to online services, started by the merchant."""
    events: list[Event] = []
    for _ in range(int(rng.poisson(1.4))):
        mcc, names = pick(rng, list(_SUBSCRIPTIONS))
        word = pick(rng, list(_WORDS))
        name = pick(rng, list(names)).replace("{w}", word)
        key = f"s_{mcc}{_WORDS.index(word)}{names.index(name.replace(word, '{w}', 1))}"
        service = Counterparty(
            key, (name, name.upper()), "merchant", "IE", mcc, world.start - 1500 * DAY
        )
        euro = pick(rng, ["4.99", "7.99", "9.99", "12.99", "17.99", "24.90", "39.00"])
        card = account.cards[-1]
        for day in month_days(world, int(rng.integers(1, 29))):
            time = world.start + day * DAY + int(rng.integers(0, DAY))
            events.append(
                Event(
                    time,
                    account,
                    round(float(euro) * account.unit * 100),
                    "card_payment",
                    "ecommerce",
                    service,
                    0,
                    card,
                    "ecommerce",
                )
            )
    return events


def _old(world: World, rng: np.random.Generator) -> int | None:
    if rng.random() < 0.15:
        return None
    return int(world.start - (30 + 1200 * rng.random()) * DAY)


def make_payees(world: World, account: Account, rng: np.random.Generator) -> list[Payee]:
    """Landlord, savings, family, friends and people abroad, as this account has them."""
    payees: list[Payee] = []
    home, income = account.country, account.income
    if rng.random() < 0.5:
        landlord = (new_person if rng.random() < 0.6 else new_business)(
            world, rng, home, _old(world, rng)
        )
        payees.append(
            Payee(
                landlord,
                "rent",
                income * (0.22 + 0.15 * rng.random()),
                0.0,
                int(rng.integers(1, 6)),
            )
        )
    if rng.random() < 0.55:
        saver = new_person(world, rng, home, _old(world, rng), account.holder)
        payees.append(
            Payee(saver, "savings", income * (0.03 + 0.12 * rng.random()), 0.3, account.payday + 1)
        )
    for _ in range(int(rng.poisson(0.8))):
        payees.append(
            Payee(
                new_person(world, rng, home, _old(world, rng)),
                "family",
                15 + 90 * rng.random(),
                0.5,
                every=float(rng.choice([7, 14, 30])),
            )
        )
    for _ in range(int(rng.poisson(2.2))):
        payees.append(
            Payee(
                new_person(world, rng, home, _old(world, rng)),
                "friends",
                8 + 30 * rng.random(),
                0.7,
                every=15 + 60 * rng.random(),
            )
        )
    if rng.random() < 0.07:
        abroad = pick(rng, [c for c in REMITTANCE if c != home])
        payees.append(
            Payee(
                new_person(world, rng, abroad, _old(world, rng)),
                "abroad",
                80 + 250 * rng.random(),
                0.5,
                every=20 + 20 * rng.random(),
            )
        )
    return payees


def transfers(world: World, account: Account, plan: Plan, rng: np.random.Generator) -> list[Event]:
    """Transfers to people and firms the account holder has dealt with before, and a few bills."""
    events: list[Event] = []
    for payee in make_payees(world, account, rng):
        if payee.every:
            count = rng.poisson(world.days / payee.every)
            days = [int(u * world.days) for u in rng.random(count)]
        else:
            days = month_days(world, payee.day)
        level = 1.0 if payee.purpose == "rent" else min(account.level, 2.0)
        fixed = memo(rng, payee.purpose, account.language, account.country, month_of(world.start))
        for day in days:
            time = waking_time(world, day, rng)
            euro = payee.euro * level * float(rng.lognormal(0, payee.spread))
            text = fixed
            if rng.random() < 0.75:
                text = memo(rng, payee.purpose, account.language, account.country, month_of(time))
            scenario = "long_distance_family" if payee.purpose == "abroad" else None
            events.append(
                transfer(world, account, plan, time, payee.counterparty, euro, text, rng, scenario)
            )
    for u in rng.random(rng.poisson(world.days / 60)):
        time = waking_time(world, int(u * world.days), rng)
        known = rng.random() < 0.6
        firm = (
            _biller(world, account, rng)
            if known
            else new_business(
                world, rng, account.country, _old(world, rng) if rng.random() < 0.6 else time
            )
        )
        text = memo(rng, "invoice", account.language, account.country, month_of(time))
        events.append(
            transfer(world, account, plan, time, firm, float(rng.lognormal(4.9, 0.9)), text, rng)
        )
    return events
