"""The things a simulated payment is made of, each able to write itself as JSON.

Entities (accounts, cards, counterparties, device sessions) keep their JSON
fragment ready, so that writing a transaction is a matter of joining strings.
Times are whole seconds since the Unix epoch (UTC); money is in cents of the
transaction's currency.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

HOUR = 3600
DAY = 86_400


def rfc3339(time: float) -> str:
    """An epoch time in seconds as RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def compact_json(value: object) -> str:
    """JSON without spaces, non-ASCII letters kept as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@dataclass(slots=True, eq=False)
class Card:
    """A payment card, known by its token only. `replaced_at` is when it was blocked."""

    token: str
    bin: str
    last4: str
    fragment: str = field(init=False)
    replaced_at: int | None = None
    replacement: Card | None = None

    def __post_init__(self) -> None:
        fields = {"token": self.token, "bin": self.bin, "last4": self.last4}
        self.fragment = compact_json(fields)[:-1]

    def at(self, time: int) -> Card:
        """The card in use at `time`: this one, or what replaced it."""
        card = self
        while card.replacement is not None and time >= (card.replaced_at or 0):
            card = card.replacement
        return card


@dataclass(slots=True, eq=False)
class Counterparty:
    """A merchant or beneficiary. `names` holds its wordings, the usual one first."""

    id: str
    names: tuple[str, ...]
    kind: str
    country: str
    mcc: str | None = None
    first_seen: int | None = None
    terminals: tuple[str, ...] = ()
    _fragments: dict[int, str] = field(default_factory=dict)

    def fragment(self, wording: int = 0) -> str:
        """JSON of this counterparty under one of its wordings."""
        wording %= len(self.names)
        cached = self._fragments.get(wording)
        if cached is None:
            fields: dict[str, object] = {"id": self.id, "name": self.names[wording]}
            fields["kind"] = self.kind
            if self.mcc is not None:
                fields["mcc"] = self.mcc
            fields["country"] = self.country
            if self.first_seen is not None:
                fields["first_seen"] = rfc3339(self.first_seen)
            cached = self._fragments[wording] = compact_json(fields)
        return cached


@dataclass(slots=True, eq=False)
class Device:
    """A phone or computer. `user_agent` is what it reports about itself."""

    id: str
    user_agent: str


@dataclass(slots=True, eq=False)
class Session:
    """A device seen from one network address."""

    device: Device
    ip: str
    ip_country: str
    fragment: str = field(init=False)

    def __post_init__(self) -> None:
        fields = {"id": self.device.id, "ip": self.ip, "ip_country": self.ip_country}
        self.fragment = compact_json(fields | {"user_agent": self.device.user_agent})


@dataclass(slots=True, eq=False)
class Account:
    """An account holder with everything that stays true over the simulated months.

    `income` is monthly, in euro cents; `level` scales ordinary spending (1.0 is
    average); `unit` turns euro into the account's currency, price level included.
    """

    id: str
    country: str
    currency: str
    language: str
    opened_at: int
    income: float
    level: float
    unit: float
    activity: float
    payday: int
    holder: str
    cards: list[Card]
    phone: Sessions
    computer: Sessions | None
    uses_wallet: bool
    fragment: str = field(init=False)
    next_phone: Sessions | None = None
    next_phone_at: int | None = None

    def __post_init__(self) -> None:
        fields = {"id": self.id, "opened_at": rfc3339(self.opened_at), "country": self.country}
        self.fragment = compact_json(fields)

    def phone_at(self, time: int) -> Sessions:
        """The phone in use at `time`."""
        if self.next_phone is not None and time >= (self.next_phone_at or 0):
            return self.next_phone
        return self.phone

    def cents(self, euro: float) -> int:
        """An amount in euro as cents of the account's currency, at least one cent."""
        return max(1, round(euro * self.unit * 100))


@dataclass(slots=True, eq=False)
class Sessions:
    """One device and the few addresses its owner uses: home first, then mobile."""

    device: Device
    usual: tuple[Session, ...]


@dataclass(slots=True, eq=False)
class Event:
    """One transaction. `typology` marks fraud, `scenario` a legitimate look-alike.

    `known_at` is when a fraud's truth becomes known (epoch seconds).
    """

    time: int
    account: Account
    cents: int
    type: str
    channel: str
    counterparty: Counterparty | None = None
    wording: int = 0
    card: Card | None = None
    entry_mode: str | None = None
    terminal: str | None = None
    session: Session | None = None
    memo: str | None = None
    scenario: str | None = None
    typology: str | None = None
    known_at: int | None = None
    currency: str | None = None
