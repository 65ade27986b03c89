"""What people type into the team's pages."""

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from messaging import coordinates
from messaging.mailing import LONGEST_SUBJECT
from messaging.models import Conversation, Lead, Message, MessageFile, Tag
from messaging.refusing import LONGEST_TEXT
from tenants.accounts.models import User

LONGEST_NOTE = 10_000
LONGEST_ID = 18
MOST_SELECTED = 100
SEVERAL = ("assign", "close", "reopen", "read")


QUOTED_IS_GONE = _("The message you answer is no longer there. Drop it and send again.")
UNREADABLE_PLACE = _(
    "No coordinates can be read from this. Short links hide theirs: open the link and copy the"
    " address your browser shows then, or the coordinates."
)
OTHER_PLACE = _("Latitude and longitude say another place than this. Empty one of the two.")
_DEGREES = ("latitude", "longitude")


def quotable_in(conversation: Conversation) -> QuerySet[Message]:
    """The messages of a conversation that its provider knows by name."""
    said = conversation.messages.filter(instance_id=conversation.instance_id, deleted_at=None)
    return said.exclude(external_id="")


class _Form(forms.Form):
    def first_error(self) -> str:
        """The first thing that is wrong, for places with room for one line."""
        return next(iter(self.errors.values()))[0]


class ReplyForm(_Form):
    """An answer. `reference` names the attempt: sent twice, it is one message."""

    text = forms.CharField(
        label=_("Your message"),
        # The outbox says how long a text may be; this only bounds what is read.
        max_length=LONGEST_TEXT * 2,
        error_messages={"required": _("Write something first.")},
    )
    subject = forms.CharField(
        label=_("Subject"),
        required=False,
        strip=False,
        max_length=LONGEST_SUBJECT,
        error_messages={"max_length": _("The subject is too long.")},
    )
    reference = forms.UUIDField(
        required=False, error_messages={"invalid": _("Load the page again and retry.")}
    )


