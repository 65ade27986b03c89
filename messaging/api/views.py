"""Leads, conversations and messages for programs; each view calls the verb its page calls."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.response import Response

from messaging import (
    addressing,
    conversing,
    enclosing,
    handling,
    outbox,
    queries,
    reaching,
    reacting,
    revising,
    searching,
    tagging,
    templates,
)
from messaging.api import serializers as shapes
from messaging.filters import Filters
from messaging.models import Conversation, Lead, Message, MessageTemplate, Stage, Tag
from tenants import directory
from tenants.accounts.models import User
from tenants.api.errors import NotHere, Refusal
from tenants.api.idempotency import once, reference_of
from tenants.api.paging import PageById, page, rows_by_id
from tenants.api.parsing import asked
from tenants.api.schema import refusals
from tenants.api.views import ApiView
from tenants.context import current_number
from tenants.models import ProviderInstance
from tenants.permissions import Action, may

# What the caller's request cannot be blamed for alone, or what is not there; the rest is a 400.
STATUS_OF = {
    "instance_ambiguous": status.HTTP_409_CONFLICT,
    "instance_missing": status.HTTP_409_CONFLICT,
    "instance_gone": status.HTTP_409_CONFLICT,
    "instance_unknown": status.HTTP_404_NOT_FOUND,
    "daily_limit": status.HTTP_429_TOO_MANY_REQUESTS,
    "opted_out": status.HTTP_409_CONFLICT,
    "not_reactable": status.HTTP_409_CONFLICT,
    "too_late": status.HTTP_409_CONFLICT,
    "conversation_of_a_colleague": status.HTTP_403_FORBIDDEN,
}


class ConversationsView(ApiView):
    """The inbox."""

    actions = {"GET": Action.READ}

    @extend_schema(
        operation_id="conversations_list",
        parameters=[shapes.ConversationsAsked],
        responses={200: shapes.page_of(shapes.ConversationOut), **refusals(400)},
    )
    def get(self, request):
        wanted = asked(shapes.ConversationsAsked, request.query_params)
        filters = Filters(view=wanted["view"])
        found = queries.conversations(request.user, filters, wanted.get("after"), wanted["limit"])
        results = shapes.ConversationOut(found.rows, many=True).data
        return page(request, results, "after", found.next)


class ConversationView(ApiView):
    """One conversation: look at it, hand it on, close it, bring it back."""

    actions = {"GET": Action.READ, "PATCH": Action.READ}

    @extend_schema(responses={200: shapes.ConversationOut, **refusals(404)})
    def get(self, request, pk):
        return Response(shapes.ConversationOut(_conversation(request, pk)).data)

    @extend_schema(
        request=shapes.ConversationChange,
        responses={200: shapes.ConversationOut, **refusals(400, 404, 409, 422)},
    )
    @once
    def patch(self, request, pk):
        conversation = _conversation(request, pk)
        wanted = asked(shapes.ConversationChange, request.data)
        if "assignee" in wanted:
            _require(request.user, Action.ASSIGN)
            colleague = _colleague(wanted["assignee"], "assignee")
            conversing.assign(conversation, to=colleague, by=request.user)
        if "state" in wanted:
            _require(request.user, Action.CLOSE)
            _set_state(conversation, wanted["state"], by=request.user)
        return Response(shapes.ConversationOut(conversation).data)


class ConversationReadView(ApiView):
    """Say that a conversation was read: only who may answer, as on the page; the contact may
    see it."""

    actions = {"POST": Action.REPLY}

    @extend_schema(request=None, responses={200: shapes.ConversationOut, **refusals(404, 409, 422)})
    @once
    def post(self, request, pk):
        conversation = _conversation(request, pk)
        conversing.mark_read(conversation)
        return Response(shapes.ConversationOut(conversation).data)


class ConversationMessagesView(ApiView):
    """What was said in a conversation, newest first; and saying more."""

    actions = {"GET": Action.READ, "POST": Action.REPLY}

    @extend_schema(
        operation_id="conversations_messages_list",
        parameters=[shapes.MessagesAsked],
        responses={200: shapes.page_of(shapes.MessageOut), **refusals(400, 404)},
    )
    def get(self, request, pk):
        conversation = _conversation(request, pk)
        wanted = asked(shapes.MessagesAsked, request.query_params)
        found = queries.messages(conversation, wanted.get("before"), wanted["limit"])
        return page(request, _messages_out(request, found.rows), "before", found.next)

    @extend_schema(
        request=shapes.Reply, responses={201: shapes.MessageOut, **refusals(400, 404, 409, 422)}
    )
    @once
    def post(self, request, pk):
        conversation = _conversation(request, pk)
        wanted = asked(shapes.Reply, request.data)
        quoted = wanted.get("reply_to", "")
        if quoted and not conversation.messages.filter(external_id=quoted).exists():
            raise NotHere("reply_to_unknown", "reply_to")
        with _refusals_answered():
            message = _say(request, conversation, wanted, quoted)
        return Response(_message_out(request, message), status=status.HTTP_201_CREATED)


class MessagesView(ApiView):
    """Write to anybody."""

    actions = {"POST": Action.START}

    @extend_schema(
        request=shapes.NewMessage,
        responses={201: shapes.MessageOut, **refusals(400, 404, 409, 422)},
    )
    @once
    def post(self, request):
        wanted = asked(shapes.NewMessage, request.data)
        lead = _recipient(wanted)
        with _refusals_answered():
            number = reaching.instance_for(wanted.get("to", ""), lead, wanted.get("instance"))
            message = outbox.start(
                wanted.get("to", ""),
                wanted["text"],
                origin=Message.Origin.API,
                instance_id=number.pk,
                lead=lead,
                by=request.user,
                subject=wanted.get("subject", ""),
                template=_template(number, wanted),
                values=_values(wanted),
                reference=reference_of(request),
            )
        return Response(_message_out(request, message), status=status.HTTP_201_CREATED)


class MessageView(ApiView):
    """One message: look at it; have one of ours changed or withdrawn."""

    actions = {"GET": Action.READ, "PATCH": Action.REPLY, "DELETE": Action.REPLY}

    @extend_schema(responses={200: shapes.MessageOut, **refusals(404)})
    def get(self, request, pk):
        return Response(_message_out(request, _message(request, pk)))

    @extend_schema(
        request=shapes.NewText,
        description="Have a text of ours given other words. The provider is asked afterwards: "
        "`edited_at` says when it agreed.",
        responses={202: shapes.MessageOut, **refusals(400, 404, 409, 422)},
    )
    @once
    def patch(self, request, pk):
        message = _message(request, pk)
        text = asked(shapes.NewText, request.data)["text"]
        with _refusals_answered():
            message = revising.edit(message, text, by=request.user, now=timezone.now())
        return Response(_message_out(request, message), status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        request=None,
        description="Have a message of ours withdrawn for everyone. The provider is asked "
        "afterwards: `deleted_at` says when it agreed.",
        responses={202: shapes.MessageOut, **refusals(404, 409, 422)},
    )
    @once
    def delete(self, request, pk):
        message = _message(request, pk)
        with _refusals_answered():
            message = revising.withdraw(message, by=request.user, now=timezone.now())
        return Response(_message_out(request, message), status=status.HTTP_202_ACCEPTED)


class MessageReactionView(ApiView):
    """Put an emoji on a message, in the place of our former one; or take ours back."""

    actions = {"POST": Action.REPLY}

    @extend_schema(
        request=shapes.ReactionWanted,
        description="The provider is asked afterwards. Until it refuses, `reactions` has the emoji "
        "as `us`; an empty `emoji` takes it back.",
        responses={202: shapes.MessageOut, **refusals(400, 404, 409, 422)},
    )
    @once
    def post(self, request, pk):
        message = _message(request, pk)
        emoji = asked(shapes.ReactionWanted, request.data)["emoji"]
        with _refusals_answered():
            message = reacting.react(message, emoji, by=request.user, now=timezone.now())
        return Response(_message_out(request, message), status=status.HTTP_202_ACCEPTED)


class MessageRetryView(ApiView):
    """Send a failed message once more; any other message is left as it is."""

    actions = {"POST": Action.REPLY}

    @extend_schema(request=None, responses={200: shapes.MessageOut, **refusals(404, 409, 422)})
    @once
    def post(self, request, pk):
        with _refusals_answered():
            message = outbox.retry(_message(request, pk))
        return Response(_message_out(request, message))


class LeadsView(ApiView):
    """Leads, newest first; and making one."""

    actions = {"GET": Action.READ, "POST": Action.EDIT_LEADS}

    @extend_schema(
        operation_id="leads_list",
        parameters=[shapes.LeadsAsked],
        responses={200: shapes.page_of(shapes.LeadOut), **refusals(400)},
    )
    def get(self, request):
        wanted = asked(shapes.LeadsAsked, request.query_params)
        found = searching.leads(
            wanted.get("text", ""),
            wanted.get("after"),
            wanted["limit"],
            only_unknown=wanted["unknown"],
            stage=wanted.get("stage"),
            tag=wanted.get("tag"),
            only_vip=wanted["vip"],
        )
        return page(request, shapes.LeadOut(found.rows, many=True).data, "after", found.next)

    @extend_schema(
        request=shapes.NewLead,
        description="Make a lead. Where one has the phone number or e-mail address already, that "
        "one is the answer (200) and keeps its name; where two have, the answer is 409.",
        responses={
            201: shapes.LeadOut,
            200: shapes.LeadOut,
            **refusals(400, 409, 422),
        },
    )
    @once
    def post(self, request):
        wanted = asked(shapes.NewLead, request.data)
        addresses = addresses_of(wanted)
        if len(addressing.leads_with(addresses)) > 1:
            raise Refusal(
                status.HTTP_409_CONFLICT,
                "lead_ambiguous",
                _("The phone number and the e-mail address belong to two different leads."),
                "email",
            )
        lead, is_new = addressing.lead_for(addresses, name=wanted["name"], by=request.user)
        code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
        return Response(shapes.LeadOut(lead).data, status=code)


class LeadView(ApiView):
    """One lead."""

    actions = {"GET": Action.READ, "PATCH": Action.EDIT_LEADS}

    @extend_schema(responses={200: shapes.LeadOut, **refusals(404)})
    def get(self, request, pk):
        return Response(shapes.LeadOut(_lead(pk)).data)

    @extend_schema(
        request=shapes.LeadChange,
        responses={200: shapes.LeadOut, **refusals(400, 404, 409, 422)},
    )
    @once
    def patch(self, request, pk):
        lead = _lead(pk)
        wanted = asked(shapes.LeadChange, request.data)
        if "owner" in wanted:
            owner = _colleague(wanted.pop("owner"), "owner")
            handling.give(lead, to=owner, by=request.user, now=timezone.now())
        if "stage" in wanted:
            stage = _one_of(Stage, [wanted.pop("stage")], "stage")[0]
            handling.move(lead, to=stage, by=request.user, now=timezone.now())
        if "is_vip" in wanted:
            is_vip = wanted.pop("is_vip")
            handling.prefer(lead, is_vip=is_vip, by=request.user, now=timezone.now())
        if "tags" in wanted:
            tagging.put_on(lead, _one_of(Tag, wanted.pop("tags"), "tags"))
        if "recognised" in wanted:
            known_since = lead.recognised_at or timezone.now()
            wanted["recognised_at"] = known_since if wanted.pop("recognised") else None
        for name, value in wanted.items():
            setattr(lead, name, value)
        lead.save(update_fields=[*wanted, "updated_at"])
        return Response(shapes.LeadOut(lead).data)


class InstancesView(ApiView):
    """The tenant's numbers and addresses."""

    actions = {"GET": Action.READ}

    @extend_schema(
        operation_id="instances_list",
        parameters=[PageById],
        responses={200: shapes.page_of(shapes.InstanceOut), **refusals(400)},
    )
    def get(self, request):
        wanted = asked(PageById, request.query_params)
        mine = ProviderInstance.objects.of(current_number())
        rows, following = rows_by_id(mine, wanted.get("after"), wanted["limit"])
        return page(request, shapes.InstanceOut(rows, many=True).data, "after", following)


