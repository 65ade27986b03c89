"""What the API shows of leads, conversations and messages, and what it takes."""

from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from messaging import enclosing, links, templates
from messaging.filters import VIEWS
from messaging.models import (
    CannedReply,
    Conversation,
    Lead,
    LeadIdentity,
    Message,
    MessageFile,
    MessageTemplate,
    Stage,
    Tag,
)
from messaging.providers import get as provider_of
from messaging.queries import Cursor
from tenants.accounts.models import User
from tenants.api.paging import PageAsked, PageById
from tenants.api.parsing import LARGEST_ID, Id, Text
from tenants.models import ProviderInstance


@extend_schema_field(OpenApiTypes.STR)
class CursorField(serializers.Field):
    """A place in a list, as a `next` address gives it."""

    default_error_messages = {"invalid": _("This is no place in this list.")}

    def to_internal_value(self, data: str) -> Cursor:
        try:
            cursor = Cursor.read(data)
        except ValueError:
            self.fail("invalid")
        if cursor.id > LARGEST_ID:
            self.fail("invalid")
        return cursor


class Degrees(serializers.FloatField):
    """A JSON number of degrees on either side of zero."""

    def __init__(self, limit: int, **facts) -> None:
        super().__init__(min_value=-limit, max_value=limit, **facts)

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        try:
            return super().to_internal_value(data)
        except OverflowError:
            self.fail("invalid")


class ConversationsAsked(PageAsked):
    """Which conversations, and from where on."""

    view = serializers.ChoiceField(VIEWS, default="all")
    after = CursorField(required=False)


class MessagesAsked(PageAsked):
    """How far back in a conversation."""

    before = CursorField(required=False)


class LeadsAsked(PageAsked):
    """Which leads: those whose name or address has `text`, of one `stage`, with one `tag`, older
    than the lead `after`; with `vip`, only VIPs; with `unknown`, only senders nobody has
    recognised yet."""

    stage = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)
    tag = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)

    text = serializers.CharField(required=False, max_length=200)
    unknown = serializers.BooleanField(default=False)
    vip = serializers.BooleanField(default=False)
    after = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)


class Colleague(serializers.ModelSerializer):
    """Somebody of the team, by name."""

    name = serializers.CharField(source="__str__")

    class Meta:
        model = User
        fields = ("id", "name")
        read_only_fields = fields


class IdentityOut(serializers.ModelSerializer):
    """One way to reach a lead. Nothing is sent where its owner `opted_out`."""

    kind = serializers.CharField()

    class Meta:
        model = LeadIdentity
        fields = ("kind", "value", "opted_out", "consent_changed_at")
        read_only_fields = fields


class StageOut(serializers.ModelSerializer):
    """A step of the pipeline, called in the caller's language."""

    name = serializers.CharField(source="__str__")
    kind = serializers.CharField()

    class Meta:
        model = Stage
        fields = ("id", "name", "kind", "position", "stale_after_days")
        read_only_fields = fields


class TagOut(serializers.ModelSerializer):
    """A word that leads can carry."""

    colour = serializers.CharField()

    class Meta:
        model = Tag
        fields = ("id", "name", "colour")
        read_only_fields = fields


class CannedReplyOut(serializers.ModelSerializer):
    """An answer given often; what stands in braces is filled in where a person uses it."""

    class Meta:
        model = CannedReply
        fields = ("id", "shortcut", "text")
        read_only_fields = fields


class LeadOut(serializers.ModelSerializer):
    """A lead. `merged_into` is the lead that took its place, if one did; `recognised_at` is null
    for a sender of whom nobody of the team has said yet who it is."""

    owner = Colleague(allow_null=True)
    stage = StageOut(allow_null=True)
    tags = TagOut(many=True)
    identities = IdentityOut(many=True)
    merged_into = serializers.IntegerField(source="merged_into_id", allow_null=True)

    class Meta:
        model = Lead
        fields = (
            "id", "name", "note", "is_vip", "owner", "stage", "tags", "identities", "merged_into",
            "recognised_at", "created_at", "updated_at",
        )  # fmt: skip
        read_only_fields = fields


class LeadName(serializers.ModelSerializer):
    """A lead, by name."""

    name = serializers.CharField(source="__str__")

    class Meta:
        model = Lead
        fields = ("id", "name", "is_vip")
        read_only_fields = fields


class LastMessage(serializers.Serializer):
    """The newest message of a conversation, as lists show it."""

    id = serializers.IntegerField(source="last_message_id")
    text = serializers.CharField(source="last_message_snippet")
    direction = serializers.CharField(source="last_message_direction")
    status = serializers.CharField(source="last_message_status")
    sent_at = serializers.DateTimeField(source="last_message_at")


