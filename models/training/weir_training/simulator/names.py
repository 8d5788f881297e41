"""Names of people and businesses, put together from parts."""

from __future__ import annotations

import numpy as np

from .geography import COUNTRIES

_FIRST = {
    "en": "Oliver Amelia Jack Freya Harry Isla George Poppy Callum Niamh Sean Aoife Tyler Grace "
    "Marcus Chloe Imran Priya Kwame Zara Daniel Hannah",
    "de": "Lukas Mia Jonas Emma Felix Lena Maximilian Anna Paul Sophie Mehmet Katrin Jürgen Heike "
    "Tobias Sabine Murat Elif",
    "fr": "Louis Camille Hugo Manon Gabriel Inès Thierry Sylvie Mathis Chloé Karim Amandine "
    "Julien Léa Yanis Odile",
    "es": "Hugo Lucía Martín Sofía Javier Carmen Álvaro Paula Diego Marta Rubén Nuria Iker Pilar",
    "it": "Leonardo Giulia Francesco Sofia Matteo Chiara Luca Martina Davide Elena Paolo Ilaria",
    "nl": "Daan Sanne Bram Fleur Thijs Lotte Sem Anouk Joost Femke Yusuf Eva",
    "pl": "Jakub Zofia Piotr Hanna Krzysztof Magda Tomasz Ewa Michał Agnieszka Paweł Ola",
    "ro": "Andrei Ioana Mihai Elena Radu Bianca Stefan Roxana",
}
_LAST = {
    "en": "Smith Patel Jones Okafor Taylor Walsh Murphy Hughes Clarke Campbell Ahmed Wright "
    "Bennett Doyle Reid Foster Nolan Parker Khan Mensah",
    "de": "Müller Schmidt Weber Fischer Yilmaz Becker Hoffmann Krüger Vogel Schuster Lang Braun "
    "Kowalski Demir Richter",
    "fr": "Martin Bernard Dubois Moreau Lefebvre Garnier Benali Rousseau Fontaine Chevalier "
    "Marchand Leroux Diallo",
    "es": "García Fernández López Sánchez Romero Navarro Ortega Vidal Iglesias Prieto Cano Serra",
    "it": "Rossi Bianchi Ferrari Esposito Romano Colombo Greco Conti Marino Rinaldi Fabbri",
    "nl": "de Jong|Jansen|van Dijk|Bakker|Visser|Smit|Meijer|Mulder|van den Berg|Kaya",
    "pl": "Nowak Kowalczyk Wiśniewski Zieliński Lewandowski Wójcik Mazur Kaczmarek Pawlak",
    "ro": "Popescu Ionescu Dumitru Stan Munteanu Radu Ciobanu",
}
_TRADES = {
    "en": "Plumbing|Roofing|Joinery|Electrical|Kitchens|Landscapes|Tutoring|Catering|Motors|"
    "Cleaning Services|Accountancy|Music School|Physiotherapy|Interiors|Scaffolding",
    "de": "Sanitär|Dachbau|Malerbetrieb|Elektrotechnik|Küchenstudio|Gartenbau|Steuerberatung|"
    "Autohaus|Umzüge|Physiotherapie|Bäckerei",
    "fr": "Plomberie|Toitures|Menuiserie|Électricité|Jardins|Traiteur|Comptabilité|Garage|"
    "Déménagements|Rénovation",
    "es": "Fontanería|Reformas|Electricidad|Jardinería|Asesoría|Talleres|Mudanzas|Carpintería",
    "it": "Idraulica|Ristrutturazioni|Elettricista|Giardini|Studio Contabile|Autofficina|Traslochi",
    "nl": "Loodgieters|Dakwerken|Schilderwerken|Tuinen|Administratie|Autobedrijf|Verhuizingen",
    "pl": "Hydraulika|Remonty|Elektryka|Ogrody|Księgowość|Autoserwis|Przeprowadzki",
}
_FORMS = {
    "GB": ("Ltd", "& Sons", "LLP", "Limited"),
    "DE": ("GmbH", "e.K.", "UG", "KG"),
    "FR": ("SARL", "SAS", "EURL"),
    "ES": ("S.L.", "S.L.U."),
    "IT": ("S.r.l.", "S.a.s."),
    "NL": ("B.V.", "VOF"),
    "PL": ("Sp. z o.o.", "s.c."),
    "IE": ("Ltd", "DAC"),
    "US": ("LLC", "Inc"),
    "CA": ("Inc", "Ltd"),
    "AU": ("Pty Ltd",),
    "LT": ("UAB",),
    "RO": ("SRL",),
    "PT": ("Lda",),
    "AT": ("GmbH",),
    "CH": ("AG", "GmbH"),
}


def _parts(text: str) -> list[str]:
    return text.split("|") if "|" in text else text.split()


_FIRST_PARTS = {lang: _parts(text) for lang, text in _FIRST.items()}
_LAST_PARTS = {lang: _parts(text) for lang, text in _LAST.items()}
_TRADE_PARTS = {lang: _parts(text) for lang, text in _TRADES.items()}


def pick(rng: np.random.Generator, options: tuple[str, ...] | list[str]) -> str:
    """One of the options, each as likely."""
    return options[int(rng.random() * len(options))]


def first_name(rng: np.random.Generator, country: str) -> str:
    """A first name usual in the country."""
    language = COUNTRIES[country].language
    return pick(rng, _FIRST_PARTS.get(language, _FIRST_PARTS["en"]))


def last_name(rng: np.random.Generator, country: str) -> str:
    """A last name usual in the country."""
    language = COUNTRIES[country].language
    return pick(rng, _LAST_PARTS.get(language, _LAST_PARTS["en"]))


def person(rng: np.random.Generator, country: str) -> str:
    """A person's name as banks write it: in full, with an initial, or in capitals."""
    first, last = first_name(rng, country), last_name(rng, country)
    style = rng.random()
    if style < 0.62:
        return f"{first} {last}"
    if style < 0.77:
        return f"{first[0]}. {last}"
    if style < 0.9:
        return f"{first} {last}".upper()
    return f"{last} {first}"


def business(rng: np.random.Generator, country: str) -> str:
    """A small firm's name with its legal form."""
    language = COUNTRIES[country].language
    trade = pick(rng, _TRADE_PARTS.get(language, _TRADE_PARTS["en"]))
    form = pick(rng, _FORMS.get(country, ("Ltd",)))
    base = last_name(rng, country)
    name = f"{trade} {base} {form}" if language in ("fr", "es", "it") else f"{base} {trade} {form}"
    return name.upper() if rng.random() < 0.2 else name
