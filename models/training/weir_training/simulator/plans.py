"""What happens in an account holder's life over the simulated months.

A plan says, for each day, where the account holder is and which legitimate
look-alike (if any) explains unusual payments on that day.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .geography import HOME, TRAVEL, address
from .model import DAY, Account
from .names import pick
from .world import World, new_sessions


@dataclass(slots=True)
class Plan:
    """`place` is a country per day, `story` a scenario name per day or None.

    `turns` lists one-off scenarios as (scenario, day).
    """

    place: list[str]
    story: list[str | None]
    turns: list[tuple[str, int]] = field(default_factory=list)


# Chance that an account lives through each scenario within half a year.
CHANCES: dict[str, float] = {
    "electronics_purchase": 0.22,
    "car_purchase": 0.05,
    "house_purchase": 0.025,
    "moving_house": 0.06,
    "wedding_spending": 0.03,
    "salary_day_spree": 0.35,
    "game_binge": 0.10,
    "lookalike_memo": 0.45,
    "new_savings_provider": 0.08,
    "night_out": 0.30,
    "serial_returner": 0.04,
    "supports_student": 0.03,
    "new_payees": 0.30,
    "gift_return": 0.20,
    "event_refund": 0.06,
    "second_hand_purchase": 0.30,
    "shop_change": 0.10,
}


def _travel(plan: Plan, account: Account, days: int, rng: np.random.Generator) -> None:
    for _ in range(int(rng.poisson(0.75 * days / 180 * min(account.level, 1.6)))):
        first = int(rng.random() * days)
        length = int(2 + rng.gamma(2.0, 3.0))
        country = pick(rng, [c for c in TRAVEL if c != account.country])
        for day in range(first, min(first + length, days)):
            plan.place[day], plan.story[day] = country, "holiday_travel"


def _student(plan: Plan, account: Account, days: int, rng: np.random.Generator) -> None:
    first = int(rng.random() * days * 0.6)
    country = pick(rng, [c.code for c in HOME if c.code != account.country])
    for day in range(first, days):
        plan.place[day] = country
        if day < first + 45:
            plan.story[day] = "student_abroad"


def _new_phone(plan: Plan, world: World, account: Account, rng: np.random.Generator) -> None:
    day = int(rng.random() * world.days)
    home = account.phone.usual[0]
    ip = home.ip if rng.random() < 0.7 else address(rng)
    account.next_phone = new_sessions(rng, account.country, ip)
    account.next_phone_at = world.start + day * DAY + int(rng.random() * DAY)
    for later in range(day, min(day + 4, world.days)):
        plan.story[later] = plan.story[later] or "new_phone"


def make_plan(world: World, account: Account, rng: np.random.Generator) -> Plan:
    """Draws where an account holder goes and what happens to them."""
    days = world.days
    plan = Plan([account.country] * days, [None] * days)
    if rng.random() < 0.02:
        _student(plan, account, days, rng)
    else:
        _travel(plan, account, days, rng)
    if rng.random() < 0.16 * days / 180:
        _new_phone(plan, world, account, rng)
    for scenario, chance in CHANCES.items():
        for _ in range(int(rng.poisson(chance * days / 180))):
            plan.turns.append((scenario, int(rng.random() * days)))
    return plan
