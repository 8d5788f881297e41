"""What victims write on transfers that they were talked into.

Half of the victims (see `share`) write something that has nothing to do with the
story they were told, so the wording is evidence but never proof.
"""

# ruff: noqa: E501 (tables of wordings)
from __future__ import annotations

import numpy as np

from .memos import YearMonth, fill, memo
from .names import pick

_TEMPLATES: dict[str, dict[str, str]] = {
    "invoice_redirection": {
        "en": "new bank details invoice {n}|invoice {n} updated account|INV {n} new account details|"
        "inv {n} - new sort code per email|invoice {n} changed bank|payment inv {n} to new acct|"
        "completion funds new account {l}|deposit inv {n} revised bank details|invoice {n}|"
        "final balance {n} {l}",
        "de": "Rechnung {n} neue Bankverbindung|RG {n} geänderte IBAN|Rechnung {n} neues Konto|"
        "Rechnung {n}",
        "fr": "facture {n} nouveau RIB|Facture {n} changement de compte|facture {n}",
        "es": "factura {n} nuevo IBAN|Factura {n} cambio de cuenta|factura {n}",
        "it": "fattura {n} nuovo IBAN|fattura {n} conto aggiornato|fattura {n}",
    },
    "romance": {
        "en": "flight ticket visa help love|visa fee my love|hospital help for {f} love|to see you "
        "soon darling|customs fee for parcel love|for your ticket my darling|urgent help {f} xx|"
        "army leave papers|loan for {f} until he is home|release fee package|love you always|"
        "medical bill {f}|help {f}",
        "de": "Flugticket Liebling|Visum für {f}|Hilfe Krankenhaus {f}|für dich Schatz|Zollgebühr Paket",
        "fr": "billet avion mon amour|visa {f}|aide hôpital {f}|pour toi chéri",
        "es": "billete avión mi amor|visado {f}|ayuda hospital {f}|para ti cariño",
        "it": "biglietto aereo amore|visto per {f}|aiuto ospedale {f}|per te amore",
    },
    "bank_impersonation": {
        "en": "safe account|move to safe account|safe account ref {n}|secure my money|fraud team ref "
        "{n}|security transfer {n}|protect funds|new safe account {l}|bank security dept|"
        "own account transfer|to my new account|holding account {n}|as instructed by bank",
        "de": "Sicherheitskonto|Sicherung Guthaben {n}|Umbuchung Sicherheit|auf mein neues Konto|"
        "Betrugsabteilung {n}",
        "fr": "compte sécurisé|mise en sécurité {n}|service fraude {n}|mon nouveau compte",
        "es": "cuenta segura|proteger dinero {n}|mi cuenta nueva|dpto. fraude",
        "it": "conto sicuro|messa in sicurezza {n}|mio nuovo conto|ufficio frodi {n}",
    },
}
_SPLIT = {
    story: {lang: text.split("|") for lang, text in by_lang.items()}
    for story, by_lang in _TEMPLATES.items()
}
_COVER = {"invoice_redirection": "invoice", "romance": "abroad", "bank_impersonation": "savings"}


def scam_memo(
    rng: np.random.Generator,
    story: str,
    language: str,
    country: str,
    month: YearMonth,
    share: float = 0.55,
) -> str | None:
    """The memo of a payment made under `story`; telling with probability `share`."""
    if rng.random() >= share:
        purpose = _COVER[story] if rng.random() < 0.6 else pick(rng, ["friends", "plain", "family"])
        return memo(rng, purpose, language, country, month)
    by_language = _SPLIT[story]
    if language not in by_language or rng.random() < 0.15:
        language = "en"
    return fill(rng, pick(rng, by_language[language]), language, country, month)
