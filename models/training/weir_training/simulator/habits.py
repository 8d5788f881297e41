"""Everyday spending: how often, when, where and how much each account holder pays.

Draws are made for a whole account at once (numpy arrays over its purchases);
only the last step, making events, walks over them one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .geography import COUNTRIES, address, billing_currency
from .merchants import BY_NAME, CATEGORIES, hour_table
from .model import DAY, HOUR, Account, Card, Counterparty, Event, Session
from .plans import Plan
from .world import World, new_sessions

_RATE = np.array([c.rate for c in CATEGORIES])
_MU = np.log([c.median for c in CATEGORIES])
_SIGMA = np.array([c.sigma for c in CATEGORIES])
_ONLINE = np.array([c.online for c in CATEGORIES])
_HOURS = hour_table()
_WEEKDAY = np.array([0.92, 0.92, 0.95, 1.0, 1.18, 1.22, 0.85])
_ACTIVITY = 0.68
_NICHE = tuple(BY_NAME[name] for name in ("gambling", "crypto", "games", "food_delivery"))
_PRICED = frozenset(
    BY_NAME[n] for n in ("clothing", "electronics", "games", "marketplace", "books")
)


def day_factors(account: Account, start: int, days: int, rng: np.random.Generator) -> np.ndarray:
    """How busy each day is (mean about 1): weekday, payday, holidays and mood."""
    day = np.arange(days)
    first_weekday = (start // DAY + 3) % 7
    factor = _WEEKDAY[(first_weekday + day) % 7].copy()
    month_day = (
        (day + start // DAY).astype("datetime64[D]")
        - (day + start // DAY).astype("datetime64[D]").astype("datetime64[M]")
    ).astype(int)
    since_payday = (month_day + 1 - account.payday) % 30
    factor *= 1.0 + 0.45 * np.exp(-since_payday / 3.0) - 0.12 * (since_payday > 22)
    year_day = (day + start // DAY) % 365.25
    factor *= 1.0 + 0.08 * np.sin(2 * np.pi * (year_day - 100) / 365.25)
    mood = np.repeat(rng.lognormal(-0.06, 0.35, days // 7 + 1), 7)[:days]
    return factor * mood


@dataclass(slots=True)
class Taste:
    """What one account holder likes: rates per category and favourite merchants."""

    rates: np.ndarray
    price: np.ndarray
    online: np.ndarray
    shops: dict[tuple[str, int], list[Counterparty]]
    sites: dict[int, list[Counterparty]]
    explore: float


def _favourites(
    pool: list[Counterparty], rng: np.random.Generator, most: int
) -> list[Counterparty]:
    count = 1 + int(rng.random() * most)
    return [pool[int(u * u * len(pool))] for u in rng.random(count)]


def make_taste(world: World, account: Account, rng: np.random.Generator) -> Taste:
    """Draws an account holder's tastes; niche kinds are loved by few, ignored by most."""
    count = len(CATEGORIES)
    rates = _RATE * rng.gamma(2.0, 0.5, count)
    for index in _NICHE:
        rates[index] *= 3.2 if rng.random() < 0.25 else 0.15
    leaning = float(np.clip(rng.normal(1.0, 0.3), 0.3, 1.7))
    online = np.where(_ONLINE >= 1.0, 1.0, np.clip(_ONLINE * leaning, 0, 0.95))
    shops: dict[tuple[str, int], list[Counterparty]] = {}
    sites: dict[int, list[Counterparty]] = {}
    for index in range(count):
        pool = world.shop_pool(account.country, index)
        if pool:
            shops[(account.country, index)] = _favourites(pool, rng, 4)
        pool = world.online_pool(account.country, index)
        if pool:
            sites[index] = _favourites(pool, rng, 5)
    explore = float(np.clip(rng.beta(2, 9), 0.03, 0.5))
    return Taste(rates, rng.lognormal(0, 0.15, count), online, shops, sites, explore)


@dataclass(slots=True)
class Draws:
    """Columns over one account's purchases, in no particular order."""

    time: list[int]
    day: list[int]
    category: list[int]
    online: list[bool]
    euro: list[float]
    explore: list[bool]
    uniform: list[list[float]]


