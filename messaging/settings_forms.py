"""What people type into the settings of their work: stages, tags, canned replies, the CRM."""

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from messaging import canned, pipeline
from messaging.models import CannedReply, Stage, Tag
from tenants.models import CrmLink, Tenant


class _Form(forms.Form):
    def first_error(self) -> str:
        """The first thing that is wrong, for places with room for one line."""
        return next(iter(self.errors.values()))[0]

    def put_focus(self) -> None:
        """Begin at the first field that is wrong, else at the first of all."""
        wrong = [name for name in self.fields if name in self.errors]
        first = (wrong or list(self.fields))[0]
        self.fields[first].widget.attrs["autofocus"] = True


class StageForm(_Form):
    """A step of the pipeline."""

    name = forms.CharField(label=_("Name"), max_length=60)
    kind = forms.ChoiceField(label=_("Means"), choices=Stage.Kind.choices)
    stale_after_days = forms.IntegerField(
        label=_("Stale after days"),
        required=False,
        min_value=1,
        max_value=pipeline.LONGEST_STALE_DAYS,
    )

    @staticmethod
    def rows():
        """The steps that are there."""
        return Stage.objects.order_by("position", "pk")

    @classmethod
    def of(cls, stage: Stage, typed: QueryDict | None = None) -> "StageForm":
        """The form of a step that is there, or with what was typed into it."""
        known = {"kind": stage.kind, "stale_after_days": stage.stale_after_days}
        return cls(typed, initial={"name": str(stage), **known}, auto_id=f"stage-{stage.pk}-%s")

    def facts(self) -> dict:
        """What was typed."""
        return {name: self.cleaned_data[name] for name in self.fields}


class IntoStageForm(_Form):
    """Where the leads of a stage go that is taken away."""

    into = forms.ModelChoiceField(
        Stage.objects.none(),
        error_messages={
            "required": _("Choose another stage for its leads."),
            "invalid_choice": _("This stage is no longer there."),
        },
    )

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["into"].queryset = Stage.objects.all()


class CrmForm(_Form):
    """Where the tenant's EspoCRM is, and the key to it; a key is never shown again."""

    url = forms.CharField(
        label=_("Address of EspoCRM"),
        max_length=300,
        widget=forms.TextInput(
            attrs={
                "placeholder": "https://crm.example.com",
                "inputmode": "url",
                "autocomplete": "off",
                "spellcheck": "false",
            }
        ),
    )
    api_key = forms.CharField(
        label=_("API key"),
        max_length=200,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )


class CrmStagesForm(_Form):
    """What each status of EspoCRM means here."""

    def __init__(self, *args, crm: CrmLink, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._names = {f"status-{place}": status for place, status in enumerate(crm.statuses)}
        for name, status in self._names.items():
            self.fields[name] = forms.ModelChoiceField(
                Stage.objects.all(),
                label=status,
                required=False,
                empty_label=_("(changes nothing)"),
                initial=crm.stages.get(status),
                error_messages={"invalid_choice": _("This stage is no longer there.")},
            )

    def chosen(self) -> dict[str, Stage | None]:
        """The stage of each status."""
        return {status: self.cleaned_data[name] for name, status in self._names.items()}


class TagForm(_Form):
    """A tag."""

    name = forms.CharField(label=_("Name"), max_length=40)
    colour = forms.ChoiceField(label=_("Colour"), choices=Tenant.Colour.choices, required=False)

    @staticmethod
    def rows():
        """The tags that are there."""
        return Tag.objects.all()

    @classmethod
    def of(cls, tag: Tag, typed: QueryDict | None = None) -> "TagForm":
        """The form of a tag that is there, or with what was typed into it."""
        known = {"name": tag.name, "colour": tag.colour}
        return cls(typed, initial=known, auto_id=f"tag-{tag.pk}-%s")


class CannedReplyForm(_Form):
    """A canned reply."""

    shortcut = forms.CharField(
        label=_("Short word"),
        max_length=31,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    text = forms.CharField(
        label=_("Text"),
        max_length=canned.LONGEST_TEXT,
        widget=forms.Textarea(attrs={"rows": 4, "dir": "auto"}),
    )

    def clean_shortcut(self) -> str:
        return self.cleaned_data["shortcut"].removeprefix("/")

    @staticmethod
    def rows():
        """The replies that are there."""
        return CannedReply.objects.all()

    @classmethod
    def of(cls, reply: CannedReply, typed: QueryDict | None = None) -> "CannedReplyForm":
        """The form of a reply that is there, or with what was typed into it."""
        known = {"shortcut": reply.shortcut, "text": reply.text}
        return cls(typed, initial=known, auto_id=f"reply-{reply.pk}-%s")
