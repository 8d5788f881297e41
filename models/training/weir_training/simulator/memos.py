"""What people write on ordinary transfers, by purpose and language.

Templates may hold `{n}` (a document number), `{m}` (a month), `{f}` (a first
name), `{l}` (a last name), `{y}` (a year) and `{i}` (a thing sold second-hand).
"""

# ruff: noqa: E501 (tables of wordings)
from __future__ import annotations

import numpy as np

from .names import first_name, last_name, pick

YearMonth = tuple[int, int]  # such as (2026, 3)

_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre "
    "dicembre",
}
_THINGS = (
    "bike|sofa|iphone 13|ps5|washing machine|pram|concert tickets|desk|guitar|kayak|"
    "laptop|winter tyres|puppy|camera lens|caravan|fridge|tickets sat|armchair"
).split("|")

_TEMPLATES: dict[str, dict[str, str]] = {
    "rent": {
        "en": "rent {m}|Rent flat {n}|rent|RENT {m} {y}|flat 2 rent {l}|monthly rent",
        "de": "Miete {m}|Miete {m} {y}|Miete Whg {n}|Miete + NK {m}",
        "fr": "loyer {m}|Loyer {m} {y}|loyer appt {n}",
        "es": "alquiler {m}|Alquiler piso {m}",
        "it": "affitto {m}|Canone {m} {y}",
    },
    "family": {
        "en": "pocket money|for {f}|love mum x|shopping for gran|{f} birthday|school trip {f}|"
        "thanks dad|happy birthday {f} xx|for the kids|swimming lessons|help with bills|"
        "love you x|mum flight ticket|treat yourself xx",
        "de": "Taschengeld|für {f}|Geburtstag {f}|von Oma|Klassenfahrt {f}|Haushaltsgeld",
        "fr": "argent de poche|pour {f}|anniversaire {f}|bisous maman|courses",
        "es": "para {f}|cumpleaños {f}|paga semanal|un beso mamá",
        "it": "per {f}|regalo {f}|mancia",
    },
    "friends": {
        "en": "pizza friday|drinks|thx|dinner last night|your half of the airbnb|gig tickets|taxi|"
        "{m} football subs|hen do deposit|lol sorry|lunch|IOU|festival|petrol money|"
        "concert {f}|stag weekend|sunday roast|wifi split|beer {f}|thank you!!",
        "de": "Essen gestern|Danke!|Bier|Konzertkarten|Tanken|Geschenk {f}|WG Kasse|Urlaub {m}",
        "fr": "resto|merci|ciné|cadeau {f}|vacances {m}|covoiturage",
        "es": "cena|gracias|regalo {f}|viaje {m}|cañas",
        "it": "cena|grazie|regalo {f}|calcetto",
    },
    "savings": {
        "en": "savings|rainy day|holiday fund|to savings|ISA top up|house deposit fund|move to saver",
        "de": "Sparen|Tagesgeld|Rücklage|Urlaubskasse",
        "fr": "épargne|livret A|mise de côté",
        "es": "ahorro|fondo vacaciones",
        "it": "risparmi|fondo vacanze",
    },
    "invoice": {
        "en": "invoice {n}|INV {n}|Invoice {n} final payment|deposit inv {n}|boiler service {n}|"
        "quote {n} 50% deposit|kitchen 2nd instalment|tutoring {m}|your ref {n}|bill {n} - "
        "thanks|inv {n} {l}|roof repair final|garage invoice {n}|acct {n}",
        "de": "Rechnung {n}|RG {n}|Re.Nr. {n} Kd {l}|Anzahlung Küche|Rechnungsnr. {n}/{y}|"
        "Schlussrechnung {n}",
        "fr": "facture {n}|Facture n° {n}|acompte devis {n}|solde facture {n}",
        "es": "factura {n}|Factura {n} {l}|señal presupuesto {n}",
        "it": "fattura {n}|saldo fattura {n}|acconto lavori",
    },
    "marketplace": {
        "en": "{i}|for the {i}|{i} as agreed|deposit {i}|{i} - collecting saturday|ebay {i}",
        "de": "Kleinanzeigen {i}|{i}|für {i} wie besprochen",
        "fr": "{i} leboncoin|pour {i}",
        "es": "{i}|pago {i}",
        "it": "{i} subito|per {i}",
    },
    "abroad": {
        "en": "family support {m}|for mum medicine|school fees {f}|love you see you soon|send home|"
        "hospital bill mama|flight ticket home|visa application fee|help with rent {f}|"
        "money for {f} xx",
        "de": "Unterstützung Familie|für Mama|Schulgeld {f}",
        "fr": "soutien famille|pour maman",
        "es": "para mamá|ayuda familia {m}",
        "it": "per mamma|aiuto famiglia",
    },
    "property": {
        "en": "completion funds {l}|house deposit {n}|solicitor client account {n}|conveyancing {l}|"
        "exchange deposit plot {n}",
        "de": "Kaufpreis Whg {n}|Notar Anderkonto {n}|Grunderwerb {l}",
        "fr": "achat appartement notaire {n}|prix de vente {l}",
        "es": "notaría compra piso|arras {l}",
        "it": "notaio acquisto casa|caparra {l}",
    },
    "car": {
        "en": "car deposit|vehicle purchase {n}|balance for car {l}|used golf reg {n}|van purchase",
        "de": "Kaufpreis PKW|Gebrauchtwagen {n}|Auto {l}",
        "fr": "achat véhicule {n}|voiture occasion",
        "es": "compra coche|vehículo {n}",
        "it": "acquisto auto {n}",
    },
    "moving": {
        "en": "deposit and first month|tenancy deposit {l}|holding deposit flat {n}|removal van",
        "de": "Kaution Wohnung|Kaution + 1. Miete|Umzug",
        "fr": "dépôt de garantie|caution appt {n}",
        "es": "fianza piso|fianza y primer mes",
        "it": "caparra appartamento|cauzione",
    },
    "wedding": {
        "en": "wedding venue balance|photographer deposit|wedding flowers {l}|band final payment|"
        "cake {l} wedding|catering 80 guests {n}",
        "de": "Hochzeit Location|Fotograf Anzahlung|Hochzeitstorte",
        "fr": "traiteur mariage|photographe mariage",
        "es": "boda finca|fotógrafo boda",
        "it": "matrimonio villa|fotografo",
    },
    "lookalike": {
        "en": "invoice {n} final payment|safe deposit box fee|new account details as emailed inv {n}|"
        "urgent plumber|visa fee {f}|investment account top up|transfer to my own account|"
        "moving money to new savings account|security deposit {n}|customs charges parcel|"
        "HMRC tax {y}|emergency vet bill|bitcoin savings|help for {f} flight|"
        "test payment|account security deposit|for your safe journey xx|gift cards for team|"
        "secure storage unit {n}|new bank details - same builder",
        "de": "Schließfach Gebühr|neue Bankverbindung RG {n}|eigenes Konto Sicherheit|dringend "
        "Handwerker|Steuer {y}|Visum {f}|Testüberweisung",
        "fr": "coffre-fort location|nouveau RIB facture {n}|compte sécurisé épargne|visa {f}|urgent",
        "es": "caja seguridad|nuevo IBAN factura {n}|visado {f}|urgente fontanero",
        "it": "cassetta di sicurezza|nuovo IBAN fattura {n}|visto {f}|urgente idraulico",
    },
    "plain": {
        "en": "transfer|payment|thanks|ref {n}|as discussed|{l}|cash|misc|paid|{n}",
        "de": "Überweisung|Danke|wie besprochen|{n}|privat",
        "fr": "virement|merci|comme convenu|{n}",
        "es": "transferencia|pago|gracias|{n}",
        "it": "bonifico|pagamento|grazie|{n}",
    },
}
_SPLIT = {
    purpose: {lang: text.split("|") for lang, text in by_lang.items()}
    for purpose, by_lang in _TEMPLATES.items()
}
_MONTH_NAMES = {lang: text.split() for lang, text in _MONTHS.items()}


def fill(
    rng: np.random.Generator, template: str, language: str, country: str, month: YearMonth
) -> str:
    """A template with its slots filled and, now and then, sloppy capitals."""
    text = template
    if "{" in text:
        names = _MONTH_NAMES.get(language, _MONTH_NAMES["en"])
        text = text.replace("{n}", str(int(rng.integers(101, 9999))))
        text = text.replace("{m}", names[month[1] - 1]).replace("{y}", str(month[0]))
        text = text.replace("{f}", first_name(rng, country)).replace("{l}", last_name(rng, country))
        text = text.replace("{i}", pick(rng, _THINGS))
    style = rng.random()
    if style < 0.08:
        return text.upper()
    return text.lower() if style < 0.3 else text


def memo(
    rng: np.random.Generator, purpose: str, language: str, country: str, month: YearMonth
) -> str | None:
    """What someone writes for this purpose; None where the field is left empty."""
    draw = rng.random()
    if draw < 0.1:
        return None
    chosen = "plain" if draw < 0.2 else purpose
    by_language = _SPLIT[chosen]
    if language not in by_language or rng.random() < 0.12:
        language = "en"
    return fill(rng, pick(rng, by_language[language]), language, country, month)
