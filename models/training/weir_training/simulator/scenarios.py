"""Legitimate look-alikes: unusual but honest payments, each with a scenario name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .geography import billing_currency
from .memos import memo
from .merchants import BY_NAME
from .model import DAY, HOUR, Account, Counterparty, Event
from .names import pick
from .plans import Plan
from .regular import month_of, transfer, waking_time
from .world import World, new_business, new_person


class Stage:
    """One account on one day: short ways to make the payments of a scenario."""

    def __init__(
        self,
        world: World,
        account: Account,
        plan: Plan,
        scenario: str,
        day: int,
        rng: np.random.Generator,
    ) -> None:
        self.world, self.account, self.plan = world, account, plan
        self.scenario, self.day, self.rng = scenario, day, rng

    def time(self, later: int = 0) -> int:
        """A waking time some days after the scenario's first day (epoch seconds)."""
        return waking_time(self.world, self.day + later, self.rng)

    def buy(
        self,
        category: str,
        euro: float,
        time: int,
        online: bool = False,
        merchant: Counterparty | None = None,
    ) -> Event:
        """A card purchase at a merchant that is probably new to the account."""
        account, rng = self.account, self.rng
        index = BY_NAME[category]
        pool = (self.world.online_pool if online else self.world.shop_pool)(account.country, index)
        online = online or not pool
        pool = pool or self.world.online_pool(account.country, index)
        shop = merchant or pool[int(rng.random() * len(pool))]
        currency = billing_currency(account.currency, shop.country)
        card = account.cards[int(rng.random() * len(account.cards))]
        if online:
            own = account.phone_at(time)
            return Event(
                time,
                account,
                account.cents(euro),
                "card_payment",
                "ecommerce",
                shop,
                0,
                card,
                "ecommerce",
                None,
                own.usual[int(rng.random() * len(own.usual))],
                None,
                self.scenario,
                None,
                None,
                currency,
            )
        mode = "contactless" if euro < 50 else "chip"
        return Event(
            time,
            account,
            account.cents(euro),
            "card_payment",
            "pos",
            shop,
            0,
            card,
            mode,
            pick(rng, shop.terminals),
            None,
            None,
            self.scenario,
            None,
            None,
            currency,
        )

    def pay(self, payee: Counterparty, purpose: str, euro: float, time: int) -> Event:
        """A transfer with a memo for the purpose."""
        account = self.account
        text = memo(self.rng, purpose, account.language, account.country, month_of(time))
        return transfer(
            self.world, account, self.plan, time, payee, euro, text, self.rng, self.scenario
        )

    def firm(self, time: int) -> Counterparty:
        """A firm new to the account; often one the bank has known for long."""
        known = int(time - 900 * DAY * self.rng.random())
        return new_business(
            self.world, self.rng, self.account.country, known if self.rng.random() < 0.55 else time
        )

    def someone(self, time: int, country: str | None = None) -> Counterparty:
        """A person new to the account."""
        known = int(time - 700 * DAY * self.rng.random() ** 2)
        return new_person(
            self.world,
            self.rng,
            country or self.account.country,
            known if self.rng.random() < 0.5 else time,
        )


def _electronics(s: Stage) -> list[Event]:
    euro = float(s.rng.lognormal(6.7, 0.45))
    return [s.buy("electronics", euro, s.time(), online=s.rng.random() < 0.5)]


def _car(s: Stage) -> list[Event]:
    time = s.time()
    seller = s.firm(time) if s.rng.random() < 0.5 else s.someone(time)
    euro = float(s.rng.lognormal(8.9, 0.5))
    return [s.pay(seller, "car", 300, time), s.pay(seller, "car", euro, s.time(3))]


def _house(s: Stage) -> list[Event]:
    time = s.time()
    notary = s.firm(time)
    euro = s.account.income * (8 + 25 * s.rng.random())
    return [
        s.pay(notary, "property", euro * 0.05, time),
        s.pay(notary, "property", euro, s.time(14)),
    ]


