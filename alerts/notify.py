"""Mails about alerts: what has been bad for a day, what awaits somebody today, who looks.

Each is due and not yet sent: it is claimed in the database before it leaves, so that two workers
send one, and given back where the mail server does not take it.
"""

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from django.core.mail import send_mail
from django.db.models import Q
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from alerts import adoption, cards, evaluate, queries
from alerts.models import Alert, Habits, TeamHabits
from alerts.queries import Wanted
from messaging import realtime
from messaging.models import FollowUp
from tenants import onboarding
from tenants.accounts.models import Role, User
from tenants.hours import opening_hours_of
from tenants.models import ProviderInstance, Tenant

logger = logging.getLogger(__name__)

ESCALATED_AFTER = timedelta(hours=24)
MOST_IN_A_MAIL = 50
MONDAY = 0
ADOPTION_HOUR = 8


def everything_due(tenant: Tenant, *, now: datetime) -> None:
    """Send whatever is due in this tenant."""
    escalate(tenant, now=now)
    digests(tenant, now=now)
    weekly_adoption(tenant, now=now)


def escalate(tenant: Tenant, *, now: datetime) -> int:
    """Tell the managers, once, of what has been high or worse for a day; how many alerts."""
    due = list(_to_escalate(now).values_list("pk", "lead_id")[:1000])
    if not due:
        return 0
    # Somebody may have acted a moment ago: looked at again right before anybody is told.
    evaluate.leads(tenant, {lead for _pk, lead in due if lead}, now=now)
    evaluate.instances(tenant, now=now)
    still = [pk for pk, _lead in due]
    claimed = list(_to_escalate(now).filter(pk__in=still).values_list("pk", flat=True))
    claimed = [pk for pk in claimed if _claim(Alert.objects.filter(pk=pk, escalated_at=None), now)]
    if not claimed:
        return 0
    found = queries.visible(None).filter(pk__in=claimed).prefetch_related("lead__identities")
    alerts = list(found.order_by("-level", "opened_at")[:MOST_IN_A_MAIL])

    def give_back() -> None:
        Alert.objects.filter(pk__in=claimed).update(escalated_at=None)

    managers = User.objects.filter(is_active=True, role__in=(Role.OWNER, Role.ADMIN))
    _mail_each(
        managers,
        tenant,
        lambda: (
            ngettext(
                "%(count)d alert has been open for a day",
                "%(count)d alerts have been open for a day",
                len(claimed),
            )
            % {"count": len(claimed)}
        ),
        lambda user: {"cards": _cards_of(tenant, alerts)},
        "alerts/mail/escalated.txt",
        give_back,
    )
    realtime.publish("alerts")
    return len(claimed)


def digests(tenant: Tenant, *, now: datetime) -> int:
    """Send each person's daily summary from their hour on; how many were sent."""
    local = now.astimezone(opening_hours_of(tenant).zone)
    due = Habits.objects.filter(
        Q(digest_sent_on__lt=local.date()) | Q(digest_sent_on=None),
        digest_hour__lte=local.hour,
        user__is_active=True,
    ).select_related("user")
    return sum(_send_digest(tenant, habits, local) for habits in due)


def weekly_adoption(tenant: Tenant, *, now: datetime) -> bool:
    """Tell the owner, on Monday morning, how many of the team looked at the alerts."""
    local = now.astimezone(opening_hours_of(tenant).zone)
    if local.weekday() != MONDAY or local.hour < ADOPTION_HOUR:
        return False
    habits = TeamHabits.objects.order_by("pk").first() or TeamHabits.objects.create()
    before = habits.adoption_sent_on
    mine = TeamHabits.objects.filter(pk=habits.pk).exclude(adoption_sent_on=local.date())
    unsent = TeamHabits.objects.filter(pk=habits.pk, adoption_sent_on=None)
    if not (mine | unsent).update(adoption_sent_on=local.date()):
        return False
    looked, team = adoption.rate(local.date() - timedelta(days=1))
    _mail_each(
        User.objects.filter(is_active=True, role=Role.OWNER),
        tenant,
        lambda: _("Your team and its alerts this week"),
        lambda user: {"looked": looked, "team": team},
        "alerts/mail/adoption.txt",
        lambda: TeamHabits.objects.filter(pk=habits.pk).update(adoption_sent_on=before),
    )
    return True


def _to_escalate(now: datetime):
    rows = queries.active(None, Wanted(), now)
    return rows.filter(level__gte=3, escalated_at=None, opened_at__lte=now - ESCALATED_AFTER)


def _claim(rows, now: datetime) -> bool:
    return bool(rows.update(escalated_at=now))


def _send_digest(tenant: Tenant, habits: Habits, local: datetime) -> bool:
    today, before = local.date(), habits.digest_sent_on
    mine = Habits.objects.filter(pk=habits.pk, digest_sent_on=before)
    if not mine.update(digest_sent_on=today):
        return False
    user = habits.user
    is_waiting = queries.active(user, Wanted(owner=user.pk), local).exists()
    due = FollowUp.objects.filter(who=user, closed_at=None, due_at__lte=_end_of(local))
    steps = list(due.select_related("lead").order_by("due_at")[:MOST_IN_A_MAIL])
    if not is_waiting and not steps:
        return False
    _mail_each(
        [user],
        tenant,
        lambda: _("Your day: what waits for you"),
        lambda user: {
            "cards": cards.deck(user, Wanted(owner=user.pk), local, _numbers(tenant)),
            "steps": steps,
        },
        "alerts/mail/digest.txt",
        lambda: Habits.objects.filter(pk=habits.pk).update(digest_sent_on=before),
    )
    return True


def _mail_each(
    users: Iterable[User],
    tenant: Tenant,
    subject: Callable[[], str],
    facts: Callable[[User], dict],
    template: str,
    give_back: Callable[[], object],
) -> None:
    """One mail each, in the reader's language; where none leaves it is due again."""
    sent, failed = 0, 0
    for user in users:
        with (
            translation.override(user.language or tenant.language),
            timezone.override(opening_hours_of(tenant).zone),
        ):
            about = {**facts(user), "user": user, "home": onboarding.home_url(tenant)}
            try:
                send_mail(subject(), render_to_string(template, about), None, [user.email])
                sent += 1
            except OSError as exc:
                logger.warning("tenant %s: no mail left: %s", tenant.number, type(exc).__name__)
                failed += 1
    if failed and not sent:
        give_back()


def _cards_of(tenant: Tenant, alerts: list[Alert]) -> list[cards.Card]:
    numbers = _numbers(tenant)
    return [cards.one(alert, numbers) for alert in alerts]


def _numbers(tenant: Tenant) -> dict[int, ProviderInstance]:
    return {each.pk: each for each in ProviderInstance.objects.of(tenant)}


def _end_of(local: datetime) -> datetime:
    return local.replace(hour=23, minute=59, second=59)
