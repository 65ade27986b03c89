"""What Meta's error codes mean. Titles and texts change; codes do not.

Sources: Meta's page of error codes and its mirrors, courier's handler, pywa's errors. Whether to
try again, and for how long to wait, is ours.
"""

from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from messaging.providers.base import Blame

MINUTE = 60.0
HOUR = 3600.0


@dataclass(frozen=True)
class Verdict:
    """What to do about a code. `wait` holds back the whole number, in seconds."""

    blame: Blame
    retry: bool = False
    wait: float | None = None


_SLOW_DOWN = Verdict(Blame.PROVIDER, retry=True, wait=MINUTE)
_AGAIN = Verdict(Blame.PROVIDER, retry=True)
_RECIPIENT = Verdict(Blame.RECIPIENT)
_ACCOUNT = Verdict(Blame.ACCOUNT)
_MESSAGE = Verdict(Blame.MESSAGE)

_CODES = {
    # Too fast. The pair limit is about one recipient: the others need not wait.
    **dict.fromkeys((4, 17, 32, 613, 80007, 80008, 131064, 133016), _SLOW_DOWN),
    130429: Verdict(Blame.PROVIDER, retry=True, wait=5),
    131048: Verdict(Blame.ACCOUNT, retry=True, wait=HOUR),
    131056: _AGAIN,
    # Meta's own trouble.
    **dict.fromkeys((1, 2, 131000, 131016, 131053, 131057), _AGAIN),
    # This person cannot or may not be written to now.
    **dict.fromkeys(
        (131021, 131026, 131030, 131047, 131049, 131050, 130472, 130497, 131062), _RECIPIENT
    ),
    # The account, its token or its number.
    **dict.fromkeys(
        (0, 3, 10, 102, 190, 368, 131005, 131031, 131037, 131042, 131045, 133010), _ACCOUNT
    ),
    **dict.fromkeys(range(200, 300), _ACCOUNT),
    # What was to be sent.
    **dict.fromkeys(
        (33, 100, 131008, 131009, 131051, 131052, 131063, 132000, 132001, 132005, 132007, 132008),
        _MESSAGE,
    ),
    **dict.fromkeys((132012, 132015, 132016, 132068, 132069, 135000, 137000), _MESSAGE),
}


def verdict_of(code: int) -> Verdict | None:
    """What to do about a code; None where we do not know it."""
    return _CODES.get(code)


def blame_of(code: str) -> Blame:
    """Whose fault it is, as a status tells it later; the provider's where we do not know."""
    known = _CODES.get(int(code)) if code.isascii() and code.isdecimal() else None
    return known.blame if known else Blame.PROVIDER


_SLOWER = _("WhatsApp asked for a slower pace. Try again in a few minutes.")
_NOT_LET = _("WhatsApp did not let this message through to this contact. Wait a day or more.")
_TEMPLATE = _("The template was changed or withdrawn. Choose it again, or another one.")
_TOKEN = _("WhatsApp refuses the number's access. An administrator has to connect it again.")
_FILE = _("WhatsApp could not take the file. Send it in another format, or a smaller one.")

ADVICE = {
    **dict.fromkeys(("4", "80007", "130429", "131056", "131048", "131064"), _SLOWER),
    **dict.fromkeys(("131049", "130472"), _NOT_LET),
    **dict.fromkeys(("132000", "132001", "132007", "132012", "132015", "132016"), _TEMPLATE),
    **dict.fromkeys(("0", "3", "10", "190", "131005", "131031", "133010"), _TOKEN),
    **dict.fromkeys(("131052", "131053"), _FILE),
    "131047": _(
        "More than 24 hours have passed since this contact last wrote. Send a template instead."
    ),
    "131026": _("This number does not use WhatsApp, or has not accepted its newest terms."),
    "131050": _("This contact has stopped marketing messages. Other templates may still be sent."),
    "131042": _("The WhatsApp account has a payment problem. Its owner can solve it at Meta."),
    "131051": _("WhatsApp does not take messages of this kind."),
}
"""What to do about the codes that a team meets, where the code says more than whose fault it is."""
