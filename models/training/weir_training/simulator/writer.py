"""Writes events as NDJSON, one labelled transaction a line, in event order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TextIO

from .model import DAY, Event, compact_json, rfc3339

_ODD = 0x9E3779B97F4B  # multiplying by an odd number permutes the 48-bit numbers


class LineWriter:
    """Turns events into lines. `salt` keeps the ids of different seeds apart."""

    def __init__(self, salt: int) -> None:
        self._salt = (salt * 0x5851F42D4C95) & 0xFFFF_FFFF_FFFF
        self._count = 0
        self._day = -1
        self._date = ""
        self._memos: dict[str, str] = {}

    def _timestamp(self, time: int) -> str:
        day, second = divmod(time, DAY)
        if day != self._day:
            self._day, self._date = day, rfc3339(day * DAY)[:11]
        minute, second = divmod(second, 60)
        hour, minute = divmod(minute, 60)
        return f"{self._date}{hour:02d}:{minute:02d}:{second:02d}Z"

    def _memo(self, text: str) -> str:
        cached = self._memos.get(text)
        if cached is None:
            cached = self._memos[text] = compact_json(text)
        return cached

    def line(self, event: Event) -> str:
        """One line without its newline; ids follow the order of calls."""
        self._count += 1
        number = (self._count * _ODD + self._salt) & 0xFFFF_FFFF_FFFF
        whole, cents = divmod(event.cents, 100)
        parts = [
            f'{{"transaction":{{"id":"tx_{number:012x}","timestamp":"'
            f'{self._timestamp(event.time)}","amount":"{whole}.{cents:02d}","currency":"'
            f'{event.currency or event.account.currency}","type":"{event.type}","channel":"'
            f'{event.channel}","account":{event.account.fragment}'
        ]
        if event.card is not None:
            mode = f',"entry_mode":"{event.entry_mode}"' if event.entry_mode else ""
            parts.append(f',"card":{event.card.at(event.time).fragment}{mode}}}')
        if event.counterparty is not None:
            parts.append(f',"counterparty":{event.counterparty.fragment(event.wording)}')
        if event.terminal is not None:
            parts.append(f',"terminal":{{"id":"{event.terminal}"}}')
        if event.session is not None:
            parts.append(f',"device":{event.session.fragment}')
        if event.memo is not None:
            parts.append(f',"memo":{self._memo(event.memo)}')
        if event.typology is not None:
            known = rfc3339(event.known_at or event.time + 1)
            parts.append(f'}},"label":"fraud","typology":"{event.typology}","label_at":"{known}"}}')
        elif event.scenario is not None:
            parts.append(f'}},"label":"legitimate","scenario":"{event.scenario}"}}')
        else:
            parts.append('},"label":"legitimate"}')
        return "".join(parts)

    def lines(self, events: Iterable[Event]) -> Iterator[str]:
        """The lines of events that are already in order."""
        return map(self.line, events)


def write(events: Iterable[Event], writer: LineWriter, out: TextIO) -> None:
    """Writes one line per event."""
    out.writelines(line + "\n" for line in writer.lines(events))
