"""Twilio's error codes: whose fault a failure is, whether it may pass, what to do about it.

Source: Twilio's error dictionary; what is retried, and whose fault it is, is our own judgement.
"""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from messaging.providers.base import Blame

OPTED_OUT = "21610"


@dataclass(frozen=True)
class Verdict:
    """What a code means for the outbox and for whoever wrote the message."""

    blame: Blame
    retry: bool = False
    advice: Any = ""


_NOT_A_NUMBER = _("This is not a number that text messages can be sent to. Check it.")
_NO_MOBILE = _("This number cannot receive text messages: it may be a landline.")
_CANNOT_BE_REACHED = _("The phone is off, out of reach, or the number is not in use.")
_BLOCKED = _("The recipient's operator or phone refuses messages of this sender.")
_NOT_OUR_NUMBER = _("Your number is not one of this Twilio account that may send text messages.")
_NOT_REGISTERED = _("Twilio wants this sender to be registered before it may send there.")
_ACCOUNT = _("Twilio refuses the account or its keys. An administrator can connect it again.")
_BUSY = _("Twilio is busy. The message can be sent again in a moment.")

VERDICTS: dict[str, Verdict] = {
    "14107": Verdict(Blame.PROVIDER, retry=True, advice=_BUSY),
    "20003": Verdict(Blame.ACCOUNT, advice=_ACCOUNT),
    "20404": Verdict(Blame.ACCOUNT, advice=_ACCOUNT),
    "20429": Verdict(Blame.PROVIDER, retry=True, advice=_BUSY),
    "21211": Verdict(Blame.RECIPIENT, advice=_NOT_A_NUMBER),
    "21212": Verdict(Blame.ACCOUNT, advice=_NOT_OUR_NUMBER),
    "21214": Verdict(Blame.RECIPIENT, advice=_NO_MOBILE),
    "21408": Verdict(
        Blame.RECIPIENT,
        advice=_("Sending to this country is not switched on in the Twilio account."),
    ),
    "21601": Verdict(Blame.ACCOUNT, advice=_NOT_OUR_NUMBER),
    "21602": Verdict(Blame.MESSAGE, advice=_("The message has no text.")),
    "21603": Verdict(Blame.ACCOUNT, advice=_NOT_OUR_NUMBER),
    "21604": Verdict(Blame.RECIPIENT, advice=_NOT_A_NUMBER),
    "21606": Verdict(Blame.ACCOUNT, advice=_NOT_OUR_NUMBER),
    "21608": Verdict(
        Blame.ACCOUNT,
        advice=_("A trial account of Twilio sends to verified numbers only."),
    ),
    OPTED_OUT: Verdict(
        Blame.RECIPIENT,
        advice=_("This contact wrote STOP. They can undo it by writing START."),
    ),
    "21611": Verdict(Blame.PROVIDER, retry=True, advice=_BUSY),
    "21612": Verdict(
        Blame.RECIPIENT, advice=_("This number cannot be reached from your number by text message.")
    ),
    "21614": Verdict(Blame.RECIPIENT, advice=_NO_MOBILE),
    "21617": Verdict(Blame.MESSAGE, advice=_("The text is too long: 1600 characters are allowed.")),
    "21620": Verdict(Blame.MESSAGE, advice=_("Twilio could not get the file.")),
    "21623": Verdict(Blame.MESSAGE, advice=_("There are too many files in one message.")),
    "21703": Verdict(
        Blame.ACCOUNT, advice=_("The messaging service at Twilio has no number to send from.")
    ),
    "21705": Verdict(Blame.ACCOUNT, advice=_("There is no such messaging service at Twilio.")),
    "21712": Verdict(Blame.ACCOUNT, advice=_NOT_OUR_NUMBER),
    "30001": Verdict(Blame.PROVIDER, retry=True, advice=_BUSY),
    "30002": Verdict(Blame.ACCOUNT, advice=_("The Twilio account is suspended.")),
    "30003": Verdict(Blame.RECIPIENT, advice=_CANNOT_BE_REACHED),
    "30004": Verdict(Blame.RECIPIENT, advice=_BLOCKED),
    "30005": Verdict(Blame.RECIPIENT, advice=_CANNOT_BE_REACHED),
    "30006": Verdict(Blame.RECIPIENT, advice=_NO_MOBILE),
    "30007": Verdict(
        Blame.MESSAGE,
        advice=_("The operator took the text for unwanted advertising. Write it differently."),
    ),
    "30008": Verdict(Blame.PROVIDER, retry=True),
    "30017": Verdict(Blame.PROVIDER, retry=True, advice=_BUSY),
    "30018": Verdict(Blame.ACCOUNT, advice=_NOT_REGISTERED),
    "30022": Verdict(Blame.PROVIDER, retry=True, advice=_BUSY),
    "30023": Verdict(
        Blame.ACCOUNT, advice=_("The sender has reached what it may send today. Try tomorrow.")
    ),
    "30024": Verdict(Blame.ACCOUNT, advice=_NOT_REGISTERED),
    "30032": Verdict(Blame.ACCOUNT, advice=_NOT_REGISTERED),
    "30034": Verdict(Blame.ACCOUNT, advice=_NOT_REGISTERED),
    "30410": Verdict(Blame.PROVIDER, retry=True, advice=_BUSY),
    "63003": Verdict(Blame.RECIPIENT, advice=_NOT_A_NUMBER),
    "63016": Verdict(Blame.MESSAGE),
    "63018": Verdict(Blame.PROVIDER, retry=True, advice=_BUSY),
    "63024": Verdict(Blame.RECIPIENT, advice=_NOT_A_NUMBER),
    "63032": Verdict(Blame.RECIPIENT, advice=_BLOCKED),
}

ADVICE = {code: verdict.advice for code, verdict in VERDICTS.items() if verdict.advice}


def verdict_on(code: str) -> Verdict:
    """What a code means; an unlisted one is the provider's."""
    return VERDICTS.get(code, Verdict(Blame.PROVIDER))
