"""The step an alert proposes, taken: each ends in a row that the lead's history shows."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from alerts import evaluate, resolving, wording
from alerts.models import Alert
from alerts.rules import CHECK_NUMBER, NEXT_STEPS
from messaging import activities, connecting, followups, handling, outbox
from messaging.models import (
    Activity,
    Conversation,
    FollowUp,
    Lead,
    Message,
    MessageTemplate,
    Stage,
)
from tenants.models import ProviderInstance, Tenant


class NothingToDo(Exception):
    """What the step is about is not there any more."""


def can(alert: Alert, action: str) -> bool:
    """Whether this step can be taken here; one that a program thought of is only shown."""
    if action == CHECK_NUMBER:
        return alert.subject_kind == Alert.Subject.INSTANCE
    return action in NEXT_STEPS and alert.lead_id is not None


@dataclass(frozen=True)
class Doing:
    """Who takes a step, about which alert, when."""

    tenant: Tenant
    alert: Alert
    by: object
    now: datetime

    @property
    def lead(self) -> Lead:
        if self.alert.lead is None:
            raise NothingToDo
        return self.alert.lead

    def done(self) -> None:
        """The step is taken: note that, and look again whether the alert is still true."""
        resolving.acted(self.alert, by=self.by, now=self.now)
        if self.alert.lead_id:
            evaluate.leads(self.tenant, [self.alert.lead_id], now=self.now)
        elif self.alert.subject_kind == Alert.Subject.INSTANCE:
            evaluate.instances(self.tenant, now=self.now)


def write(
    doing: Doing, text: str, reference: uuid.UUID | None = None, instance: int | None = None
) -> Message:
    """Queue a message to the lead: where it last wrote, else from the number that is chosen."""
    medium = wording.suggested_action(doing.alert)["channel"]
    conversation = last_conversation(doing.lead, medium)
    facts = {"origin": Message.Origin.PERSON, "by": doing.by, "reference": reference}
    if conversation is None:
        message = outbox.start("", text, lead=doing.lead, instance_id=instance, **facts)
    else:
        message = outbox.queue(conversation, text, **facts)
    activities.keep([message.pk], now=doing.now)
    doing.done()
    return message


def write_template(
    doing: Doing,
    template: MessageTemplate,
    values: Mapping[str, str],
    instance: int | None,
    reference: uuid.UUID | None = None,
) -> Message:
    """Queue a template of the provider's, from a number whose account has it."""
    message = outbox.start(
        "",
        "",
        origin=Message.Origin.PERSON,
        lead=doing.lead,
        instance_id=instance,
        by=doing.by,
        template=template,
        values=values,
        reference=reference,
    )
    activities.keep([message.pk], now=doing.now)
    doing.done()
    return message


def log_call(doing: Doing, status: str, note: str) -> Activity:
    """Write down a call and how it ended."""
    activity = activities.record(
        doing.lead,
        channel=Activity.Channel.CALL,
        direction=Activity.Direction.OUT,
        status=status,
        snippet=note,
        by=doing.by,
        now=doing.now,
    )
    doing.done()
    return activity


def plan(doing: Doing, what: str, due_at: datetime, who) -> FollowUp:
    """Promise something to the lead."""
    follow_up = followups.plan(
        doing.lead, what=what, due_at=due_at, who=who, by=doing.by, now=doing.now
    )
    doing.done()
    return follow_up


def settle(doing: Doing, due_at: datetime | None) -> None:
    """Be done with the follow-ups that are overdue, or put them off."""
    overdue = FollowUp.objects.filter(lead=doing.lead, closed_at=None, due_at__lte=doing.now)
    for follow_up in overdue:
        if due_at is None:
            outcome = FollowUp.Outcome.DONE
            followups.close(follow_up, outcome=outcome, by=doing.by, now=doing.now)
        else:
            followups.move(follow_up, due_at=due_at, by=doing.by, now=doing.now)
    doing.done()


def take(doing: Doing) -> None:
    """Make oneself the lead's owner."""
    handling.give(doing.lead, to=doing.by, by=doing.by, now=doing.now)
    doing.done()


def move(doing: Doing, stage: Stage) -> None:
    """Put the lead into another stage."""
    handling.move(doing.lead, to=stage, by=doing.by, now=doing.now)
    doing.done()


def send_again(doing: Doing) -> Message:
    """Queue the message that failed once more."""
    failed = Message.objects.filter(
        lead=doing.lead, direction=Message.Direction.OUT, status=Message.Status.FAILED
    )
    message = failed.order_by("-sent_at", "-id").first()
    if message is None:
        raise NothingToDo
    outbox.retry(message)
    activities.keep([message.pk], now=doing.now)
    doing.done()
    return message


def check_number(doing: Doing) -> ProviderInstance:
    """Ask the provider how the number is now."""
    mine = ProviderInstance.objects.of(doing.tenant)
    instance = mine.filter(pk=doing.alert.subject_id).first()
    if instance is None:
        raise NothingToDo
    connecting.probe(instance)
    doing.done()
    return instance


def last_conversation(lead: Lead, medium: str = "") -> Conversation | None:
    """Where something was last said with a lead, on this medium where there was anything."""
    said = Conversation.objects.filter(lead=lead, folded_into=None, last_message_at__isnull=False)
    latest = said.order_by("-last_message_at", "-id")
    return (latest.filter(medium=medium).first() if medium else None) or latest.first()
