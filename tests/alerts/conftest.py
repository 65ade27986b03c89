"""A lead's history in a line or two, and the alerts it has at a moment."""

from datetime import UTC, datetime, timedelta

import pytest

from alerts import evaluate
from alerts.models import Alert
from messaging import activities
from messaging.models import Lead, Message
from tests import factories

# A Monday morning in Paris, long after everything the other tenant has.
MONDAY = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)


class History:
    """One lead of the tenant, whose past a test writes."""

    def __init__(self, tenant, *, at=MONDAY, phone="+221701111111", **facts) -> None:
        self.tenant = tenant
        self.lead = factories.make_lead(phone=phone, **facts)
        Lead.objects.filter(pk=self.lead.pk).update(created_at=at)
        self.lead.refresh_from_db()
        self._conversation = None
        activities.touched([self.lead.pk], now=at)

    @property
    def conversation(self):
        if self._conversation is None:
            self._conversation = factories.open_conversation(self.tenant, self.lead)
        return self._conversation

    def says(self, at, **facts) -> Message:
        """The lead writes."""
        return self._keep(factories.make_message(self.conversation, at=at, **facts))

    def hears(self, at, **facts) -> Message:
        """A person of the team writes."""
        defaults = {"direction": "out", "origin": "person", "status": "delivered"}
        return self._keep(factories.make_message(self.conversation, at=at, **{**defaults, **facts}))

    def change(self, **facts) -> None:
        """Set columns of the lead as a page does."""
        Lead.objects.filter(pk=self.lead.pk).update(**facts)
        self.lead.refresh_from_db()
        activities.touched([self.lead.pk])

    def at(self, moment) -> dict[str, str]:
        """The alerts that are open for the lead at a moment, and how bad they are."""
        evaluate.leads(self.tenant, [self.lead.pk], now=moment)
        return open_alerts(self.lead)

    def _keep(self, message: Message) -> Message:
        activities.keep([message.pk])
        return message


def open_alerts(lead=None) -> dict[str, str]:
    """Code to severity of what is open."""
    found = Alert.objects.filter(resolved_at=None)
    if lead is not None:
        found = found.filter(lead=lead)
    return dict(found.values_list("type", "severity"))


@pytest.fixture
def history(inside, other_tenant):
    """A lead without an owner's alert: it has one, so that a test sees its own rule only."""
    from tenants.accounts.models import Role, User

    return History(inside, owner=User.objects.get(role=Role.AGENT))


def after(**span) -> datetime:
    """So long after Monday morning."""
    return MONDAY + timedelta(**span)