def _moving(s: Stage) -> list[Event]:
    time = s.time()
    landlord = s.someone(time) if s.rng.random() < 0.6 else s.firm(time)
    rent = s.account.income * 0.3
    events = [s.pay(landlord, "moving", rent * (2 + s.rng.random()), time)]
    events += [
        s.buy("homeware", float(s.rng.lognormal(5.4, 0.7)), s.time(int(d)))
        for d in s.rng.integers(3, 20, 3)
    ]
    events += [
        s.buy("diy", float(s.rng.lognormal(4.2, 0.6)), s.time(int(d)))
        for d in s.rng.integers(3, 20, 2)
    ]
    return events + [s.pay(landlord, "rent", rent, s.time(30 * k)) for k in (1, 2, 3)]


def _wedding(s: Stage) -> list[Event]:
    events: list[Event] = []
    for later in s.rng.integers(0, 70, 6):
        time = s.time(int(later))
        events.append(s.pay(s.firm(time), "wedding", float(s.rng.lognormal(6.6, 0.6)), time))
    return events + [
        s.buy("jewellery", float(s.rng.lognormal(6.5, 0.4)), s.time(5)),
        s.buy("clothing", float(s.rng.lognormal(6.2, 0.5)), s.time(20)),
    ]


def _spree(s: Stage) -> list[Event]:
    begin = s.world.start + s.day * DAY + int((10 + 5 * s.rng.random()) * HOUR)
    kinds = ["clothing", "electronics", "homeware", "jewellery", "sports", "books", "gift_cards"]
    times = begin + np.cumsum(s.rng.integers(400, 3200, int(s.rng.integers(4, 8))))
    return [
        s.buy(pick(s.rng, kinds), float(s.rng.lognormal(4.2, 0.8)) * s.account.level, int(t))
        for t in times
    ]


def _games(s: Stage) -> list[Event]:
    begin = s.world.start + s.day * DAY + int((18 + 5 * s.rng.random()) * HOUR)
    times = begin + np.cumsum(s.rng.integers(20, 420, int(s.rng.integers(6, 18))))
    price = (0.99, 1.99, 2.99, 4.99)
    first = s.buy("games", 0.99, int(times[0]), online=True)
    rest = [
        s.buy(
            "games",
            price[int(s.rng.random() * 4)],
            int(t),
            True,
            first.counterparty if s.rng.random() < 0.7 else None,
        )
        for t in times[1:]
    ]
    return [first, *rest]


def _lookalike(s: Stage) -> list[Event]:
    time = s.time()
    payee = s.firm(time) if s.rng.random() < 0.5 else s.someone(time)
    return [s.pay(payee, "lookalike", float(s.rng.lognormal(5.3, 1.1)), time)]


def _saver(s: Stage) -> list[Event]:
    time = s.time()
    abroad = pick(s.rng, ["LT", "NL", "DE", "IE", s.account.country])
    own = new_person(s.world, s.rng, abroad, time, s.account.holder)
    euro = s.account.income * (0.5 + 3 * s.rng.random())
    return [
        s.pay(own, "savings", 5 + 20 * s.rng.random(), time),
        s.pay(own, "savings", euro, time + int(HOUR * (0.2 + 30 * s.rng.random()))),
        s.pay(own, "savings", euro * 0.4, s.time(28)),
    ]


def _night_out(s: Stage) -> list[Event]:
    begin = s.world.start + s.day * DAY + int((19 + 3 * s.rng.random()) * HOUR)
    times = begin + np.cumsum(s.rng.integers(600, 4000, int(s.rng.integers(4, 9))))
    kinds = ["bar", "bar", "restaurant", "fast_food", "convenience", "taxi"]
    return [s.buy(pick(s.rng, kinds), float(s.rng.lognormal(2.6, 0.6)), int(t)) for t in times]


def _returner(s: Stage) -> list[Event]:
    events: list[Event] = []
    for later in s.rng.integers(0, 40, 5):
        bought = s.buy("clothing", float(s.rng.lognormal(4.4, 0.5)), s.time(int(later)), True)
        back = bought.time + int((2 + 9 * s.rng.random()) * DAY)
        events += [
            bought,
            Event(
                back,
                s.account,
                bought.cents,
                "refund",
                "ecommerce",
                bought.counterparty,
                0,
                bought.card,
                "ecommerce",
                None,
                None,
                None,
                s.scenario,
                None,
                None,
                bought.currency,
            ),
        ]
    return events


def _gift_return(s: Stage) -> list[Event]:
    """Someone else paid; the refund goes to this card."""
    gift = s.buy(
        pick(s.rng, ["clothing", "homeware", "sports", "electronics"]),
        float(s.rng.lognormal(4.0, 0.7)),
        s.time(),
        s.rng.random() < 0.4,
    )
    gift.type = "refund"
    return [gift]