class TemplatesView(ApiView):
    """The templates of a number, which may be sent at any time once they are approved."""

    actions = {"GET": Action.READ}

    @extend_schema(
        operation_id="templates_list",
        parameters=[shapes.TemplatesAsked],
        responses={200: shapes.page_of(shapes.TemplateOut), **refusals(400, 404, 409)},
    )
    def get(self, request):
        wanted = asked(shapes.TemplatesAsked, request.query_params)
        with _refusals_answered():
            number = reaching.choose_instance(wanted.get("instance"))
        rows, following = rows_by_id(templates.of(number), wanted.get("after"), wanted["limit"])
        return page(request, shapes.TemplateOut(rows, many=True).data, "after", following)


@contextmanager
def _refusals_answered() -> Iterator[None]:
    """What the outbox refuses becomes an answer that names the field."""
    try:
        yield
    except outbox.Refused as refused:
        code = STATUS_OF.get(refused.code, status.HTTP_400_BAD_REQUEST)
        facts = refused.facts
        raise Refusal(code, refused.code, refused.message, refused.field, facts) from refused


def _say(request, conversation: Conversation, wanted: dict[str, Any], quoted: str) -> Message:
    """A text in a conversation, or what may stand in its place."""
    said: dict[str, Any] = {
        "origin": Message.Origin.API,
        "by": request.user,
        "reference": reference_of(request),
    }
    for what in enclosing.FEATURES:
        if what in wanted:
            enclosed = wanted[what]
            return outbox.queue_enclosed(conversation, what, enclosed, reply_to=quoted, **said)
    if "template" not in wanted:
        choices = wanted.get("choices")
        return outbox.queue(conversation, wanted["text"], reply_to=quoted, choices=choices, **said)
    number = reaching.choose_instance(conversation.instance_id)
    template = _template(number, wanted)
    return outbox.queue_template(conversation, template, _values(wanted), **said)


