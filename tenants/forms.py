"""What people type into the settings."""

import re
import unicodedata
import zoneinfo
from datetime import datetime, time, timedelta

import phonenumbers
from django import forms
from django.conf import settings
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from phonenumbers.geocoder import LOCALE_DATA

from tenants import audit
from tenants.accounts.models import User
from tenants.models import Tenant
from tenants.settling import (
    LONGEST_NAME,
    LONGEST_RETENTION_DAYS,
    MOST_RANGES,
    SHORTEST_RETENTION_DAYS,
)

LARGEST_ID = 2**63 - 1
_WRITTEN_DAY = re.compile(r"(\d{1,2})[/.](\d{1,2})(?:[/.](\d{4}))?\Z")


class AuditForm(forms.Form):
    """Which entries of the audit to show."""

    PLATFORM = "platform"

    q = forms.CharField(label=_("Search"), required=False, max_length=100)
    whose = forms.ChoiceField(
        label=_("Done by"),
        required=False,
        choices=[("", _("the team")), (PLATFORM, _("AMDA's staff"))],
    )
    act = forms.ChoiceField(label=_("What"), required=False)
    person = forms.TypedChoiceField(label=_("Who"), required=False, coerce=int, empty_value=None)
    since = forms.DateField(
        label=_("From day"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    until = forms.DateField(
        label=_("To day"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    before = forms.IntegerField(
        required=False, min_value=1, max_value=LARGEST_ID, widget=forms.HiddenInput()
    )

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        acts = sorted(((act, str(words)) for act, words in audit.ACTS.items()), key=lambda x: x[1])
        self.fields["act"].choices = [("", _("anything")), *acts]
        people = [(person.pk, str(person)) for person in User.objects.order_by("name", "email")]
        self.fields["person"].choices = [("", _("anybody")), *people]

    def asked(self) -> audit.Asked:
        """What was typed, as the audit understands it; days are the tenant's."""
        given = self.cleaned_data
        last = given["until"]
        return audit.Asked(
            text=given["q"],
            act=given["act"],
            by_id=given["person"],
            since=_midnight(given["since"]),
            until=_midnight(last + timedelta(days=1)) if last else None,
            before=given["before"],
        )


def _midnight(day) -> datetime | None:
    return timezone.make_aware(datetime.combine(day, time.min)) if day else None


class OrganisationForm(forms.ModelForm):
    """Who the tenant is, how it speaks, what it looks like."""

    language = forms.ChoiceField(
        label=_("Language"),
        choices=settings.LANGUAGES,
        help_text=_("For whoever chose none of their own, and for mails."),
    )
    time_zone = forms.ChoiceField(label=_("Time zone"))
    default_country = forms.ChoiceField(
        label=_("Country"),
        help_text=_("Numbers written without a country code are read as its own."),
    )
    picture = forms.FileField(
        label=_("Logo"),
        required=False,
        widget=forms.FileInput(attrs={"accept": "image/png,image/jpeg,image/webp,image/gif"}),
        help_text=_("PNG, JPEG, WebP or GIF, up to 2 MB."),
    )
    without_picture = forms.BooleanField(label=_("Remove the logo"), required=False)

    class Meta:
        model = Tenant
        fields = ("name", "language", "time_zone", "default_country", "shows_read", "colour")
        labels = {"shows_read": _("Contacts see when their messages were read")}
        help_texts = {
            "shows_read": _(
                "On WhatsApp, as soon as somebody who may answer opens the conversation; "
                "never in groups."
            )
        }
        widgets = {"colour": forms.RadioSelect}

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, label_suffix="", **kwargs)
        zones = sorted(zoneinfo.available_timezones())
        self.fields["time_zone"].choices = [(zone, zone.replace("_", " ")) for zone in zones]
        self.fields["default_country"].choices = countries()
        if not self.instance.logo:
            del self.fields["without_picture"]

    def settings(self) -> dict:
        """What was typed, as the settings' names have it."""
        return {name: self.cleaned_data[name] for name in self.Meta.fields}


class RetentionForm(forms.Form):
    """How long messages are kept. Keeping less than before removes for good: the name is typed."""

    retention_days = forms.IntegerField(
        label=_("Days messages are kept"),
        required=False,
        min_value=SHORTEST_RETENTION_DAYS,
        max_value=LONGEST_RETENTION_DAYS,
        help_text=_("Leave it empty to keep everything."),
    )
    confirmation = forms.CharField(
        label=_("Name of your organisation, to confirm"),
        required=False,
        max_length=LONGEST_NAME,
        help_text=_("Only where less is kept than before."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args, tenant: Tenant, **kwargs) -> None:
        initial = {"retention_days": tenant.retention_days}
        super().__init__(*args, label_suffix="", initial=initial, **kwargs)
        self._tenant = tenant

    def clean(self) -> dict:
        given = super().clean()
        wanted, kept = given.get("retention_days"), self._tenant.retention_days
        keeps_less = wanted is not None and (kept is None or wanted < kept)
        if keeps_less and given.get("confirmation", "").strip() != self._tenant.name.strip():
            self.add_error("confirmation", _("Type the name of your organisation as it is."))
        return given

    def settings(self) -> dict:
        """What was typed, as the settings' names have it."""
        return {"retention_days": self.cleaned_data["retention_days"]}


def countries() -> list[tuple[str, str]]:
    """Every country with numbers of its own, by name in the reader's language."""
    language = (get_language() or "en")[:2]
    named = [
        (code, f"{country_named(code, language)} +{phonenumbers.country_code_for_region(code)}")
        for code in phonenumbers.SUPPORTED_REGIONS
    ]
    return sorted(named, key=lambda each: _without_accents(each[1]))


def country_named(code: str, language: str) -> str:
    """A country's name; its code where the language has none for it."""
    names = LOCALE_DATA.get(code, {})
    name = names.get(language, code)
    # "*es" means: as in Spanish.
    return names[name[1:]] if name.startswith("*") else name


def _without_accents(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


class HoursForm(forms.Form):
    """When the team is there: as many ranges for each day as are kept, and the days it is not."""

    holidays = forms.CharField(
        label=_("Holidays"),
        required=False,
        max_length=8000,
        widget=forms.Textarea(attrs={"rows": 6, "placeholder": "25/12 Noël"}),
        help_text=_(
            "One a line: the day, then its name. 25/12 is every year, 25/12/2026 that year only."
        ),
    )

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, label_suffix="", **kwargs)
        for day in range(7):
            for number in range(MOST_RANGES):
                for end in ("from", "to"):
                    self.fields[f"day{day}_{number}_{end}"] = forms.TimeField(
                        required=False,
                        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
                    )

    @staticmethod
    def initial_of(tenant: Tenant) -> dict:
        """What the form shows of a tenant's settings."""
        shown: dict = {"holidays": "\n".join(_as_line(each) for each in tenant.holidays)}
        for day, ranges in enumerate(tenant.opening_hours):
            for number, (opens, closes) in enumerate(ranges):
                shown |= {f"day{day}_{number}_from": opens, f"day{day}_{number}_to": closes}
        return shown

    def days(self) -> list[tuple[int, list]]:
        """The fields of each day, for the page."""
        return [
            (
                day,
                [
                    (self[f"day{day}_{number}_from"], self[f"day{day}_{number}_to"])
                    for number in range(MOST_RANGES)
                ],
            )
            for day in range(7)
        ]

    def clean_holidays(self) -> list[dict[str, str]]:
        lines = (line.strip() for line in self.cleaned_data["holidays"].splitlines())
        return [_as_holiday(line) for line in lines if line]

    def settings(self) -> dict:
        """What was typed, as the settings' names have it."""
        week = [
            [pair for number in range(MOST_RANGES) if (pair := self._range(day, number))]
            for day in range(7)
        ]
        return {"opening_hours": week, "holidays": self.cleaned_data["holidays"]}

    def clean(self) -> dict:
        given = super().clean()
        for day in range(7):
            for number in range(MOST_RANGES):
                ends = [given.get(f"day{day}_{number}_{end}") for end in ("from", "to")]
                if (ends[0] is None) != (ends[1] is None):
                    raise forms.ValidationError(_("Give both times of a range, or none."))
        return given

    def _range(self, day: int, number: int) -> list[str]:
        ends = [self.cleaned_data[f"day{day}_{number}_{end}"] for end in ("from", "to")]
        return [each.isoformat("minutes") for each in ends if each is not None]


def _as_line(holiday: dict[str, str]) -> str:
    *year, month, day = holiday["day"].split("-")
    written = "/".join([day, month, *year])
    return f"{written} {holiday['name']}".strip()


def _as_holiday(line: str) -> dict[str, str]:
    day, _space, name = line.partition(" ")
    found = _WRITTEN_DAY.match(day)
    if found:
        parts = [int(each) for each in found.groups() if each]
        day = "-".join(f"{part:02d}" for part in reversed(parts))
    return {"day": day, "name": name.strip()}
