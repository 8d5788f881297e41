"""Refund abuse: repeated refunds at merchants without purchases to match."""

from __future__ import annotations

from ..geography import billing_currency
from ..merchants import BY_NAME
from ..model import DAY, HOUR, Account, Counterparty, Event
from ..names import pick
from .common import Scene, times_after

NAME = "refund_abuse"
_KINDS = ("clothing", "electronics", "marketplace", "homeware", "sports", "food_delivery")


def _known_shop(scene: Scene, account: Account) -> Counterparty:
    """A shop where the account has really bought, if its till purchases show one."""
    bought = scene.purchases(account)
    if not bought:
        pool = scene.world.online_pool(account.country, BY_NAME["marketplace"])
        return pool[int(scene.rng.random() * len(pool))]
    return bought[int(scene.rng.random() * len(bought))]


def incident(scene: Scene) -> list[Event]:
    """Three to nine refunds over hours or weeks, at one to three merchants."""
    rng, account = scene.rng, scene.victim()
    card = pick(rng, account.cards)
    shops = []
    if rng.random() < 0.45:
        shops.append(_known_shop(scene, account))
    for _ in range(1 + int(rng.random() * 1.8)):
        index = BY_NAME[pick(rng, _KINDS)]
        online = rng.random() < 0.6 or not scene.world.shop_pool(account.country, index)
        world = scene.world
        pool = (world.online_pool if online else world.shop_pool)(account.country, index)
        shops.append(pool[int(rng.random() * len(pool))])
    most = 3 * HOUR if rng.random() < 0.3 else 4 * DAY
    events: list[Event] = []
    for time in times_after(rng, scene.moment((15, 4)), int(rng.integers(3, 10)), 600, most):
        shop = pick(rng, shops)
        at_till = bool(shop.terminals)
        cents = account.cents(float(rng.lognormal(4.5, 0.7)))
        events.append(
            Event(
                time,
                account,
                cents,
                "refund",
                "pos" if at_till else "ecommerce",
                shop,
                0,
                card,
                "chip" if at_till else "ecommerce",
                pick(rng, shop.terminals) if at_till else None,
                None,
                None,
                None,
                None,
                None,
                billing_currency(account.currency, shop.country),
            )
        )
    return scene.convict(events, NAME)
