"""What a mail server's answers mean: whose fault it is, whether to try again.

| answer | where | outcome |
|---|---|---|
| 421, 4xx | anywhere | tried again |
| 530, 534, 535, 538 | signing in | the account: user name or password |
| 5xx | MAIL FROM | the account: the sender may not send here |
| 552, 5.3.4 | anywhere | the message: too large |
| 5.7.x | after the sender was taken | the message: refused by a rule of the server |
| 550, 551, 553 and other 5xx | RCPT TO | the recipient |
| 5xx | DATA | the message |
| no answer | before the mail left | tried again |
| no answer | after the mail left | unknown: it may have been taken |
"""

import re
from typing import Any

from django.utils.translation import gettext_lazy as _

from messaging.providers.base import Blame, SendError, Via
from messaging.providers.exchange import safe

_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_SIGN_IN = frozenset({530, 534, 535, 538})
_TOO_LARGE = frozenset({"5.3.4", "5.2.3"})

_NO_SIGN_IN = _(
    "The mail server refuses the user name or the password. An administrator can check them."
)
_NO_SUCH_BOX = _("The recipient's server knows no such address. Check how it is written.")

ADVICE: dict[str, Any] = {
    **{str(code): _NO_SIGN_IN for code in _SIGN_IN},
    "550": _NO_SUCH_BOX,
    "551": _NO_SUCH_BOX,
    "553": _NO_SUCH_BOX,
    "552": _("The mail is too large for the recipient's server. Send a smaller file."),
    "bad_host": _("The mail server of this address may not be used from here."),
    "no_starttls": _("The mail server offers no encryption. An administrator can check its port."),
    "bad_certificate": _("The mail server's certificate is not good for its name."),
    "bad_subject": _("The subject has a line break or another control character."),
    "bad_to": _("This is not an e-mail address that can be written to."),
}

_BLAMES = {
    **{str(code): Blame.ACCOUNT for code in _SIGN_IN},
    "550": Blame.RECIPIENT,
    "551": Blame.RECIPIENT,
    "553": Blame.RECIPIENT,
    "552": Blame.MESSAGE,
    "554": Blame.MESSAGE,
}


def blame_of(code: str) -> Blame:
    """Whose fault an answer is, where only its code is known."""
    return _BLAMES.get(code, Blame.PROVIDER)


def refusal(step: str, code: int, said: bytes | str, via: Via) -> SendError:
    """What a server's answer other than yes means, at this step."""
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    detail = safe(" ".join(words.split()), via)
    if not 500 <= code < 600:
        # 421 and 4xx say "later"; what is no code at all says that the server is not itself.
        return SendError(str(code), detail, retry=True)
    return SendError(str(code), detail, blame=_blame(step, code, detail))


def _blame(step: str, code: int, detail: str) -> Blame:
    found = _ENHANCED.match(detail)
    enhanced = found[0] if found else ""
    if code in _SIGN_IN or step in ("connect", "hello", "starttls", "login", "sender"):
        too_large = step == "sender" and (code == 552 or enhanced in _TOO_LARGE)
        return Blame.MESSAGE if too_large else Blame.ACCOUNT
    if enhanced.startswith("5.7.") or enhanced in _TOO_LARGE:
        return Blame.MESSAGE
    if step == "recipient":
        return Blame.MESSAGE if code == 552 and enhanced != "5.2.2" else Blame.RECIPIENT
    return Blame.MESSAGE