class FileReplyForm(ReplyForm):
    """An answer that may be a file, with or without words, and may quote a message."""

    reply_to = forms.ModelChoiceField(
        Message.objects.none(),
        required=False,
        to_field_name="external_id",
        error_messages={"invalid_choice": QUOTED_IS_GONE},
    )

    file = forms.ModelChoiceField(
        MessageFile.objects.none(),
        required=False,
        error_messages={"invalid_choice": _("This file is no longer there. Please add it again.")},
    )

    def __init__(self, *args, conversation, user, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reply_to"].queryset = quotable_in(conversation)
        self.fields["file"].queryset = MessageFile.objects.filter(uploaded_by=user)
        self.fields["text"].required = not self.data.get("file")


class _EnclosedForm(_Form):
    """What is sent in place of a text; the outbox says what is wrong with it."""

    reference = forms.UUIDField(
        required=False, error_messages={"invalid": _("Load the page again and retry.")}
    )
    reply_to = forms.ModelChoiceField(
        Message.objects.none(),
        required=False,
        to_field_name="external_id",
        error_messages={"invalid_choice": QUOTED_IS_GONE},
    )

    def __init__(self, *args, conversation, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reply_to"].queryset = quotable_in(conversation)


class PlaceForm(_EnclosedForm):
    """A point on the map: by its degrees, or by what a map calls it."""

    where = forms.CharField(required=False, max_length=coordinates.LONGEST)
    latitude = forms.CharField(required=False, max_length=40)
    longitude = forms.CharField(required=False, max_length=40)
    name = forms.CharField(required=False)
    address = forms.CharField(required=False)

    def clean(self) -> dict:
        """The degrees of what a map calls it, where they are not given themselves."""
        typed = super().clean() or {}
        if not typed.get("where"):
            return typed
        found = coordinates.read(typed["where"])
        if found is None:
            raise forms.ValidationError({"where": UNREADABLE_PLACE})
        if self._says_otherwise(typed, found):
            raise forms.ValidationError({"where": OTHER_PLACE})
        typed |= {"latitude": str(found.latitude), "longitude": str(found.longitude)}
        typed["name"] = typed.get("name") or found.name
        return typed

    def _says_otherwise(self, typed: dict, found: coordinates.Found) -> bool:
        try:
            given = [coordinates.tidy(coordinates.degrees(typed[each])) for each in _DEGREES]
        except (KeyError, ValueError):
            return any(typed.get(each) for each in _DEGREES)
        return given != [found.latitude, found.longitude]


class ContactForm(_EnclosedForm):
    """Somebody's name and number."""

    name = forms.CharField(required=False)
    phone = forms.CharField(required=False)


class PollForm(_EnclosedForm):
    """A question, and one answer to choose in each line."""

    question = forms.CharField(required=False)
    options = forms.CharField(required=False, max_length=LONGEST_TEXT)
    several = forms.BooleanField(required=False)

    def clean_options(self) -> list[str]:
        """The answers, without the empty lines between them."""
        return [line for line in self.cleaned_data["options"].splitlines() if line.strip()]


class TemplateForm(_Form):
    """What a template is sent with, beside its own places: the file at its head."""

    header = forms.FileField(required=False)
    reference = forms.UUIDField(
        required=False, error_messages={"invalid": _("Load the page again and retry.")}
    )


class StartForm(ReplyForm):
    """A first message to somebody: a typed recipient, or a lead that is known."""

    to = forms.CharField(label=_("Phone number or e-mail address"), required=False, max_length=254)
    lead = forms.ModelChoiceField(Lead.objects.none(), required=False)
    instance = forms.TypedChoiceField(
        label=_("From number"), required=False, coerce=int, empty_value=None
    )

    def __init__(self, *args, numbers, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["lead"].queryset = Lead.objects.filter(merged_into=None)
        self.fields["instance"].choices = [(each.pk, str(each)) for each in numbers]


class NoteInConversationForm(_Form):
    """A note for the team, and the people it names: only who may see it would be told."""

    text = forms.CharField(
        label=_("Note for the team"),
        max_length=LONGEST_NOTE,
        error_messages={"required": _("Write something first.")},
    )
    named = forms.ModelMultipleChoiceField(User.objects.none(), required=False)
    reference = forms.UUIDField(required=False)

    def __init__(self, *args, told: QuerySet[User], **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["named"].queryset = User.objects.filter(is_active=True)
        self._told = told

    def clean_named(self) -> list[User]:
        """The people named, all of whom may see the note."""
        named = list(self.cleaned_data["named"])
        told = set(self._told.filter(pk__in=[each.pk for each in named])) if named else set()
        if untold := [str(each) for each in named if each not in told]:
            raise forms.ValidationError(
                ngettext_lazy(
                    "%(names)s may not see this conversation and would not be told."
                    " Take the name out of the note.",
                    "%(names)s may not see this conversation and would not be told."
                    " Take their names out of the note.",
                    len(untold),
                ),
                params={"names": ", ".join(untold)},
            )
        return named


class SeveralForm(_Form):
    """What to do with several conversations at once."""

    action = forms.ChoiceField(choices=[(each, each) for each in SEVERAL])
    conversations = forms.CharField(max_length=4000)
    to = forms.ModelChoiceField(User.objects.none(), required=False)

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["to"].queryset = User.objects.filter(is_active=True)

    def clean_conversations(self) -> list[int]:
        """The ids; more than fit on a screen are not taken at once."""
        ids = [each for each in self.cleaned_data["conversations"].split(",") if each]
        if not all(each.isdecimal() and len(each) <= LONGEST_ID for each in ids):
            raise forms.ValidationError(_("Load the page again and retry."))
        if len(ids) > MOST_SELECTED:
            raise forms.ValidationError(
                _("Select %(limit)d conversations at most."), params={"limit": MOST_SELECTED}
            )
        return [int(each) for each in ids]


class PreferencesForm(forms.ModelForm):
    """How a person wants to be told of what comes in."""

    class Meta:
        model = User
        fields = ("told_of", "told_by_sound", "told_on_desktop", "told_in_words")
        widgets = {"told_of": forms.RadioSelect}


class AssignForm(_Form):
    """Who looks after a conversation; empty means nobody."""

    to = forms.ModelChoiceField(
        User.objects.none(),
        required=False,
        error_messages={"invalid_choice": _("This person is no longer in the team.")},
    )

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["to"].queryset = User.objects.filter(is_active=True)


class LeadForm(forms.ModelForm):
    """What the team knows about a lead."""

    note = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=LONGEST_NOTE,
        widget=forms.Textarea(attrs={"rows": 5, "dir": "auto"}),
    )

    class Meta:
        model = Lead
        fields = ("name", "owner", "note")
        labels = {"owner": _("Owner")}

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, label_suffix="", **kwargs)
        self.fields["owner"].queryset = User.objects.filter(is_active=True)
        self.fields["owner"].empty_label = _("nobody")


class NoteForm(forms.ModelForm):
    """The note alone, edited beside a conversation."""

    note = forms.CharField(required=False, max_length=LONGEST_NOTE)

    class Meta:
        model = Lead
        fields = ("note",)


class LinkForm(_Form):
    """The lead that another one is."""

    other = forms.ModelChoiceField(
        Lead.objects.none(),
        error_messages={
            "required": _("Choose the other lead."),
            "invalid_choice": _("This lead is no longer there."),
        },
    )

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["other"].queryset = Lead.objects.filter(merged_into=None)


class MergeForm(LinkForm):
    """The other lead, and which of the two stays: the one known longer, unless it is said."""

    stays = forms.ModelChoiceField(Lead.objects.none(), required=False)

    def __init__(self, *args, lead: Lead, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.lead = lead
        self.fields["stays"].queryset = self.fields["other"].queryset

    def direction(self) -> tuple[Lead, Lead]:
        """The lead that stays, and the one that becomes a part of it."""
        lead, other = self.lead, self.cleaned_data["other"]
        stays = self.cleaned_data["stays"]
        if stays is None:
            is_known = (lead.recognised_at is not None, other.recognised_at is not None)
            stays = other if is_known == (False, True) else lead
        return (other, lead) if stays == other else (lead, other)

    def problem(self) -> str:
        """What is wrong with what was asked for; nothing while nothing was."""
        return self.first_error() if self.data.get("other") and self.errors else ""


class TagsForm(_Form):
    """The tags of a lead."""

    tags = forms.ModelMultipleChoiceField(Tag.objects.none(), required=False)

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tags"].queryset = Tag.objects.all()


class StandInForm(_Form):
    """Which number sends while another one is away; empty for none."""

    stand_in = forms.TypedChoiceField(coerce=int, empty_value=None, required=False)

    def __init__(self, *args, others=(), **kwargs) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", ""), *((each.pk, str(each)) for each in others)]
        self.fields["stand_in"].choices = choices


class RiskForm(_Form):
    """An owner's word that they know what a number risks."""

    risk_accepted = forms.BooleanField(
        error_messages={"required": _("Tick the box first: it says that you know the risk.")}
    )


class PaceForm(_Form):
    """How fast a number may send; empty for what its provider lets through."""

    per_minute = forms.IntegerField(required=False, min_value=1, max_value=10_000)
    per_day = forms.IntegerField(required=False, min_value=1, max_value=1_000_000)