def draw_purchases(
    account: Account, taste: Taste, start: int, days: int, rng: np.random.Generator
) -> Draws:
    """How many purchases, when, of what kind and for how many euro."""
    per_day = taste.rates.sum() / 30.0 * account.activity * _ACTIVITY
    counts = rng.poisson(per_day * day_factors(account, start, days, rng))
    day = np.repeat(np.arange(days), counts)
    size = len(day)
    share = np.cumsum(taste.rates / taste.rates.sum())
    category = np.minimum(np.searchsorted(share, rng.random(size)), len(CATEGORIES) - 1)
    hour = (_HOURS[category] < rng.random(size)[:, None]).sum(axis=1)
    time = start + day * DAY + np.minimum(hour, 23) * HOUR + rng.integers(0, HOUR, size)
    level = account.level * taste.price[category]
    euro = np.exp(_MU[category] + _SIGMA[category] * rng.standard_normal(size)) * level
    uniform = rng.random((size, 6))
    return Draws(
        time.tolist(),
        day.tolist(),
        category.tolist(),
        (rng.random(size) < taste.online[category]).tolist(),
        euro.tolist(),
        (rng.random(size) < taste.explore).tolist(),
        uniform.tolist(),
    )


def entry_mode(euro: float, u: float, country: str) -> str:
    """How a card is read at a till, given the amount in euro and a uniform draw."""
    if u < (0.06 if country in ("US", "MX", "TH", "TR") else 0.008):
        return "magstripe"
    if u > 0.997:
        return "manual"
    return "contactless" if euro < 50 and u < 0.82 or u < 0.2 else "chip"


def price_cents(account: Account, category: int, euro: float, u: float) -> int:
    """The amount in cents; shops with price tags like to end on .99 or .95."""
    cents = max(account.cents(max(euro, 0.4)), 20)
    if category in _PRICED and u < 0.55 and cents > 300:
        return cents - cents % 100 + (99 if u < 0.4 else 95)
    return cents


class Shopper:
    """Makes the events of one account from its draws."""

    def __init__(
        self, world: World, account: Account, plan: Plan, taste: Taste, rng: np.random.Generator
    ) -> None:
        self.world, self.account, self.plan = world, account, plan
        self.taste, self.rng = taste, rng
        self.abroad: dict[str, Session] = {}

    def card(self, u: float) -> Card:
        """The first card most of the time."""
        cards = self.account.cards
        return (
            cards[0] if u < 0.8 or len(cards) == 1 else cards[1 + int(u * 997) % (len(cards) - 1)]
        )

    def session(self, time: int, country: str, u: float, v: float) -> Session | None:
        """Where an online payment comes from: a usual device nearly always."""
        account = self.account
        if v < 0.03:
            ip = address(self.rng)
            return new_sessions(self.rng, country, ip, computer=v < 0.02).usual[0]
        own = account.computer if account.computer and u < 0.4 else account.phone_at(time)
        if v < 0.06:
            return None
        if v < 0.075:
            far = ("NL", "US", "DE", "CH", "GB", "RO")[int(u * 6)]
            return Session(own.device, address(self.rng), far)
        if country != account.country:
            seen = self.abroad.get(country)
            if seen is None or seen.device is not own.device:
                ip = address(self.rng, mobile=u > 0.5)
                seen = self.abroad[country] = Session(own.device, ip, country)
            return seen
        return own.usual[min(int(v * len(own.usual)), len(own.usual) - 1)]

    def site(self, category: int, explore: bool, u: float) -> Counterparty:
        """An online merchant: a favourite, or any that serves the country."""
        pool = self.world.online_pool(self.account.country, category)
        if not explore:
            pool = self.taste.sites[category]
        return pool[int(u * u * len(pool))]

    def shop(self, country: str, category: int, explore: bool, u: float) -> Counterparty:
        """A physical merchant; abroad, a few places are visited again and again."""
        key = (country, category)
        if explore:
            pool = self.world.shop_pool(country, category)
        else:
            pool = self.taste.shops.get(key) or []
            if not pool:
                pool = _favourites(self.world.shop_pool(country, category), self.rng, 3)
                self.taste.shops[key] = pool
        return pool[int(u * u * len(pool))]

    def purchase(
        self,
        time: int,
        day: int,
        category: int,
        online: bool,
        euro: float,
        explore: bool,
        u: list[float],
    ) -> Event:
        """One purchase, online or at a till."""
        account = self.account
        country = self.plan.place[day]
        story = self.plan.story[day]
        cents = price_cents(account, category, euro, u[0])
        wording = 0 if u[1] < 0.8 else int(u[1] * 1000)
        if online or not self.world.shop_pool(country, category):
            merchant = self.site(category, explore, u[2])
            return Event(
                time,
                account,
                cents,
                "card_payment",
                "ecommerce",
                merchant,
                wording,
                self.card(u[3]),
                "ecommerce",
                None,
                self.session(time, country, u[4], u[5]),
                None,
                story,
                None,
                None,
                billing_currency(account.currency, merchant.country),
            )
        merchant = self.shop(country, category, explore, u[2])
        terminal = merchant.terminals[int(u[4] * len(merchant.terminals))]
        currency = billing_currency(account.currency, country)
        if account.uses_wallet and u[5] < 0.35:
            session = account.phone_at(time).usual[-1]
            return Event(
                time,
                account,
                cents,
                "wallet",
                "pos",
                merchant,
                wording,
                self.card(u[3]),
                "contactless",
                terminal,
                session if country == account.country else None,
                None,
                story,
                None,
                None,
                currency,
            )
        return Event(
            time,
            account,
            cents,
            "card_payment",
            "pos",
            merchant,
            wording,
            self.card(u[3]),
            entry_mode(euro, u[5], country),
            terminal,
            None,
            None,
            story,
            None,
            None,
            currency,
        )


