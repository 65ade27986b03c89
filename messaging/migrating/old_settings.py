"""What an `.env` of a replaced system says of its providers, in either of its spellings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

ADDRESS = "address"
"""Stands for the number or address of the instance among the names of fields."""

# Provider → field → the variables that held it, the first that is set counts.
VARIABLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "wasender": {
        ADDRESS: ("WASENDER_PHONE_NUMBER", "WASENDER_PHONE"),
        "api_key": ("WASENDER_SESSION_API_KEY", "WASENDER_API_KEY"),
        "webhook_secret": ("WASENDER_WEBHOOK_SECRET",),
        "session_id": ("WASENDER_INSTANCE_ID", "WASENDER_SESSION_ID"),
        "personal_token": ("WASENDER_PERSONAL_TOKEN", "WASENDER_PERSONAL_ACCESS_TOKEN"),
    },
    "greenapi": {
        ADDRESS: ("GREENAPI_PHONE", "GREENAPI_PHONE_NUMBER"),
        "id_instance": ("GREENAPI_INSTANCE_ID", "GREENAPI_ID_INSTANCE"),
        "api_token": ("GREENAPI_TOKEN", "GREENAPI_API_TOKEN", "GREENAPI_API_TOKEN_INSTANCE"),
        "webhook_token": ("GREENAPI_WEBHOOK_TOKEN", "GREENAPI_WEBHOOK_SECRET"),
        "api_url": ("GREENAPI_URL", "GREENAPI_API_URL"),
        "media_url": ("GREENAPI_MEDIA_URL",),
    },
    "twilio": {
        ADDRESS: ("TWILIO_SMS_FROM", "TWILIO_FROM", "TWILIO_FROM_NUMBER", "TWILIO_PHONE_NUMBER"),
        "account_sid": ("TWILIO_ACCOUNT_SID", "TWILIO_SID"),
        "auth_token": ("TWILIO_AUTH_TOKEN", "TWILIO_TOKEN"),
        "messaging_service_sid": ("TWILIO_MESSAGING_SERVICE_SID",),
    },
    "smtp": {
        ADDRESS: ("SMTP_FROM_EMAIL", "SMTP_FROM", "EMAIL_FROM", "SMTP_USER"),
        "host": ("SMTP_HOST",),
        "port": ("SMTP_PORT",),
        "user": ("SMTP_USER", "SMTP_USERNAME"),
        "password": ("SMTP_PASSWORD", "SMTP_PASS"),
        "reply_to": ("SMTP_REPLY_TO",),
    },
    "whatsapp_cloud": {
        ADDRESS: ("META_PHONE_NUMBER", "WHATSAPP_PHONE_NUMBER"),
        "phone_number_id": ("META_PHONE_NUMBER_ID", "WHATSAPP_PHONE_NUMBER_ID"),
        "waba_id": ("META_WABA_ID", "WHATSAPP_BUSINESS_ACCOUNT_ID", "WABA_ID"),
        "access_token": ("META_ACCESS_TOKEN", "WHATSAPP_ACCESS_TOKEN", "WHATSAPP_TOKEN"),
        "app_secret": ("META_APP_SECRET", "WHATSAPP_APP_SECRET"),
        "verify_token": ("META_VERIFY_TOKEN", "WHATSAPP_VERIFY_TOKEN"),
    },
}
# The tenant's CRM is none of its instances, and has variables of its own.
CRM = "espocrm"
CRM_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "url": ("ESPO_URL", "ESPOCRM_URL"),
    "api_key": ("ESPO_API_KEY", "ESPOCRM_API_KEY"),
}
# Without one of these a provider was not in use, whatever else is set.
_SIGNS = {
    "wasender": ("api_key", "session_id"),
    "greenapi": ("id_instance",),
    "twilio": ("account_sid",),
    "smtp": ("host",),
    "whatsapp_cloud": ("phone_number_id",),
}
# Green-API's variables were written in two ways, and its placeholders left where nothing was set.
_GREEN = re.compile(r"\AGREEN_API_(?=.)")
_PLACEHOLDER = re.compile(r"\A(|your[-_].*|x{3,}|<.*>|change[-_]?me)\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Described:
    """One instance as the file describes it, and the variables that did so."""

    provider: str
    address: str
    values: Mapping[str, str] = field(repr=False)
    names: Mapping[str, str] = field(default_factory=dict)


def instances(variables: Mapping[str, str | None]) -> list[Described]:
    """The instances that these variables describe; placeholders count as not set."""
    given = _given(variables)
    found = []
    for provider, fields in VARIABLES.items():
        held = _held(given, fields)
        if any(sign in held for sign in _SIGNS[provider]):
            found.append(_described(provider, held))
    return found


def crm(variables: Mapping[str, str | None]) -> Described | None:
    """The CRM that these variables describe; None where they name none."""
    held = _held(_given(variables), CRM_VARIABLES)
    return _described(CRM, held) if "url" in held else None


def _given(variables: Mapping[str, str | None]) -> dict[str, tuple[str, str]]:
    return {
        _GREEN.sub("GREENAPI_", name.upper()): (name, value.strip())
        for name, value in variables.items()
        if value is not None and not _PLACEHOLDER.match(value.strip())
    }


def _held(
    given: Mapping[str, tuple[str, str]], fields: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, str]]:
    """Of each field the variable that is set first, with its value."""
    return {
        field: given[known]
        for field, names in fields.items()
        for known in [next((each for each in names if each in given), "")]
        if known
    }


def _described(provider: str, held: Mapping[str, tuple[str, str]]) -> Described:
    address = held.get(ADDRESS, ("", ""))[1]
    values = {name: value for name, (_variable, value) in held.items() if name != ADDRESS}
    if provider == "smtp" and values.get("port") == "465":
        values["security"] = "tls"
    names = {name: variable for name, (variable, _value) in held.items()}
    return Described(provider, address, values, names)
