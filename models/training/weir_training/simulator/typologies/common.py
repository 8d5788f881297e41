"""What the typologies share: victims, fraudsters' devices, mules, and when truth comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..geography import DISTANT, address, billing_currency
from ..habits import entry_mode
from ..merchants import BY_NAME
from ..model import DAY, HOUR, Account, Card, Counterparty, Event, Session
from ..names import pick
from ..plans import Plan
from ..world import World, new_business, new_person, new_sessions

# Label delay by typology: median days, log-normal sigma, least and most days.
DELAYS: dict[str, tuple[float, float, float, float]] = {
    "card_testing": (7, 0.7, 1, 45),
    "stolen_card_spree": (5, 0.8, 0.5, 40),
    "compromised_terminal": (8, 0.6, 2, 45),
    "account_takeover": (1.0, 0.9, 0.1, 10),
    "app_scam_invoice_redirection": (14, 0.7, 2, 60),
    "app_scam_romance": (35, 0.6, 10, 120),
    "app_scam_bank_impersonation": (0.8, 0.9, 0.1, 10),
    "mule_account": (9, 0.8, 1, 60),
    "refund_abuse": (18, 0.5, 5, 60),
}


@dataclass(slots=True)
class Mule:
    """A payee that collects stolen money for a few weeks (epoch seconds)."""

    payee: Counterparty
    first: int
    last: int


@dataclass(slots=True)
class Scene:
    """What an incident may use. `traffic` maps terminals to honest events there, in order."""

    world: World
    plans: Sequence[Plan]
    rng: np.random.Generator
    traffic: dict[str, list[Event]]
    label_delay: float = 1.0
    mules: list[Mule] = field(default_factory=list)
    rings: list[tuple[int, Session]] = field(default_factory=list)
    bought: dict[str, list[Counterparty]] = field(default_factory=dict)

    def victim(self) -> Account:
        """Any account that takes some part in ordinary life."""
        accounts = self.world.accounts
        return accounts[int(self.rng.random() * len(accounts))]

    def moment(self, hours: tuple[float, float] = (14.0, 5.5)) -> int:
        """A time in the simulated span; `hours` is mean and deviation of the hour of day."""
        day = int(self.rng.random() * self.world.days)
        hour = float(self.rng.normal(*hours)) % 24
        return self.world.start + day * DAY + int(hour * HOUR)

    def known(self, typology: str, last: int) -> int:
        """When an incident whose last payment was at `last` is confirmed as fraud."""
        median, sigma, least, most = DELAYS[typology]
        days = float(np.clip(median * self.rng.lognormal(0, sigma), least, most))
        return last + max(60, int(days * self.label_delay * DAY))

    def purchases(self, account: Account) -> list[Counterparty]:
        """Shops where an account has bought at a till, in order of terminal and time."""
        if not self.bought:
            for events in self.traffic.values():
                for event in events:
                    if event.counterparty is not None:
                        self.bought.setdefault(event.account.id, []).append(event.counterparty)
        return self.bought.get(account.id, [])

    def block(self, account: Account, card: Card, time: int, fresh: Card) -> None:
        """Replaces a card from `time` on, unless that has been arranged already."""
        if card.replacement is None:
            card.replaced_at, card.replacement = time, fresh

    def ring(self, time: int, near: str | None = None) -> Session:
        """A fraudster's device and address; gangs use theirs on several victims within days."""
        recent = [s for t, s in self.rings if abs(t - time) < 12 * DAY]
        if recent and near is None and self.rng.random() < 0.45:
            return recent[int(self.rng.random() * len(recent))]
        country = near or pick(self.rng, DISTANT)
        session = new_sessions(
            self.rng,
            country,
            address(self.rng, self.rng.random() < 0.3),
            computer=self.rng.random() < 0.6,
        ).usual[0]
        self.rings.append((time, session))
        return session

    def mule(
        self,
        time: int,
        country: str,
        reuse: float = 0.5,
        firm: float = 0.2,
        name: str | None = None,
    ) -> Counterparty:
        """Someone who receives stolen money: often young, sometimes already used on others."""
        rng = self.rng
        active = [m for m in self.mules if m.first <= time <= m.last]
        if active and name is None and rng.random() < reuse:
            return active[int(rng.random() * len(active))].payee
        where = country if rng.random() < 0.65 else pick(rng, DISTANT)
        age = 0.0 if rng.random() < 0.55 else 400 * rng.random() ** 2
        first_seen = int(time - age * DAY)
        if rng.random() < firm:
            payee = new_business(self.world, rng, where, first_seen)
        else:
            payee = new_person(self.world, rng, where, first_seen, name)
        self.mules.append(Mule(payee, time, time + int((4 + 20 * rng.random()) * DAY)))
        return payee

    def online_purchase(
        self,
        account: Account,
        card: Card,
        time: int,
        category: str,
        euro: float,
        session: Session | None,
    ) -> Event:
        """A purchase at any online merchant that serves the victim's country."""
        pool = self.world.online_pool(account.country, BY_NAME[category])
        shop = pool[int(self.rng.random() * len(pool))]
        return Event(
            time,
            account,
            account.cents(euro),
            "card_payment",
            "ecommerce",
            shop,
            int(self.rng.random() * 3),
            card,
            "ecommerce",
            None,
            session,
            None,
            None,
            None,
            None,
            billing_currency(account.currency, shop.country),
        )

    def till_purchase(
        self,
        account: Account,
        card: Card,
        time: int,
        category: str,
        euro: float,
        country: str,
        mode: str | None = None,
    ) -> Event:
        """A purchase at any shop in a country."""
        pool = self.world.shop_pool(country, BY_NAME[category])
        shop = pool[int(self.rng.random() * len(pool))]
        mode = mode or entry_mode(euro, self.rng.random(), country)
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
            pick(self.rng, shop.terminals),
            None,
            None,
            None,
            None,
            None,
            billing_currency(account.currency, country),
        )

    def convict(self, events: list[Event], typology: str, together: bool = True) -> list[Event]:
        """Marks events as fraud: all confirmed at once, or each in its own time."""
        if not events:
            return events
        last = max(e.time for e in events)
        known = self.known(typology, last)
        for event in events:
            event.typology, event.scenario = typology, None
            event.known_at = known if together else self.known(typology, event.time)
        return events


def times_after(
    rng: np.random.Generator, begin: int, count: int, least: float, most: float
) -> list[int]:
    """`count` times from `begin` on with gaps between `least` and `most` seconds."""
    gaps = rng.uniform(least, most, max(count - 1, 0))
    return [begin, *(begin + np.cumsum(gaps).astype(int)).tolist()]