def _event_refund(s: Stage) -> list[Event]:
    """A cancelled tour or a run of cancelled bookings, paid back in parts long after."""
    kind = pick(s.rng, ["travel_agency", "airline", "hotel", "cinema", "marketplace"])
    first = s.buy(kind, float(s.rng.lognormal(4.5, 0.7)), s.time(), True)
    events = [first]
    for later in s.rng.integers(0, 8, int(s.rng.integers(1, 4))):
        events.append(
            s.buy(
                kind, float(s.rng.lognormal(4.3, 0.6)), s.time(int(later)), True, first.counterparty
            )
        )
    for event in events:
        event.type = "refund"
    return events


def _student_support(s: Stage) -> list[Event]:
    abroad = pick(
        s.rng, [c for c in ("GB", "NL", "ES", "IE", "US", "FR") if c != s.account.country]
    )
    child = s.someone(s.time(), abroad)
    euro = 250 + 500 * s.rng.random()
    return [s.pay(child, "family", euro, s.time(30 * k)) for k in range(6)]


def _new_payees(s: Stage) -> list[Event]:
    events: list[Event] = []
    for later in s.rng.integers(0, 12, int(s.rng.integers(2, 4))):
        time = s.time(int(later))
        events.append(s.pay(s.someone(time), "friends", float(s.rng.lognormal(3.6, 0.9)), time))
    return events


def _second_hand(s: Stage) -> list[Event]:
    time = s.time()
    return [s.pay(s.someone(time), "marketplace", float(s.rng.lognormal(5.2, 0.9)), time)]


def _shop_change(s: Stage) -> list[Event]:
    return [
        s.buy(
            pick(s.rng, ["grocery", "clothing", "marketplace", "diy"]),
            float(s.rng.lognormal(3.8, 0.7)),
            s.time(int(d)),
            s.rng.random() < 0.4,
        )
        for d in s.rng.integers(0, 30, 6)
    ]


SCENARIOS: dict[str, Callable[[Stage], list[Event]]] = {
    "electronics_purchase": _electronics,
    "car_purchase": _car,
    "house_purchase": _house,
    "moving_house": _moving,
    "wedding_spending": _wedding,
    "salary_day_spree": _spree,
    "game_binge": _games,
    "lookalike_memo": _lookalike,
    "new_savings_provider": _saver,
    "night_out": _night_out,
    "serial_returner": _returner,
    "supports_student": _student_support,
    "new_payees": _new_payees,
    "gift_return": _gift_return,
    "event_refund": _event_refund,
    "second_hand_purchase": _second_hand,
    "shop_change": _shop_change,
}


def turns(world: World, account: Account, plan: Plan, rng: np.random.Generator) -> list[Event]:
    """The payments of every one-off scenario in an account holder's plan."""
    events: list[Event] = []
    for scenario, day in plan.turns:
        events += SCENARIOS[scenario](Stage(world, account, plan, scenario, day, rng))
    return events


def popular_payees(world: World, plans: list[Plan], rng: np.random.Generator) -> list[Event]:
    """Young payees that many accounts pay within weeks: a new trade, a club, a group trip."""
    events: list[Event] = []
    expected = len(world.accounts) / 25 * world.days / 180
    for _ in range(int(rng.poisson(expected)) + 1):
        first = int(rng.random() * max(1, world.days - 5))
        chosen = rng.choice(
            len(world.accounts), min(len(world.accounts), int(rng.integers(4, 16))), replace=False
        )
        country = world.accounts[int(chosen[0])].country
        opened = world.start + first * DAY
        make = new_person if rng.random() < 0.5 else new_business
        payee = make(world, rng, country, opened)
        euro = float(rng.lognormal(4.3, 0.9))
        for index in chosen:
            day = min(first + int(rng.random() ** 1.5 * 25), world.days - 1)
            stage = Stage(
                world, world.accounts[int(index)], plans[int(index)], "popular_new_payee", day, rng
            )
            purpose = pick(rng, ["friends", "invoice", "marketplace"])
            time = max(stage.time(), opened)
            events.append(stage.pay(payee, purpose, euro * float(rng.lognormal(0, 0.25)), time))
    return events
