"""The fixed cast of a simulation: merchants by country and kind, cash machines, accounts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .geography import COUNTRIES, HOME, Country, address
from .merchants import CATEGORIES, make_merchant
from .model import DAY, Account, Card, Counterparty, Device, Session, Sessions
from .names import business, person, pick

_PHONES = (
    "iOS 18.2; iPhone14,5",
    "iOS 17.6; iPhone12,1",
    "iOS 18.5; iPhone16,2",
    "Android 14; SM-S911B",
    "Android 13; Pixel 7",
    "Android 15; SM-A546B",
    "Android 12; M2101K6G",
    "Android 14; moto g84",
)
_BROWSERS = (
    "Firefox/134.0 (Windows)",
    "Chrome/131.0 (Windows)",
    "Chrome/131.0 (macOS)",
    "Safari/18.1 (macOS)",
    "Edge/131.0 (Windows)",
    "Firefox/133.0 (Linux)",
    "Chrome/124.0 (Windows)",
)
_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"


def letters(rng: np.random.Generator, length: int) -> str:
    """A random identifier in lower-case base 32 that starts with a letter."""
    values = rng.integers(0, 32, length)
    return "adkx"[int(values[0]) % 4] + "".join(_BASE32[int(v)] for v in values[1:])


def new_device(rng: np.random.Generator, computer: bool = False) -> Device:
    """A device nobody has seen before."""
    if computer:
        return Device("d_" + letters(rng, 9), pick(rng, _BROWSERS))
    return Device(
        "d_" + letters(rng, 9),
        f"App/{int(rng.integers(6, 9))}.{int(rng.integers(0, 9))} ({pick(rng, _PHONES)})",
    )


def new_sessions(
    rng: np.random.Generator, country: str, home_ip: str, computer: bool = False
) -> Sessions:
    """A new device with its home address and, for phones, two mobile ones."""
    device = new_device(rng, computer)
    usual = [Session(device, home_ip, country)]
    if not computer:
        usual += [Session(device, address(rng, mobile=True), country) for _ in range(2)]
    return Sessions(device, tuple(usual))


def new_card(rng: np.random.Generator, country: str) -> Card:
    """A card whose BIN (six digits) depends on the issuing country."""
    base = 400_000 + 1_000 * list(COUNTRIES).index(country) + int(rng.integers(0, 4)) * 7
    return Card("c_" + letters(rng, 10), str(base), f"{int(rng.integers(0, 10_000)):04d}")


@dataclass(slots=True)
class World:
    """Everyone who may take part, and the simulated span in epoch seconds."""

    start: int
    days: int
    accounts: list[Account] = field(default_factory=list)
    shops: dict[tuple[str, int], list[Counterparty]] = field(default_factory=dict)
    online: dict[tuple[str, int], list[Counterparty]] = field(default_factory=dict)
    machines: dict[str, list[Counterparty]] = field(default_factory=dict)
    billers: dict[str, list[Counterparty]] = field(default_factory=dict)
    merchants_made: int = 0
    taken: set[str] = field(default_factory=set)

    @property
    def end(self) -> int:
        """The first second after the simulated span."""
        return self.start + self.days * DAY

    def fresh_id(self, prefix: str, rng: np.random.Generator) -> str:
        """An id that nobody has yet and that says nothing about when it was made."""
        while (made := f"{prefix}_{letters(rng, 7)}") in self.taken:
            pass
        self.taken.add(made)
        return made

    def shop_pool(self, country: str, category: int) -> list[Counterparty]:
        """Physical merchants of one kind in one country."""
        return self.shops[(country, category)]

    def online_pool(self, country: str, category: int) -> list[Counterparty]:
        """Online merchants of one kind that serve one country."""
        return self.online[(country, category)]


def _pool_size(accounts: int, rate: float) -> int:
    return int(np.clip(round(accounts / 30 * (0.5 + rate / 3)), 3, 45))


def _add_merchants(world: World, country: Country, accounts: int, rng: np.random.Generator) -> None:
    for index, category in enumerate(CATEGORIES):
        size = _pool_size(accounts, category.rate)
        for online in (False, True):
            share = category.online if online else 1.0 - category.online
            pool: list[Counterparty] = []
            for _ in range(max(2, round(size * share)) if share > 0 else 0):
                world.merchants_made += 1
                pool.append(
                    make_merchant(
                        rng, world.merchants_made, category, country.code, world.start, online
                    )
                )
            (world.online if online else world.shops)[(country.code, index)] = pool


def _share_online_merchants(world: World, rng: np.random.Generator) -> None:
    """Large online merchants sell across borders: mix some foreign ones into each pool."""
    abroad = ["IE", "NL", "DE", "GB", "US", "LT"]
    additions: dict[tuple[str, int], list[Counterparty]] = {}
    for (country, index), pool in world.online.items():
        if not pool:
            continue
        guests = [world.online[(c, index)][:2] for c in abroad if c != country]
        extra = [m for group in guests for m in group if rng.random() < 0.45]
        additions[(country, index)] = extra
    for key, extra in additions.items():
        at = min(2, len(world.online[key]))
        world.online[key] = world.online[key][:at] + extra + world.online[key][at:]


def new_business(
    world: World, rng: np.random.Generator, country: str, first_seen: int | None
) -> Counterparty:
    """A firm that is paid by transfer or direct debit."""
    return Counterparty(
        world.fresh_id("b", rng), (business(rng, country),), "business", country, None, first_seen
    )


def new_person(
    world: World,
    rng: np.random.Generator,
    country: str,
    first_seen: int | None,
    name: str | None = None,
) -> Counterparty:
    """A private person who is paid by transfer."""
    return Counterparty(
        world.fresh_id("p", rng),
        (name or person(rng, country),),
        "person",
        country,
        None,
        first_seen,
    )


def _add_services(world: World, country: Country, accounts: int, rng: np.random.Generator) -> None:
    count = int(np.clip(accounts // 15, 4, 30))
    machines: list[Counterparty] = []
    for _ in range(max(2, count // 4)):
        world.merchants_made += 1
        bank = f"{pick(rng, country.cities)} {pick(rng, ['Bank', 'Sparkasse', 'Credit', 'Cash'])}"
        terminals = tuple(f"A{world.merchants_made:05d}{i}" for i in range(3))
        machines.append(
            Counterparty(
                f"m_{world.merchants_made:05d}",
                (bank, bank.upper()),
                "bank",
                country.code,
                "6011",
                world.start - 900 * DAY,
                terminals,
            )
        )
    world.machines[country.code] = machines
    world.billers[country.code] = [
        new_business(world, rng, country.code, int(world.start - (200 + 900 * rng.random()) * DAY))
        for _ in range(count)
    ]


def _opened_at(world: World, rng: np.random.Generator) -> int:
    days = 20 + 3000 * rng.random() ** 1.3 if rng.random() > 0.08 else 10 + 60 * rng.random()
    return int(world.start - days * DAY)


def make_account(world: World, rng: np.random.Generator) -> Account:
    """One account holder with income, cards and devices."""
    shares = np.cumsum([c.weight for c in HOME])
    country = HOME[min(int(np.searchsorted(shares, rng.random() * shares[-1])), len(HOME) - 1)]
    income = float(np.clip(rng.lognormal(7.78, 0.45), 700, 15_000))
    level = float((income / 2400) ** 0.5 * rng.lognormal(0, 0.25))
    home_ip = address(rng)
    cards = [
        new_card(rng, country.code) for _ in range(1 + int(rng.choice(3, p=[0.55, 0.33, 0.12])))
    ]
    computer = None
    if rng.random() < 0.65:
        computer = new_sessions(rng, country.code, home_ip, computer=True)
    return Account(
        id=world.fresh_id("a", rng),
        country=country.code,
        currency=country.currency,
        language=country.language,
        opened_at=_opened_at(world, rng),
        income=income,
        level=level,
        unit=country.unit,
        activity=float(rng.gamma(3.0, 1 / 3.0)),
        payday=int(rng.choice([1, 15, 25, 27, 28, 30], p=[0.2, 0.1, 0.25, 0.15, 0.2, 0.1])),
        holder=person(rng, country.code).title(),
        cards=cards,
        phone=new_sessions(rng, country.code, home_ip),
        computer=computer,
        uses_wallet=bool(rng.random() < 0.4),
    )


def build_world(seeds: np.random.SeedSequence, start: int, days: int, accounts: int) -> World:
    """Merchants, machines and accounts; the same seeds give the same world."""
    world = World(start, days)
    cast_seed, *account_seeds = seeds.spawn(accounts + 1)
    rng = np.random.default_rng(cast_seed)
    for country in COUNTRIES.values():
        locals_ = round(accounts * country.weight)
        _add_merchants(world, country, locals_, rng)
        _add_services(world, country, locals_, rng)
    _share_online_merchants(world, rng)
    world.accounts = [make_account(world, np.random.default_rng(s)) for s in account_seeds]
    return world
