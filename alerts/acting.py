"""The step an alert proposes, taken: each ends in a row that the lead's history shows."""

from dataclasses import dataclass
from datetime import datetime

from alerts import evaluate, resolving
from alerts.models import Alert
from messaging import activities, followups, handling, outbox
from messaging.models import Activity, Conversation, FollowUp, Lead, Message, Stage
from tenants.models import Tenant


class NothingToDo(Exception):
    """What the step is about is not there any more."""


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
        resolving.acted(self.alert, now=self.now)
        if self.alert.lead_id:
            evaluate.leads(self.tenant, [self.alert.lead_id], now=self.now)


def write(doing: Doing, text: str, reference=None) -> Message:
    """Queue a message to the lead, where it last wrote or on the tenant's only number."""
    message = write_to(doing.lead, text, by=doing.by, reference=reference)
    activities.keep([message.pk], now=doing.now)
    doing.done()
    return message


def write_to(lead: Lead, text: str, *, by, reference=None) -> Message:
    """Queue a message to a lead on the conversation it last used, or a new one."""
    conversation = last_conversation(lead)
    origin = Message.Origin.PERSON
    if conversation is None:
        return outbox.start("", text, origin=origin, lead=lead, by=by, reference=reference)
    return outbox.queue(conversation, text, origin=origin, by=by, reference=reference)


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


def last_conversation(lead: Lead) -> Conversation | None:
    """Where something was last said with a lead."""
    return (
        Conversation.objects.filter(lead=lead, folded_into=None, last_message_at__isnull=False)
        .order_by("-last_message_at", "-id")
        .first()
    )
