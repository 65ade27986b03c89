"""What the API shows of activities, follow-ups and alerts, and what it takes."""

import json
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from alerts import wording
from alerts.models import Alert, Severity
from alerts.queries import Place
from messaging.api.serializers import Colleague, LeadName
from messaging.models import Activity, FollowUp
from tenants.api.paging import PageAsked
from tenants.api.parsing import LARGEST_ID, Id, Text

LARGEST_META = 10_000
LONGEST_SNIPPET = 10_000


@extend_schema_field(OpenApiTypes.STR)
class LeadRef(serializers.Field):
    """A lead: our id as a number or in digits, or the CRM's id as `external:…`."""

    default_error_messages = {"invalid": _("Give a lead's id, or external:… with the CRM's id.")}

    def to_internal_value(self, data: Any) -> str:
        if isinstance(data, bool) or not isinstance(data, int | str):
            self.fail("invalid")
        written = str(data).strip()
        if not written or len(written) > 110 or "\x00" in written:
            self.fail("invalid")
        return written


@extend_schema_field(OpenApiTypes.OBJECT)
class JsonObject(serializers.Field):
    """An object of JSON, of a size one would write into a log."""

    default_error_messages = {
        "invalid": _("This must be an object."),
        "too_large": _("This object is too large."),
    }

    def to_internal_value(self, data: Any) -> dict:
        if not isinstance(data, dict):
            self.fail("invalid")
        written = json.dumps(data)
        if len(written) > LARGEST_META:
            self.fail("too_large")
        if "\\u0000" in written or "\\ud8" in written.lower():
            self.fail("invalid")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class NewActivity(serializers.Serializer):
    """A contact that happened elsewhere.

    The lead by `leadId` (ours, or `external:` and the CRM's) or `externalId`; with `createLead`
    an unknown one is made from `phone` or `email`.
    """

    leadId = LeadRef(required=False)
    externalId = Text(required=False, max_length=100)
    channel = serializers.ChoiceField(Activity.Channel.choices)
    direction = serializers.ChoiceField(Activity.Direction.choices)
    status = serializers.ChoiceField(
        [
            Activity.Status.SENT,
            Activity.Status.DELIVERED,
            Activity.Status.FAILED,
            Activity.Status.REPLIED,
            Activity.Status.NO_ANSWER,
        ]
    )
    messageSnippet = Text(
        required=False, allow_blank=True, allow_null=True, max_length=LONGEST_SNIPPET
    )
    meta = JsonObject(required=False, allow_null=True)
    createLead = serializers.BooleanField(required=False, default=False)
    name = Text(required=False, allow_blank=True, max_length=200)
    phone = Text(required=False, max_length=40)
    email = Text(required=False, max_length=254)


class ActivityOut(serializers.ModelSerializer):
    """One line of a lead's history."""

    leadId = serializers.IntegerField(source="lead_id")
    kind = serializers.CharField()
    channel = serializers.CharField()
    direction = serializers.CharField()
    status = serializers.CharField()
    messageSnippet = serializers.CharField(source="snippet")
    meta = JsonObject()
    message = serializers.IntegerField(source="message_id", allow_null=True)
    by = Colleague(allow_null=True)

    class Meta:
        model = Activity
        fields = (
            "id", "leadId", "kind", "channel", "direction", "status", "messageSnippet", "meta",
            "message", "by", "at", "created_at",
        )  # fmt: skip
        read_only_fields = fields


class Effect(serializers.Serializer):
    """What became of the lead's alerts: how many opened, closed, stayed, and are open now."""

    created = serializers.IntegerField()
    resolved = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    active = serializers.IntegerField()


class Logged(serializers.Serializer):
    """The answer to a logged activity."""

    success = serializers.BooleanField()
    activity = ActivityOut()
    alerts = Effect()


class FollowUpOut(serializers.ModelSerializer):
    """Something promised to a lead; `outcome` is "" while it is to be done."""

    lead = LeadName()
    who = Colleague(allow_null=True)
    outcome = serializers.CharField()

    class Meta:
        model = FollowUp
        fields = ("id", "lead", "what", "due_at", "who", "outcome", "closed_at", "created_at")
        read_only_fields = fields


class NewFollowUp(serializers.Serializer):
    """Something to do for a lead: what, when, and who where it is not the caller."""

    what = Text(max_length=300)
    due_at = serializers.DateTimeField()
    who = Id(required=False, allow_null=True)


class FollowUpChange(serializers.Serializer):
    """Put it off, or be done with it."""

    due_at = serializers.DateTimeField(required=False)
    outcome = serializers.ChoiceField(FollowUp.Outcome.choices, required=False)


