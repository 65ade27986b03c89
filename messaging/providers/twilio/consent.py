"""What a contact says about being written to: STOP, START, and how else these are said.

Twilio's own words are single and of any case; from then on it refuses what we send (21610). The
French one is not among them, so it is read here; where Advanced Opt-Out is on, Twilio says itself
what it understood (`OptOutType`).
"""

import unicodedata

_STOP = frozenset(
    {"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "arret"}
)
_START = frozenset({"start", "yes", "unstop"})
_TOLD = {"STOP": True, "START": False}


def opts_out(text: str, told: str = "") -> bool | None:
    """Whether a message means "no more messages" (True), "messages again" (False) or neither."""
    if told:
        return _TOLD.get(told.upper())
    word = _letters(text)
    if word in _STOP:
        return True
    return False if word in _START else None


def _letters(text: str) -> str:
    """The text without case, accents, spaces and signs: « Arrêt ! » and OPT-OUT are words too."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(each for each in plain if each.isalnum())
