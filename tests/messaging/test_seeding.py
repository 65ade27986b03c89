"""A tenant filled to measure on: true rows, in one run and in the next."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from messaging import searching
from messaging.filters import Filters
from messaging.models import Conversation, Lead, LeadIdentity, Message
from tenants import context
from tenants.models import ProviderInstance

pytestmark = pytest.mark.django_db


def seed(slug: str, conversations: int, messages: int) -> str:
    said = StringIO()
    call_command("seed", slug, conversations=conversations, messages=messages, stdout=said)
    return said.getvalue()


def test_seed_makes_what_was_asked_for_and_says_how_far_it_is(tenant, other_tenant):
    said = seed(tenant.slug, 5, 60)
    seed(tenant.slug, 3, 10)

    with context.entered(tenant):
        counts = [each.objects.count() for each in (Lead, LeadIdentity, Conversation, Message)]
        assert counts == [8, 8, 8, 70]
        assert not LeadIdentity.objects.exclude(value__startswith="+999").exists()
    with context.entered(other_tenant):
        assert Message.objects.count() == 1
    assert "60 of 60 messages" in said


def test_seeded_rows_show_their_last_message_and_are_found(tenant, owner):
    seed(tenant.slug, 4, 80)

    with context.entered(tenant):
        for each in Conversation.objects.all():
            last = each.messages.order_by("-sent_at", "-pk").first()
            assert (each.last_message_id, each.last_message_at) == (last.pk, last.sent_at)
            assert each.last_message_snippet == last.text[:200]
        [found, *_rest] = searching.messages(owner, Filters(text="bonjour")).rows
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_indexes WHERE schemaname = %s AND indexname = %s",
                [context.schema_of(tenant.number), "message_search"],
            )
            assert cursor.fetchone() == (1,)
    assert "bonjour" in found.message.text


@pytest.mark.parametrize(("slug", "counts"), [("nobody", (1, 1)), ("vendor_001", (5, 4))])
def test_seed_refuses_what_it_cannot_do(tenant, slug, counts):
    with pytest.raises(CommandError):
        seed(slug, *counts)


def test_seed_needs_a_number(tenant):
    ProviderInstance.objects.of(tenant).delete()

    with pytest.raises(CommandError, match="connect_instance"):
        seed(tenant.slug, 1, 1)
