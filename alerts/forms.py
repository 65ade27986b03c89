"""What people type when they take an alert's next step, or say when alerts begin."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from alerts.models import Severity
from alerts.rules import NEXT_STEPS
from messaging.forms import LONGEST_NOTE
from messaging.models import Activity, Stage
from messaging.refusing import LONGEST_TEXT
from messaging.templatetags.saying import called
from tenants.accounts.models import User
from tenants.models import ProviderInstance

LONGEST_MESSAGE = 1_000
FLAGGED_WITH = ("message", "call", "plan")


class WriteForm(forms.Form):
    """A message to the lead."""

    text = forms.CharField(
        label=_("Your message"),
        max_length=LONGEST_TEXT,
        widget=forms.Textarea(attrs={"rows": 4, "dir": "auto"}),
        error_messages={"required": _("Write something first.")},
    )
    reference = forms.UUIDField(required=False, widget=forms.HiddenInput)
    instance = forms.TypedChoiceField(
        label=_("From number"), required=False, coerce=int, empty_value=None
    )

    def __init__(self, *args, numbers: Sequence[ProviderInstance] = (), **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if len(numbers) > 1:
            self.fields["instance"].choices = [(each.pk, called(each)) for each in numbers]
        else:
            del self.fields["instance"]


class AlertForm(forms.Form):
    """An alert that a person raises about a lead: how bad, why, and what to do about it."""

    severity = forms.ChoiceField(
        label=_("Severity"), choices=Severity.choices, initial=Severity.MEDIUM
    )
    message = forms.CharField(
        label=_("Why"),
        max_length=LONGEST_MESSAGE,
        widget=forms.TextInput(attrs={"dir": "auto"}),
        error_messages={"required": _("Write something first.")},
    )
    action = forms.ChoiceField(
        label=_("Next step"),
        required=False,
        choices=[("", _("none")), *((name, NEXT_STEPS[name]) for name in FLAGGED_WITH)],
    )

    def made(self) -> dict[str, Any]:
        """What an alert is made from."""
        typed = self.cleaned_data
        action = {"action": typed["action"]} if typed["action"] else {}
        return {"severity": typed["severity"], "message": typed["message"], "action": action}


class CallForm(forms.Form):
    """How a call ended."""

    status = forms.ChoiceField(
        label=_("How did it go?"),
        choices=[
            (Activity.Status.REPLIED, _("We talked")),
            (Activity.Status.NO_ANSWER, _("Nobody answered")),
        ],
        initial=Activity.Status.REPLIED,
        widget=forms.RadioSelect,
    )
    note = forms.CharField(label=_("Note"), required=False, max_length=LONGEST_NOTE)


class _When(forms.DateTimeField):
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")

    def __init__(self, **facts) -> None:
        super().__init__(input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"], **facts)


class PlanForm(forms.Form):
    """Something to do for the lead: what, when, who."""

    what = forms.CharField(label=_("What"), max_length=300)
    due_at = _When(label=_("When"))
    who = forms.ModelChoiceField(User.objects.none(), label=_("Who"), required=False)

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["who"].queryset = User.objects.filter(is_active=True).order_by("name", "email")
        self.fields["who"].empty_label = _("nobody")


class SettleForm(forms.Form):
    """Done, or put off until a time."""

    due_at = _When(label=_("Put off until"), required=False)


class StageForm(forms.Form):
    """The stage a lead goes to."""

    stage = forms.ModelChoiceField(Stage.objects.none(), label=_("Stage"))

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["stage"].queryset = Stage.objects.order_by("position", "id")
