"""Which facts about messages somebody asks for on a page."""

from datetime import date
from zoneinfo import ZoneInfo

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from messaging import providers, queries, searching, told
from messaging.models import Lead
from tenants.api.parsing import LARGEST_ID


class FactsForm(forms.Form):
    """What is known of a fact without its content: all that staff may narrow by."""

    medium = forms.ChoiceField(label=pgettext_lazy("of a message", "Medium"), required=False)
    provider = forms.ChoiceField(label=_("Provider"), required=False)
    direction = forms.ChoiceField(label=_("Direction"), required=False)
    status = forms.ChoiceField(label=_("Status"), required=False)
    since = forms.DateField(
        label=_("From day"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    until = forms.DateField(
        label=_("To day"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    before = forms.CharField(required=False, max_length=60, widget=forms.HiddenInput())

    def __init__(self, *args, today: date, zone: ZoneInfo, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._today, self._zone = today, zone
        known = {
            "medium": told.MEDIA.items(),
            "provider": [(each.slug, each.label) for each in providers.every()],
            "direction": told.Direction.choices,
            "status": told.STATUSES.items(),
        }
        for name, choices in known.items():
            self.fields[name].choices = [("", _("any")), *choices]

    def clean_before(self) -> queries.Cursor | None:
        """The place from which on one reads."""
        written = self.cleaned_data["before"]
        try:
            return queries.Cursor.read(written) if written else None
        except ValueError as exc:
            raise forms.ValidationError(_("This is no place in this list.")) from exc

    def clean(self) -> dict:
        given = super().clean()
        if not self.errors:
            asked = (given["since"], given["until"])
            try:
                given["days"] = told.Days.asked(*asked, self._today, self._zone)
            except told.WrongDays as wrong:
                self.add_error(wrong.field, wrong.message)
        return given

    def narrowed(self) -> told.Narrowed:
        """What was chosen, as the list understands it."""
        given = self.cleaned_data
        chosen = {name: given[name] for name in ("medium", "provider", "direction", "status")}
        return told.Narrowed(given["days"], **chosen)


class FactsOfLeadsForm(FactsForm):
    """The same, and whose: one lead, or those of a name, number or address."""

    q = forms.CharField(label=_("Lead"), required=False, max_length=100)
    lead = forms.IntegerField(
        required=False, min_value=1, max_value=LARGEST_ID, widget=forms.HiddenInput()
    )
    field_order = ("q", "medium", "provider", "direction", "status", "since", "until")

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["q"].widget.attrs["placeholder"] = _("Name, number or e-mail")

    def of_lead(self) -> Lead | None:
        """The one lead that is asked for by its id."""
        pk = self.cleaned_data["lead"]
        return Lead.objects.filter(pk=pk).first() if pk else None

    def narrowed(self) -> told.Narrowed:
        """What was chosen; a name that nobody has finds nothing."""
        given, known = self.cleaned_data, super().narrowed()
        leads = [given["lead"]] if given["lead"] else None
        if leads is None and given["q"]:
            meant = searching.leads_meant(given["q"])
            leads = [] if meant is None else meant
        return told.Narrowed(
            known.days, known.medium, known.provider, known.direction, known.status, leads
        )