class ConversationOut(serializers.ModelSerializer):
    """A conversation; `last_message` is null while nothing was said."""

    lead = LeadName()
    instance = serializers.IntegerField(source="instance_id")
    assignee = Colleague(allow_null=True)
    state = serializers.CharField()
    last_message = serializers.SerializerMethodField()

    class Meta:
        model = Conversation
        fields = (
            "id", "lead", "instance", "provider", "medium", "peer", "is_group", "state", "assignee",
            "unread_count", "last_message", "last_received_at", "window_ends_at", "closed_at",
            "created_at",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(LastMessage(allow_null=True))
    def get_last_message(self, conversation: Conversation):
        if conversation.last_message_id is None:
            return None
        return LastMessage(conversation).data


class AttachmentOut(serializers.ModelSerializer):
    """A file a message brings.

    `url` is for the caller alone and ends after ten minutes; null until `state` is `stored`.
    """

    kind = serializers.CharField()
    state = serializers.CharField()
    url = serializers.SerializerMethodField()

    class Meta:
        model = MessageFile
        fields = (
            "id", "kind", "mime_type", "file_name", "size", "width", "height", "state", "error",
            "url",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(OpenApiTypes.URI)
    def get_url(self, file: MessageFile) -> str | None:
        if file.state != MessageFile.State.STORED:
            return None
        request = self.context["request"]
        return request.build_absolute_uri(links.on_cdn(links.signed(file, request.user)))


class SendFailure(serializers.Serializer):
    """Why a message did not leave, and whose fault it is."""

    code = serializers.CharField(source="error_code")
    detail = serializers.CharField(source="error_detail")
    blame = serializers.CharField(source="error_blame")


class ReactionOut(serializers.Serializer):
    """An emoji on a message: `by` is "us", "contact", or an address in a group."""

    emoji = serializers.CharField()
    by = serializers.CharField()
    name = serializers.CharField()
    at = serializers.DateTimeField()


class AuthorOut(serializers.Serializer):
    """Who wrote a group's message: the name they go by there, "" where none was told, and their
    phone number, else WhatsApp's identifier of them."""

    name = serializers.CharField(source="author_name")
    address = serializers.CharField(source="author")


class MessageOut(serializers.ModelSerializer):
    """One thing said. `sent_at` is when it was said, `received_at` when we heard it.

    `author` is who of a group wrote it, null for what we wrote and between two.

    `reply_to` is the `external_id` of the message it answers, "" where it answers none; `template`
    the name of the one it was made of; `taps` are answers to tap below it.
    """

    direction = serializers.CharField()
    origin = serializers.CharField()
    status = serializers.CharField()
    lead = serializers.IntegerField(source="lead_id")
    conversation = serializers.IntegerField(source="conversation_id")
    instance = serializers.IntegerField(source="instance_id")
    author = serializers.SerializerMethodField()
    by = Colleague(allow_null=True)
    attachments = AttachmentOut(source="files", many=True)
    template = serializers.SerializerMethodField()
    taps = serializers.SerializerMethodField()
    reactions = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()

    class Meta:
        model = Message
        fields = (
            "id", "direction", "medium", "provider", "origin", "kind", "text", "subject", "status",
            "external_id", "reply_to", "sent_at", "received_at", "edited_at", "deleted_at", "lead",
            "conversation", "instance", "author", "by", "attachments", "template", "taps",
            "reactions", "error",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(AuthorOut(allow_null=True))
    def get_author(self, message: Message):
        return AuthorOut(message).data if message.author else None

    def get_template(self, message: Message) -> str | None:
        return message.parts["template"]["name"] if "template" in message.parts else None

    def get_taps(self, message: Message) -> list[str]:
        return message.parts.get("taps", [])

    @extend_schema_field(ReactionOut(many=True))
    def get_reactions(self, message: Message):
        told = [
            {**each, "by": who, "at": datetime.fromtimestamp(each["at"], UTC)}
            for who, each in message.reactions.items()
            if each["emoji"]
        ]
        return ReactionOut(sorted(told, key=itemgetter("at")), many=True).data

    @extend_schema_field(SendFailure(allow_null=True))
    def get_error(self, message: Message):
        return SendFailure(message).data if message.error_code else None


class TemplatePlace(serializers.Serializer):
    """Something to fill in: its `key` in `variables`."""

    key = serializers.CharField()
    example = serializers.CharField()


class TemplateButtonOut(serializers.Serializer):
    """A button of a template."""

    kind = serializers.CharField()
    text = serializers.CharField()
    value = serializers.CharField()


class TemplateOut(serializers.ModelSerializer):
    """A template. `may_be_sent` says whether it can be sent now, from here; `header_kind` other
    than `text` needs a file, which only the composer can send."""

    may_be_sent = serializers.BooleanField()
    buttons = TemplateButtonOut(many=True)
    places = serializers.SerializerMethodField()

    class Meta:
        model = MessageTemplate
        fields = (
            "id", "name", "language", "category", "status", "quality", "reason", "may_be_sent",
            "header_kind", "header", "body", "footer", "buttons", "places",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(TemplatePlace(many=True))
    def get_places(self, template: MessageTemplate):
        return TemplatePlace(templates.places(template), many=True).data


class TemplatesAsked(PageById):
    """Whose templates: of one number; whoever has only one need not name it."""

    instance = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)


class InstanceOut(serializers.ModelSerializer):
    """A connection at a provider; never its secrets or settings."""

    state = serializers.CharField()
    medium = serializers.SerializerMethodField()

    class Meta:
        model = ProviderInstance
        fields = ("id", "provider", "medium", "label", "address", "state")
        read_only_fields = fields

    def get_medium(self, instance: ProviderInstance) -> str:
        return provider_of(instance.provider).medium


class ConversationChange(serializers.Serializer):
    """What to change of a conversation; what is not named stays."""

    assignee = Id(required=False, allow_null=True)
    state = serializers.ChoiceField(Conversation.State.choices, required=False)


class TemplateWanted(serializers.Serializer):
    """An approved template and what stands in its places, by their keys."""

    name = Text(max_length=512)
    language = Text(max_length=20)
    variables = serializers.DictField(child=Text(allow_blank=True), required=False)


class ChoiceWanted(serializers.Serializer):
    """One answer to tap; `id` comes back with it, its position where there is none."""

    id = Text(required=False, max_length=200)
    title = Text(max_length=100)
    description = Text(required=False, allow_blank=True, max_length=100)


class ChoicesWanted(serializers.Serializer):
    """Up to three buttons; with a `label`, a list of up to ten answers that it opens."""

    label = Text(required=False, allow_blank=True, max_length=100)
    options = ChoiceWanted(many=True)


class PlaceWanted(serializers.Serializer):
    """A point on the map, in degrees."""

    latitude = Degrees(90)
    longitude = Degrees(180)
    name = Text(required=False, allow_blank=True)
    address = Text(required=False, allow_blank=True)


class ContactWanted(serializers.Serializer):
    """Somebody's name, and their number as people write it."""

    name = Text(allow_blank=True)
    phone = Text(allow_blank=True)


class PollWanted(serializers.Serializer):
    """A question with answers to choose, one of them or `several`."""

    question = Text(allow_blank=True)
    options = serializers.ListField(child=Text(allow_blank=True), max_length=100)
    several = serializers.BooleanField(default=False)


class _TextOrTemplate(serializers.Serializer):
    """A message is a text, unless it is made of something else, which stands alone."""

    instead: tuple[str, ...] = ("template",)

    def validate(self, attrs):
        given = [name for name in self.instead if name in attrs]
        beside = [name for name in ("text", "choices", *given[1:]) if attrs.get(name)]
        if given and given != ["template"] and beside:
            said = _("Send this as a message of its own.")
            raise serializers.ValidationError({beside[-1]: ErrorDetail(said, "not_alone")})
        if given:
            attrs["text"] = ""
        elif "text" not in attrs:
            required = self.fields["text"].error_messages["required"]
            raise serializers.ValidationError({"text": ErrorDetail(required, "required")})
        return attrs


class Reply(_TextOrTemplate):
    """A text for a conversation, or a template, a place, a contact card or a poll instead;
    `reply_to` is the `external_id` of a message in it."""

    instead = ("template", *enclosing.FEATURES)

    text = Text(allow_blank=True, required=False)
    reply_to = Text(required=False, max_length=200)
    template = TemplateWanted(required=False)
    choices = ChoicesWanted(required=False)
    place = PlaceWanted(required=False)
    contact = ContactWanted(required=False)
    poll = PollWanted(required=False)


class ReactionWanted(serializers.Serializer):
    """One emoji to put on a message; an empty one takes ours back."""

    emoji = Text(allow_blank=True)


class NewText(serializers.Serializer):
    """Other words for a message that was sent."""

    text = Text(allow_blank=True)


class NewMessage(_TextOrTemplate):
    """A text or a template for a lead, or for a phone number or e-mail address.

    `instance` may be left out by whoever has only one.
    """

    lead = Id(required=False)
    to = Text(required=False, max_length=254)
    instance = Id(required=False)
    text = Text(allow_blank=True, required=False)
    template = TemplateWanted(required=False)
    subject = Text(required=False, allow_blank=True, max_length=250)


class NewLead(serializers.Serializer):
    """A lead to make, with the ways to reach it."""

    name = Text(max_length=200)
    phone = Text(required=False, max_length=40)
    email = Text(required=False, max_length=254)


class LeadChange(serializers.Serializer):
    """What to change of a lead; what is not named stays."""

    name = Text(required=False, max_length=200)
    note = Text(required=False, allow_blank=True, max_length=20_000)
    owner = Id(required=False, allow_null=True)
    recognised = serializers.BooleanField(required=False)
    stage = Id(required=False)
    tags = serializers.ListField(child=Id(), required=False, max_length=200)
    is_vip = serializers.BooleanField(required=False)


def page_of(serializer: type[serializers.Serializer]):
    """How a page of these is described."""
    return inline_serializer(
        f"{serializer.__name__.removesuffix('Out')}Page",
        {
            "results": serializer(many=True),
            "next": serializers.URLField(allow_null=True),
        },
    )
