"""What to do about failures that several adapters tell by the same code of ours."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

_KEY = _("The provider refuses this number's key. An administrator can give it the right one.")
_PLAN = _("The plan at the provider has ended or is used up. Whoever pays for it can renew it.")
_LINK = _("This number's phone is not linked. Link it again on the page of the numbers.")
_LATER = _("The provider is busy or away. Try again in a few minutes.")
NO_WHATSAPP = _("WhatsApp knows no such number. Check how it is written.")
_KIND = _("Messages of this kind cannot be sent from this number.")

FILE = _("The file was not taken. Send it in another format, or a smaller one.")

SHARED: Mapping[str, Any] = {
    **dict.fromkeys(
        (
            "unauthorized",
            "forbidden",
            "not_found",
            "missing_credentials",
            "invalid_credentials",
            "bad_api_key",
            "bad_api_token",
            "bad_id_instance",
            "bad_dsn",
            "bad_api_url",
        ),
        _KEY,
    ),
    **dict.fromkeys(("payment_required", "quota_exceeded", "instance_expired"), _PLAN),
    **dict.fromkeys(
        ("not_connected", "expired_credentials", "multiple_sessions", "checkpoint_error"), _LINK
    ),
    **dict.fromkeys(("rate_limited", "unavailable", "timeout", "starting"), _LATER),
    **dict.fromkeys(("too_large", "bad_type"), FILE),
    "recipient": NO_WHATSAPP,
    "unsupported_kind": _KIND,
    "file_missing": _("The file is no longer there. Please add it again."),
}
