"""What people type into the settings."""

from datetime import datetime, time, timedelta

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenants import audit
from tenants.accounts.models import User

LARGEST_ID = 2**63 - 1


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