def everyday(
    world: World, account: Account, plan: Plan, taste: Taste, rng: np.random.Generator
) -> list[Event]:
    """All everyday card and wallet purchases of one account."""
    shopper = Shopper(world, account, plan, taste, rng)
    draws = draw_purchases(account, taste, world.start, world.days, rng)
    purchase = shopper.purchase
    return [
        purchase(*row)
        for row in zip(
            draws.time,
            draws.day,
            draws.category,
            draws.online,
            draws.euro,
            draws.explore,
            draws.uniform,
            strict=True,
        )
    ]


def returns(events: list[Event], rng: np.random.Generator, share: float = 0.09) -> list[Event]:
    """Refunds, three to twenty days later, of some purchases that people send back."""
    returned = {
        CATEGORIES[BY_NAME[n]].mcc
        for n in (
            "clothing",
            "electronics",
            "marketplace",
            "homeware",
            "sports",
            "hotel",
            "airline",
        )
    }
    refunds: list[Event] = []
    for event in events:
        shop = event.counterparty
        if shop is None or shop.mcc not in returned or event.cents < 800:
            continue
        if rng.random() > share:
            continue
        full = rng.random() < 0.7
        cents = event.cents if full else max(100, int(event.cents * (0.2 + 0.7 * rng.random())))
        time = event.time + int((3 + 17 * rng.random()) * DAY)
        refunds.append(
            Event(
                time,
                event.account,
                cents,
                "refund",
                event.channel,
                shop,
                event.wording,
                event.card,
                event.entry_mode,
                event.terminal,
                None,
                None,
                event.scenario,
                None,
                None,
                event.currency,
            )
        )
    return refunds


def cash(world: World, account: Account, plan: Plan, rng: np.random.Generator) -> list[Event]:
    """Cash withdrawals: one or two favourite machines at home, any machine abroad."""
    events: list[Event] = []
    home = world.machines[account.country]
    usual = [home[int(u * len(home))] for u in rng.random(2)]
    per_day = 0.075 * account.activity * float(rng.gamma(1.5, 1 / 1.5))
    unit = max(1.0, round(COUNTRIES[account.country].rate)) * 10
    for _ in range(int(rng.poisson(per_day * world.days))):
        day = int(rng.random() * world.days)
        u, v, hour = rng.random(), rng.random(), float(np.clip(rng.normal(14.5, 3.6), 0, 23.9))
        country = plan.place[day]
        machine = usual[int(u > 0.75)]
        if country != account.country or v < 0.1:
            machines = world.machines[country]
            machine = machines[int(u * len(machines))]
        notes = max(1, round(float(rng.lognormal(1.7, 0.6)) * account.level))
        terminal = machine.terminals[int(v * len(machine.terminals))]
        time = world.start + day * DAY + int(hour * HOUR) + int(u * 1000)
        events.append(
            Event(
                time,
                account,
                round(notes * unit) * 100,
                "cash_withdrawal",
                "atm",
                machine,
                0,
                account.cards[0],
                "chip",
                terminal,
                None,
                None,
                plan.story[day],
            )
        )
    return events
