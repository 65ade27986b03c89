"""What a tenant's owners decide about it: checked, kept, told to everybody, in the audit."""

import re
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time
from typing import Any

import phonenumbers
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from tenants import audit, directory
from tenants.accounts.models import User, tell_rights_changed
from tenants.models import Tenant
from tenants.permissions import GIVEN_BY_TENANT

LONGEST_NAME = 200
SHORTEST_RETENTION_DAYS = 30
LONGEST_RETENTION_DAYS = 3650
MOST_RANGES = 3
MOST_HOLIDAYS = 100
LONGEST_HOLIDAY = 60
_YEARLY = re.compile(r"\d{2}-\d{2}\Z")
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d\Z")


class WrongSetting(Exception):
    """A value that cannot be kept: which setting, and why."""

    def __init__(self, name: str, message: Any) -> None:
        super().__init__(name)
        self.name = name
        self.message = message


def change(number: int, values: Mapping[str, Any], *, by: User | None) -> Tenant:
    """Keep these settings of the tenant one is in; only what differs is written and recorded.

    Raises `WrongSetting` and changes nothing.
    """
    checked = {name: CHECKS[name](value) for name, value in values.items()}
    with transaction.atomic():
        tenant = Tenant.objects.select_for_update().get(number=number)
        had = {name: getattr(tenant, name) for name in checked}
        before, after = audit.difference(had, checked)
        if after:
            for name, value in after.items():
                setattr(tenant, name, value)
            tenant.save(update_fields=list(after))
            audit.record("tenant.changed", by=by, subject=tenant, before=before, after=after)
            directory.changed()
        if after.keys() & set(GIVEN_BY_TENANT.values()):
            tell_rights_changed()
    directory.forget()
    return tenant


def _name(value: Any) -> str:
    name = str(value).strip()
    if not 1 <= len(name) <= LONGEST_NAME or "\0" in name:
        raise WrongSetting("name", _("Give a name of 1 to 200 characters."))
    return name


def _language(value: Any) -> str:
    return _one_of("language", value, dict(settings.LANGUAGES), _("Choose one of: fr, en."))


def _time_zone(value: Any) -> str:
    known = zoneinfo.available_timezones()
    return _one_of("time_zone", value, known, _("Give a time zone such as Europe/Paris."))


def _country(value: Any) -> str:
    known = phonenumbers.SUPPORTED_REGIONS
    complaint = _("Give a country as two letters, such as FR.")
    return _one_of("default_country", str(value).upper(), known, complaint)


def _colour(value: Any) -> str:
    return _one_of("colour", value, Tenant.Colour.values, _("Choose one of the colours."))


def _one_of(name: str, value: Any, known: Iterable[str], complaint: Any) -> str:
    if value not in known:
        raise WrongSetting(name, complaint)
    return value


def _yes_or_no(value: Any) -> bool:
    return bool(value)


def _retention(value: Any) -> int | None:
    if value is None:
        return None
    if not SHORTEST_RETENTION_DAYS <= int(value) <= LONGEST_RETENTION_DAYS:
        raise WrongSetting(
            "retention_days",
            _("Give %(least)s to %(most)s days, or nothing to keep everything.")
            % {"least": SHORTEST_RETENTION_DAYS, "most": LONGEST_RETENTION_DAYS},
        )
    return int(value)


def _week(value: Any) -> list[list[list[str]]]:
    if not isinstance(value, list) or len(value) != 7:
        raise WrongSetting("opening_hours", _("Give the hours of seven days, Monday first."))
    return [_day(ranges) for ranges in value]


def _day(ranges: Any) -> list[list[str]]:
    if not isinstance(ranges, list) or len(ranges) > MOST_RANGES:
        raise WrongSetting("opening_hours", _("Give at most three ranges for a day."))
    told = sorted([_clock(opens), _clock(closes)] for opens, closes in map(_pair, ranges))
    end = ""
    for opens, closes in told:
        # Midnight as an end is the end of the day.
        if closes != "00:00" and closes <= opens:
            raise WrongSetting("opening_hours", _("A range ends after it begins."))
        if opens < end:
            raise WrongSetting("opening_hours", _("The ranges of a day do not overlap."))
        end = "24:00" if closes == "00:00" else closes
    return told


def _pair(value: Any) -> tuple[Any, Any]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise WrongSetting("opening_hours", _("Write a range as two times, such as 09:00, 18:00."))
    return value[0], value[1]


def _clock(value: Any) -> str:
    if not isinstance(value, str) or not _CLOCK.match(value):
        raise WrongSetting("opening_hours", _("Write a time as 09:00."))
    return time.fromisoformat(value).isoformat("minutes")


def _holidays(value: Any) -> list[dict[str, str]]:
    if not isinstance(value, list) or len(value) > MOST_HOLIDAYS:
        raise WrongSetting("holidays", _("Give at most a hundred holidays."))
    told = {each["day"]: each for each in map(_holiday, value)}
    return [told[day] for day in sorted(told)]


def _holiday(value: Any) -> dict[str, str]:
    day = value.get("day", "") if isinstance(value, dict) else ""
    name = str(value.get("name", "")).strip() if isinstance(value, dict) else ""
    # A leap year, so that the 29th of February may be one.
    whole = f"2024-{day}" if isinstance(day, str) and _YEARLY.match(day) else day
    try:
        date.fromisoformat(whole)
    except (TypeError, ValueError) as exc:
        complaint = _("Write a day as 2026-12-25, or as 12-25 for every year.")
        raise WrongSetting("holidays", complaint) from exc
    if len(name) > LONGEST_HOLIDAY or "\0" in name:
        raise WrongSetting("holidays", _("This name of a holiday is too long."))
    return {"day": day, "name": name}


CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": _name,
    "language": _language,
    "time_zone": _time_zone,
    "default_country": _country,
    "colour": _colour,
    "logo": str,
    "opening_hours": _week,
    "holidays": _holidays,
    "retention_days": _retention,
    "agents_see_all": _yes_or_no,
    "shows_read": _yes_or_no,
}