def _template(number: ProviderInstance, wanted: dict[str, Any]) -> MessageTemplate | None:
    """The template that is asked for, of this number's account."""
    if "template" not in wanted:
        return None
    named = wanted["template"]
    found = templates.of(number).filter(name=named["name"], language=named["language"]).first()
    if found is None:
        raise NotHere("template_unknown", "template")
    return found


def _values(wanted: dict[str, Any]) -> dict[str, str]:
    return wanted.get("template", {}).get("variables", {})


def _message_out(request, message: Message) -> dict[str, Any]:
    return shapes.MessageOut(message, context={"request": request}).data


def _messages_out(request, messages) -> list[dict[str, Any]]:
    return shapes.MessageOut(messages, many=True, context={"request": request}).data


def _require(user: User, action: Action) -> None:
    if not may(user, action):
        raise PermissionDenied()


def _conversation(request, pk: int) -> Conversation:
    found = queries.conversation_of(request.user, pk)
    if found is None:
        raise NotHere("conversation_unknown")
    return found


def _message(request, pk: int) -> Message:
    found = queries.message_of(request.user, pk)
    if found is None:
        raise NotHere("message_unknown")
    return found


def _lead(pk: int, field: str | None = None) -> Lead:
    found = Lead.objects.select_related("owner").filter(pk=pk).first()
    if found is None:
        raise NotHere("lead_unknown", field)
    return found


