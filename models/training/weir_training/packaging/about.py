"""What a package says of itself that no measurement can: its purpose and its data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """Words for one package's manifest and model card."""

    name: str
    version: str
    data: str
    split: str
    purpose: str  # Markdown: what it is for, and what it is not


_SIMULATED = """It screens payments and ranks them for a second look. **It was trained from scratch on simulated
transactions only.** It knows the simulator's kinds of fraud and the simulator's honest
look-alikes; nothing here says how it does on a bank's real traffic. Train it on your own labelled
history (`models/training`) and calibrate it there before a score of it costs anyone anything."""

_CARDS = """It screens the public card stream of the *Fraud Detection Handbook* (Le Borgne et al., 2022): simulated
card payments that have an amount, an account and a terminal, and nothing else. It is here so that
Weir's figures can be set beside published ones. The stream's fraud is of three kinds: amounts above
220, terminals that leak cards for 28 days, and accounts whose amounts are five times the usual for
14 days. Simulated fraud is far easier than real fraud: in the Handbook, the average precision of
gradient boosting falls from 0.69 on this stream to 0.10 on a real one."""

SCREENING = About(
    "weir-screening", "1.1.2", "simulated transactions, weir_training.simulator",
    "days 10-119 train, 120-149 validation and calibration, 150-179 test", _SIMULATED)
SCREENING_CARDSTREAM = About(
    "weir-screening-cardstream", "1.0.0",
    "the Handbook's simulated card stream, 2018-04-01 to 2018-07-31, labels 7 days late",
    "04-20 to 06-19 train, 06-20 to 06-26 validation and calibration, from 06-27 test", _CARDS)

_ANALYSED = """It gives a second opinion on what tier 1 escalates, with reasons. **It was trained from scratch on
simulated transactions only.** It knows the simulator's kinds of fraud and a few dozen phrasings; it
has no knowledge of the world. Its verdict counts through the calibrated probability of the
verdict's tokens; its reasons are checked against the facts by the server, and narratives that state
a number of their own are dropped."""

_CARDS_ANALYSED = """It gives a second opinion on what tier 1 escalates of the public card stream of the *Fraud Detection
Handbook* (Le Borgne et al., 2022), and reads what tier 1 does not: the account's last six
transactions in order, the last six labels of the terminal, and for how long the terminal's spell of
fraud has lasted. It knows that stream alone. Its verdict counts through the calibrated probability
of the verdict's tokens; its reasons are checked against the facts by the server."""

ANALYSIS = About(
    "weir-analysis", "1.1.0", "simulated transactions, weir_training.simulator",
    "days 10-119 train, 120-149 calibration, 150-179 test", _ANALYSED)
ANALYSIS_CARDSTREAM = About(
    "weir-analysis-cardstream", "1.0.0", SCREENING_CARDSTREAM.data,
    "04-20 to 06-19 train, 06-20 to 06-26 calibration, from 06-27 test", _CARDS_ANALYSED)

ANALYSES = {about.name: about for about in (ANALYSIS, ANALYSIS_CARDSTREAM)}
ABOUT = {about.name: about for about in (SCREENING, SCREENING_CARDSTREAM)}
