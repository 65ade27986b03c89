"""What there is to be alert to: one small class for each kind.

A rule about leads says where its clock starts (`since`) and for which leads it runs
(`condition`), both as SQL over `messaging_standing s`. The engine compares the one with the
moments at which a severity begins, so one statement finds every true case of a tenant, and the
same statement with a list of leads answers for those.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext_lazy as _

MINUTE, HOUR, DAY = 60, 3600, 24 * 3600
Thresholds = Mapping[str, int | None]

# A follow-up that lies ahead: somebody knows what comes next.
NOTHING_PLANNED = "(s.planned_until IS NULL OR s.planned_until <= %(now)s)"
LAST_CONTACT = "greatest(s.last_heard_at, s.last_spoke_at)"


# The kind of an alert that a person raises on a lead's page.
BY_HAND = "ByHand"

# What `alerts.acting` can do about a lead, as a button says it.
NEXT_STEPS = {
    "message": _("Write"),
    "call": _("Call"),
    "plan": _("Plan a follow-up"),
    "assign": _("Take it"),
    "stage": _("Move it on"),
    "follow_up": _("Done, or put it off"),
    "retry": _("Send it again"),
}
CHECK_NUMBER = "reconnect"


@dataclass(frozen=True)
class Suggestion:
    """The next step an alert proposes; `action` is what `alerts.acting` can do."""

    action: str
    label: Any
    channel: str = ""
    template: Any = ""


class Rule:
    """A kind of alert about leads."""

    code: str
    label: Any
    subject = "lead"
    thresholds: Thresholds
    in_opening_hours = False
    since: str
    condition = "TRUE"
    source = "messaging_standing s"
    # Steps by which the severity is higher than the time alone says.
    bump = "0"
    # What the text of an alert may quote, beside `since` and the threshold.
    facts = "'last_in_at', s.last_heard_at, 'last_out_at', s.last_spoke_at"
    text: Any
    suggestion: Suggestion

    def stage_thresholds(self, stale_after_days: int | None) -> Thresholds:
        """The thresholds in a stage that says when it is stale."""
        return self.thresholds


class NoContact7d(Rule):
    """Nobody has said anything for a week."""

    code = "NoContact7d"
    label = _("No contact for 7 days")
    thresholds = {"medium": 7 * DAY, "high": 14 * DAY}
    since = f"coalesce({LAST_CONTACT}, s.created_at)"
    condition = NOTHING_PLANNED
    text = _("No contact since %(since)s.")
    suggestion = Suggestion(
        "message", NEXT_STEPS["message"], template=_("Hello %(name)s, are you still interested?")
    )


class NoReply3d(Rule):
    """We wrote, they did not answer; sooner serious for who has answered before."""

    code = "NoReply3d"
    label = _("No answer for 3 days")
    thresholds = {"low": 3 * DAY, "medium": 5 * DAY, "high": 7 * DAY}
    since = "s.last_spoke_at"
    condition = "s.last_spoke_at > coalesce(s.last_heard_at, '-infinity')"
    bump = "(s.last_heard_at IS NOT NULL)::int"
    text = _("Our message of %(since)s is unanswered.")
    suggestion = Suggestion("call", NEXT_STEPS["call"], channel="call")


class CustomerWaiting(Rule):
    """They wrote, no person has answered."""

    code = "CustomerWaiting"
    label = _("Customer waiting")
    thresholds = {"medium": 30 * MINUTE, "high": 4 * HOUR, "critical": 24 * HOUR}
    in_opening_hours = True
    since = "s.waiting_since"
    condition = "s.waiting_since IS NOT NULL"
    text = _("Waiting for an answer since %(since)s.")
    suggestion = Suggestion("message", _("Answer"))


class FirstReplyOverdue(Rule):
    """Somebody new wrote, and nobody has ever answered."""

    code = "FirstReplyOverdue"
    label = _("First answer overdue")
    thresholds = {"medium": 5 * MINUTE, "high": 60 * MINUTE}
    since = "s.waiting_since"
    # Whose history was imported is nobody new.
    condition = "s.waiting_since IS NOT NULL AND s.last_spoke_at IS NULL AND NOT s.has_history"
    text = _("Wrote for the first time on %(since)s; nobody has answered yet.")
    suggestion = Suggestion("message", _("Answer"))


class WindowClosing(Rule):
    """WhatsApp soon lets us send templates only, and somebody waits."""

    code = "WindowClosing"
    label = _("WhatsApp window closing")
    thresholds = {"high": 0}
    # From the first conversation's window that closes within two hours.
    since = "closing.ends_at - interval '2 hours'"
    source = """messaging_standing s JOIN (
        SELECT c.lead_id, min(c.window_ends_at) AS ends_at FROM messaging_conversation c
        WHERE c.window_ends_at > %(now)s AND c.window_ends_at <= %(now)s + interval '2 hours'
        GROUP BY c.lead_id) closing ON closing.lead_id = s.lead_id"""
    condition = "s.waiting_since IS NOT NULL"
    facts = f"{Rule.facts}, 'window_ends_at', closing.ends_at"
    text = _("Free messages are possible until %(window_ends_at)s only.")
    suggestion = Suggestion("message", _("Answer"), channel="whatsapp")


class LeadUnassigned(Rule):
    """Nobody looks after this lead."""

    code = "LeadUnassigned"
    label = _("Lead without an owner")
    thresholds = {"medium": 15 * MINUTE, "high": 2 * HOUR}
    since = "s.owner_since"
    condition = "s.owner_id IS NULL"
    text = _("Without an owner since %(since)s.")
    suggestion = Suggestion("assign", NEXT_STEPS["assign"])


class FollowUpOverdue(Rule):
    """Somebody promised something, and its time has passed."""

    code = "FollowUpOverdue"
    label = _("Follow-up overdue")
    thresholds = {"medium": 0, "high": 24 * HOUR}
    since = "s.overdue_since"
    condition = "s.overdue_since IS NOT NULL"
    text = _("A follow-up was due on %(since)s.")
    suggestion = Suggestion("follow_up", NEXT_STEPS["follow_up"])


class NoNextStep(Rule):
    """Nobody knows what comes next."""

    code = "NoNextStep"
    label = _("No next step")
    thresholds = {"low": 24 * HOUR, "medium": 7 * DAY}
    # Also since the last step ended: done, dropped, or passed.
    since = f"greatest(s.created_at, {LAST_CONTACT}, s.step_ended_at, s.planned_until)"
    condition = NOTHING_PLANNED
    text = _("Nothing is planned since %(since)s.")
    suggestion = Suggestion("plan", NEXT_STEPS["plan"])


class StageStale(Rule):
    """Too long in one stage of the pipeline."""

    code = "StageStale"
    label = _("Stuck in a stage")
    thresholds = {"medium": 14 * DAY, "high": 21 * DAY}
    since = "s.stage_since"
    condition = NOTHING_PLANNED
    text = _("In this stage since %(since)s.")
    suggestion = Suggestion("stage", NEXT_STEPS["stage"])

    def stage_thresholds(self, stale_after_days):
        """The limit of the stage itself, and one and a half of it."""
        if stale_after_days is None:
            return self.thresholds
        return {"medium": stale_after_days * DAY, "high": stale_after_days * DAY * 3 // 2}


class DeliveryFailed(Rule):
    """Our last message did not arrive, or has not for a day."""

    code = "DeliveryFailed"
    label = _("Message not delivered")
    thresholds = {"high": 0}
    since = "coalesce(s.failed_since, s.undelivered_since + interval '24 hours')"
    condition = "(s.failed_since IS NOT NULL OR s.undelivered_since IS NOT NULL)"
    facts = f"{Rule.facts}, 'last_sent_at', coalesce(s.failed_since, s.undelivered_since)"
    text = _("Our message of %(last_sent_at)s did not arrive.")
    suggestion = Suggestion("retry", NEXT_STEPS["retry"])


class ChannelDown(Rule):
    """A number is cut off: not connected, blocked, or silent against its habit."""

    code = "ChannelDown"
    label = _("Number cut off")
    subject = "instance"
    thresholds = {"critical": 5 * MINUTE}
    text = _("%(instance)s: %(reason)s since %(since)s.")
    suggestion = Suggestion(CHECK_NUMBER, _("Check the connection"))


LEAD_RULES: tuple[Rule, ...] = (
    CustomerWaiting(),
    FirstReplyOverdue(),
    WindowClosing(),
    FollowUpOverdue(),
    DeliveryFailed(),
    LeadUnassigned(),
    NoContact7d(),
    NoReply3d(),
    StageStale(),
    NoNextStep(),
)
CHANNEL_DOWN = ChannelDown()
RULES: dict[str, Rule] = {rule.code: rule for rule in (*LEAD_RULES, CHANNEL_DOWN)}

QUIET_AFTER_HAND = timedelta(hours=24)
FOLD_FROM = 5