def _recipient(wanted: dict[str, Any]) -> Lead | None:
    """The lead a new message names; None where it names an address instead."""
    if "lead" not in wanted:
        return None
    if "to" in wanted:
        raise Refusal(
            status.HTTP_400_BAD_REQUEST,
            "recipient_ambiguous",
            _("Name a lead or an address, not both."),
            "to",
        )
    lead = _lead(wanted["lead"], "lead")
    while lead.merged_into is not None:
        lead = lead.merged_into
    return lead


def _colleague(pk: int | None, field: str) -> User | None:
    if pk is None:
        return None
    found = User.objects.filter(pk=pk, is_active=True).first()
    if found is None:
        raise NotHere(f"{field}_unknown", field)
    return found


def _one_of(model: Any, ids: list[int], field: str) -> list[Any]:
    """The rows with these ids; 404 naming the field where one is missing."""
    found = list(model.objects.filter(pk__in=ids))
    if len(found) != len(set(ids)):
        raise NotHere(f"{field}_unknown", field)
    return found


def _set_state(conversation: Conversation, state: str, *, by: User) -> None:
    if state == Conversation.State.CLOSED:
        conversing.close(conversation, by=by, now=timezone.now())
    else:
        conversing.reopen(conversation, by=by)


def addresses_of(wanted: dict[str, Any]) -> list[addressing.Address]:
    """The addresses of a new lead, each checked to be what its field says."""
    country = directory.tenant_numbered(current_number()).default_country
    kinds = {"phone": addressing.Kind.PHONE, "email": addressing.Kind.EMAIL}
    return [
        _address(field, kind, wanted[field], country)
        for field, kind in kinds.items()
        if field in wanted
    ]


def _address(field: str, kind: str, text: str, country: str) -> addressing.Address:
    try:
        address = addressing.as_address(text, country)
    except addressing.NotAnAddress:
        address = None
    if address is None or address.kind != kind:
        raise Refusal(
            status.HTTP_400_BAD_REQUEST,
            f"{field}_invalid",
            {
                "phone": _("This is not a phone number."),
                "email": _("This is not an e-mail address."),
            }[field],
            field,
        )
    return address
