"""Countries, currencies, cities and network addresses.

Addresses come from ranges that never belong to a real host: the benchmarking
range 198.18.0.0/15, the carrier range 100.64.0.0/10 and documentation IPv6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Country:
    """`rate` is units of currency per euro, `prices` the price level (1.0 = average)."""

    code: str
    currency: str
    language: str
    rate: float
    prices: float
    cities: tuple[str, ...]
    weight: float = 0.0

    @property
    def unit(self) -> float:
        """Turns a euro amount at average prices into the local currency."""
        return self.rate * self.prices


def _country(
    code: str,
    currency: str,
    language: str,
    rate: float,
    prices: float,
    cities: str,
    weight: float = 0.0,
) -> Country:
    return Country(code, currency, language, rate, prices, tuple(cities.split(", ")), weight)


COUNTRIES: dict[str, Country] = {
    c.code: c
    for c in (
        _country("GB", "GBP", "en", 0.86, 1.1, "London, Leeds, Bristol, Glasgow, Cardiff", 0.20),
        _country("DE", "EUR", "de", 1.0, 1.0, "Berlin, Hamburg, Köln, Leipzig, München", 0.18),
        _country("FR", "EUR", "fr", 1.0, 1.05, "Paris, Lyon, Nantes, Lille, Toulouse", 0.13),
        _country("ES", "EUR", "es", 1.0, 0.85, "Madrid, Valencia, Sevilla, Bilbao", 0.10),
        _country("IT", "EUR", "it", 1.0, 0.95, "Milano, Roma, Torino, Bologna", 0.10),
        _country("NL", "EUR", "nl", 1.0, 1.1, "Amsterdam, Utrecht, Rotterdam", 0.07),
        _country("IE", "EUR", "en", 1.0, 1.2, "Dublin, Cork, Galway", 0.05),
        _country("PL", "PLN", "pl", 4.3, 0.65, "Warszawa, Kraków, Gdańsk", 0.06),
        _country("US", "USD", "en", 1.08, 1.15, "Austin, Denver, Boston, Portland", 0.06),
        _country("CA", "CAD", "en", 1.48, 1.0, "Toronto, Calgary, Halifax", 0.03),
        _country("AU", "AUD", "en", 1.65, 1.05, "Sydney, Perth, Hobart", 0.02),
        _country("PT", "EUR", "pt", 1.0, 0.8, "Lisboa, Porto, Faro"),
        _country("GR", "EUR", "el", 1.0, 0.8, "Athina, Chania, Rodos"),
        _country("AT", "EUR", "de", 1.0, 1.05, "Wien, Graz, Salzburg"),
        _country("CH", "CHF", "de", 0.95, 1.5, "Zürich, Basel, Luzern"),
        _country("TR", "TRY", "tr", 45.0, 0.6, "Istanbul, Antalya"),
        _country("AE", "AED", "ar", 4.0, 1.1, "Dubai, Abu Dhabi"),
        _country("TH", "THB", "th", 37.0, 0.6, "Bangkok, Phuket"),
        _country("MX", "MXN", "es", 21.0, 0.7, "Cancun, Merida"),
        _country("RO", "RON", "ro", 5.0, 0.6, "Bucuresti, Cluj"),
        _country("NG", "NGN", "en", 1700.0, 0.5, "Lagos, Abuja"),
        _country("PH", "PHP", "en", 62.0, 0.5, "Manila, Cebu"),
        _country("LT", "EUR", "lt", 1.0, 0.75, "Vilnius, Kaunas"),
        _country("BR", "BRL", "pt", 6.0, 0.6, "Recife, Curitiba"),
    )
}
HOME = tuple(c for c in COUNTRIES.values() if c.weight > 0)
TRAVEL = ("ES", "IT", "FR", "GB", "DE", "PT", "GR", "AT", "CH", "TR", "AE", "TH", "MX", "US", "NL")
DISTANT = ("US", "RO", "NG", "LT", "BR", "TR", "NL", "DE", "GB", "PH", "AE", "FR", "PL", "ES")
REMITTANCE = ("PH", "NG", "RO", "PL", "TR", "PT", "MX", "BR", "LT", "TH", "US")
_NEAR_EURO = {"EUR", "GBP", "USD", "CHF"}


def billing_currency(account_currency: str, merchant_country: str) -> str:
    """The currency of a purchase: local where it is worth about a euro, else the account's.

    Other foreign purchases arrive converted, as issuers see them, so that amounts
    in one account stay comparable.
    """
    local = COUNTRIES[merchant_country].currency
    if account_currency in _NEAR_EURO and local in _NEAR_EURO:
        return local
    return account_currency


def address(rng: np.random.Generator, mobile: bool = False) -> str:
    """A random network address from ranges reserved for tests."""
    a, b, c = (int(x) for x in rng.integers(0, 256, 3))
    if mobile:
        return f"100.{64 + a % 64}.{b}.{c}"
    if a < 40:
        return f"2001:db8:{b:x}:{c:x}::{a:x}"
    return f"198.{18 + a % 2}.{b}.{c}"
