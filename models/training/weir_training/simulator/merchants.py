"""Kinds of merchants, what is spent there and when, and the names they go by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .geography import COUNTRIES
from .model import DAY, Counterparty
from .names import last_name, pick

_HOURS: dict[str, tuple[int, ...]] = {
    "day": (0, 0, 0, 0, 0, 0, 1, 3, 6, 9, 11, 11, 10, 9, 9, 9, 10, 12, 11, 8, 5, 2, 1, 0),
    "morning": (0, 0, 0, 0, 0, 1, 5, 14, 16, 12, 9, 7, 7, 7, 6, 5, 4, 3, 2, 1, 1, 0, 0, 0),
    "evening": (2, 1, 0, 0, 0, 0, 0, 1, 1, 2, 3, 7, 12, 9, 4, 3, 4, 8, 14, 16, 14, 10, 6, 3),
    "night": (12, 8, 5, 3, 1, 0, 0, 0, 0, 0, 0, 1, 2, 2, 2, 3, 5, 8, 11, 13, 14, 15, 16, 14),
    "commute": (1, 0, 0, 0, 1, 4, 10, 18, 16, 8, 5, 4, 5, 5, 5, 7, 11, 16, 14, 8, 5, 4, 3, 2),
    "online": (3, 2, 1, 1, 1, 1, 2, 4, 6, 7, 8, 8, 9, 8, 7, 7, 7, 8, 10, 12, 14, 13, 10, 6),
}


@dataclass(frozen=True, slots=True)
class Category:
    """`rate` is purchases a month, `median` in euro, `sigma` the log-normal spread."""

    name: str
    mcc: str
    rate: float
    median: float
    sigma: float
    online: float
    hours: str
    words: tuple[str, ...]


def _category(
    name: str,
    mcc: str,
    rate: float,
    median: float,
    sigma: float,
    online: float,
    hours: str,
    words: str,
) -> Category:
    return Category(name, mcc, rate, median, sigma, online, hours, tuple(words.split("|")))


CATEGORIES: tuple[Category, ...] = (
    _category(
        "grocery",
        "5411",
        8.0,
        24,
        0.8,
        0.04,
        "day",
        "{w} Market|{w} Supermarkt|Superette {w}|{w} Foods|Mercado {w}|Bio {w}|{w} Express",
    ),
    _category(
        "convenience",
        "5499",
        3.0,
        6,
        0.6,
        0.0,
        "day",
        "{w} Corner|Kiosk {w}|Späti {w}|{w} News|Tabac {w}|Alimentari {w}",
    ),
    _category(
        "cafe",
        "5814",
        4.0,
        4.6,
        0.45,
        0.02,
        "morning",
        "Café {w}|{w} Coffee|Bakery {w}|Bäckerei {l}|Boulangerie {l}|{w} Roasters",
    ),
    _category(
        "restaurant",
        "5812",
        2.5,
        29,
        0.6,
        0.05,
        "evening",
        "Trattoria {l}|{w} Grill|Brasserie {w}|Restaurant {l}|{w} Kitchen|Taverna {w}",
    ),
    _category(
        "fast_food",
        "5814",
        1.8,
        11,
        0.4,
        0.1,
        "evening",
        "{w} Burger|Döner {w}|{w} Chicken|Pizza {l}|Noodle {w}|{w} Wraps",
    ),
    _category(
        "food_delivery",
        "5814",
        1.2,
        24,
        0.4,
        1.0,
        "evening",
        "{w}Eats|Rapid{w}|{w} Delivery|Food{w}",
    ),
    _category(
        "bar",
        "5813",
        1.0,
        16,
        0.6,
        0.0,
        "night",
        "The {w} Arms|Bar {w}|Kneipe {l}|{w} Taproom|Enoteca {l}|The {w} & Crown",
    ),
    _category(
        "fuel",
        "5541",
        1.5,
        48,
        0.4,
        0.0,
        "commute",
        "{w} Fuel|Tankstelle {w}|{w} Petroleum|Station {w}|{w} Energy Stop",
    ),
    _category(
        "transit",
        "4111",
        3.0,
        3.4,
        0.6,
        0.35,
        "commute",
        "{c} Transit|{c} Metro|{w} Rail|{c} Verkehr|Bus {w}",
    ),
    _category("taxi", "4121", 0.7, 14, 0.5, 0.6, "night", "{w} Cabs|Taxi {c}|{w} Ride|{w}Go"),
    _category("parking", "7523", 0.8, 4, 0.6, 0.3, "day", "Parking {c}|{w} Park|Parkhaus {w}"),
    _category(
        "pharmacy",
        "5912",
        0.8,
        13,
        0.6,
        0.08,
        "day",
        "{w} Pharmacy|Apotheke {w}|Pharmacie {l}|Farmacia {l}|{w} Chemist",
    ),
    _category(
        "clothing",
        "5651",
        0.9,
        48,
        0.7,
        0.45,
        "day",
        "{w} & Thread|{w} Mode|{l} Fashion|{w} Denim|Boutique {l}|{w} Outfitters",
    ),
    _category(
        "electronics",
        "5732",
        0.28,
        110,
        1.0,
        0.5,
        "day",
        "{w} Electronics|{w}Tech|{w} Digital|Elektro {l}|Hifi {w}|{w} Mobile Store",
    ),
    _category(
        "homeware",
        "5712",
        0.4,
        60,
        0.9,
        0.3,
        "day",
        "{w} Home|Möbel {l}|{w} Living|Maison {w}|Casa {w}",
    ),
    _category(
        "diy",
        "5200",
        0.4,
        35,
        0.8,
        0.1,
        "day",
        "{w} Hardware|Baumarkt {w}|Brico {w}|{w} Tools|Ferramenta {l}",
    ),
    _category(
        "marketplace",
        "5399",
        2.2,
        27,
        0.9,
        1.0,
        "online",
        "{w} Marketplace|{w}shop.example|{w} Outlet Online|{w}bay|All{w}",
    ),
    _category(
        "games",
        "5816",
        0.6,
        6,
        0.8,
        1.0,
        "night",
        "{w} Games|{w}play|{w} Studios|Pixel {w}|{w} Arcade",
    ),
    _category(
        "books",
        "5942",
        0.3,
        16,
        0.5,
        0.5,
        "day",
        "{w} Books|Librairie {w}|Buchhandlung {l}|Libreria {w}|Page & {w}",
    ),
    _category("sports", "5941", 0.2, 45, 0.7, 0.4, "day", "{w} Sports|{w} Outdoor|Velo {w}"),
    _category(
        "hairdresser",
        "7230",
        0.35,
        32,
        0.5,
        0.0,
        "day",
        "{l} Hair|Salon {w}|Friseur {l}|Coiffure {l}|{w} Barbers",
    ),
    _category("cinema", "7832", 0.3, 18, 0.4, 0.5, "evening", "Kino {w}|{w} Cinema|Odeon {w}"),
    _category("airline", "4511", 0.12, 160, 0.7, 1.0, "online", "Air {w}|{w} Airways|Fly{w}"),
    _category(
        "hotel",
        "7011",
        0.15,
        140,
        0.7,
        0.6,
        "evening",
        "Hotel {w}|{w} Inn|Pension {l}|{w} Suites|Hôtel {l}",
    ),
    _category(
        "travel_agency",
        "4722",
        0.06,
        320,
        0.8,
        0.8,
        "online",
        "{w} Travel|{w} Reisen|Voyages {w}|{w} Holidays",
    ),
    _category(
        "jewellery",
        "5944",
        0.04,
        180,
        1.0,
        0.3,
        "day",
        "{l} Jewellers|Juwelier {l}|Bijouterie {l}|Gioielli {l}",
    ),
    _category("gambling", "7995", 0.15, 25, 0.9, 1.0, "night", "{w}Bet|{w} Casino|Lucky {w}"),
    _category("crypto", "6051", 0.08, 110, 1.1, 1.0, "online", "{w} Coin|{w}Exchange|Bit{w}"),
    _category("gift_cards", "5947", 0.12, 35, 0.7, 0.6, "day", "{w} Gifts|Cards & {w}|{w} Voucher"),
    _category("charity", "8398", 0.12, 20, 0.7, 0.8, "online", "{w} Trust|Hilfe {w}|{w} Relief"),
    _category("dentist", "8021", 0.12, 70, 0.9, 0.05, "day", "{l} Dental|Zahnarzt {l}|Dr {l}"),
)
BY_NAME: dict[str, int] = {c.name: i for i, c in enumerate(CATEGORIES)}
_WORDS = (
    "North|Harbour|Luna|Vento|Alpen|Sol|Green|Castell|Nova|Orchid|Bridge|Maple|Fjord|Kasto|"
    "Mira|Tide|Quill|Ember|Rosa|Linden|Pico|Stella|Brook|Onda|Falk|Terra|Juno|Velvet|Copper|"
    "Willow|Azur|Bento|Polar|Rivo|Saffron|Zephyr|Hazel|Monte|Cobalt|Lark|Delta|Oak|Sable"
).split("|")
_PREFIXES = ("SumUp *", "SQ *", "ZTL*", "PAYPAL *", "iZ *", "STRIPE* ", "KLARNA*")


def hour_table() -> np.ndarray:
    """Cumulative hour-of-day distribution, one row of 24 per category."""
    rows = np.array([_HOURS[c.hours] for c in CATEGORIES], dtype=float)
    rows += 0.05
    return np.cumsum(rows / rows.sum(axis=1, keepdims=True), axis=1)


def _wordings(
    rng: np.random.Generator, name: str, city: str, category: Category
) -> tuple[str, ...]:
    usual = name.upper() if rng.random() < 0.35 else name
    if rng.random() < 0.35:
        usual = f"{usual} {city.upper() if usual.isupper() else city}"
    variants = [usual, name.upper()[:22]]
    if category.name == "marketplace" and rng.random() < 0.4:
        code = "".join(pick(rng, list("ABCDEFGHJKLMNPRSTUVWXYZ23456789")) for _ in range(5))
        variants.append(f"AMZN Mktp*{name.split()[0].upper()}{code}")
    elif rng.random() < 0.4:
        variants.append(pick(rng, _PREFIXES) + name)
    if rng.random() < 0.5:
        variants.append(f"{name} {city} {int(rng.integers(1, 900)):03d}")
    return tuple(variants)


def make_merchant(
    rng: np.random.Generator,
    number: int,
    category: Category,
    country: str,
    start: int,
    online: bool,
) -> Counterparty:
    """A merchant seen for the first time some days to years before `start` (epoch seconds)."""
    city = pick(rng, COUNTRIES[country].cities)
    template = pick(rng, category.words)
    name = template.replace("{w}", pick(rng, _WORDS)).replace("{c}", city)
    name = name.replace("{l}", last_name(rng, country))
    age_days = float(np.clip(rng.lognormal(6.3, 1.0), 4, 4000))
    first_seen = int(start - age_days * DAY) if rng.random() < 0.85 else None
    count = 0 if online else 1 + int(rng.random() * 2.3)
    terminals = tuple(f"T{number:05d}{'ABCD'[i]}" for i in range(count))
    return Counterparty(
        f"m_{number:05d}",
        _wordings(rng, name, city, category),
        "merchant",
        country,
        category.mcc,
        first_seen,
        terminals,
    )