class SuggestedAction(serializers.Serializer):
    """The next step: its words, what it does, and the values it is done with."""

    label = serializers.CharField()
    action = serializers.CharField()
    channel = serializers.CharField()
    template = serializers.CharField()
    params = JsonObject()


class AlertOut(serializers.ModelSerializer):
    """An alert; `facts` say why it is open, `since` when its clock began."""

    label = serializers.SerializerMethodField()
    severity = serializers.CharField()
    message = serializers.SerializerMethodField()
    lead = LeadName(allow_null=True)
    owner = Colleague(source="lead.owner", allow_null=True)
    instance = serializers.SerializerMethodField()
    suggested_action = serializers.SerializerMethodField()
    manual = serializers.BooleanField(source="is_manual")
    created_at = serializers.DateTimeField(source="opened_at")
    resolved_by = serializers.CharField(source="resolved_by_name")
    facts = JsonObject()

    class Meta:
        model = Alert
        fields = (
            "id", "type", "label", "severity", "message", "lead", "owner", "instance",
            "suggested_action", "manual", "since", "facts", "created_at", "raised_at",
            "escalated_at", "snoozed_until", "snoozed_until_reply", "resolved_at", "resolved_by",
        )  # fmt: skip
        read_only_fields = fields

    def get_label(self, alert: Alert) -> str:
        return wording.label(alert.type)

    def get_message(self, alert: Alert) -> str:
        return wording.message(alert, self.context.get("numbers"))

    @extend_schema_field(OpenApiTypes.INT)
    def get_instance(self, alert: Alert) -> int | None:
        return alert.subject_id if alert.subject_kind == "instance" else None

    @extend_schema_field(SuggestedAction)
    def get_suggested_action(self, alert: Alert) -> dict[str, Any]:
        return wording.suggested_action(alert)


class Stats(serializers.Serializer):
    """How many alerts there are, by severity and by kind."""

    total = serializers.IntegerField()
    by_severity = serializers.DictField(child=serializers.IntegerField())
    by_type = serializers.DictField(child=serializers.IntegerField())


class ActiveOut(serializers.Serializer):
    """The open alerts, the worst first, then the oldest; `stats` counts all of them."""

    success = serializers.BooleanField()
    stats = Stats()
    alerts = AlertOut(many=True)
    next = serializers.URLField(allow_null=True)


class OneAlert(serializers.Serializer):
    """One alert after what was done with it."""

    success = serializers.BooleanField()
    alert = AlertOut()


@extend_schema_field(OpenApiTypes.STR)
class PlaceField(serializers.Field):
    """A place in the list, as a `next` address gives it."""

    default_error_messages = {"invalid": _("This is no place in this list.")}

    def to_internal_value(self, data: str) -> Place:
        try:
            place = Place.read(data)
        except (ValueError, OverflowError):
            self.fail("invalid")
        if place.id > LARGEST_ID or place.level > len(Severity.values):
            self.fail("invalid")
        return place


@extend_schema_field(OpenApiTypes.STR)
class OwnerField(serializers.Field):
    """A colleague's id, `me`, or `none` for leads without an owner."""

    default_error_messages = {"invalid": _("Give a colleague's id, me or none.")}

    def to_internal_value(self, data: str) -> str:
        if data in ("me", "none") or (data.isdecimal() and int(data) <= LARGEST_ID):
            return data
        self.fail("invalid")


class ActiveAsked(PageAsked):
    """Which of the open alerts."""

    limit = serializers.IntegerField(default=100, min_value=1, max_value=500)
    severity = serializers.ChoiceField(Severity.choices, required=False)
    type = serializers.CharField(required=False, max_length=40)
    owner = OwnerField(required=False)
    after = PlaceField(required=False)


class ActionIn(serializers.Serializer):
    """The next step that an alert made by hand proposes."""

    label = Text(max_length=60)
    action = Text(required=False, allow_blank=True, max_length=40)
    channel = Text(required=False, allow_blank=True, max_length=20)
    template = Text(required=False, allow_blank=True, max_length=1_000)
    params = JsonObject(required=False)


class NewAlert(serializers.Serializer):
    """An alert made by hand."""

    type = Text(max_length=40)
    severity = serializers.ChoiceField(Severity.choices, default=Severity.MEDIUM)
    message = Text(max_length=1_000)
    lead = Id(required=False, allow_null=True)
    suggested_action = ActionIn(required=False)


class Sleep(serializers.Serializer):
    """Until when an alert sleeps: a time, the lead's next message, or whichever is first."""

    until = serializers.DateTimeField(required=False)
    until_reply = serializers.BooleanField(required=False, default=False)
