"""Old content is removed for good: messages, files, copies; what is younger stays."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from messaging import noting, retention, tasks
from messaging.models import Activity, Conversation, Draft, Message, MessageFile, Note
from tenants import context, directory
from tenants.accounts.models import AuditEntry, Role, User
from tenants.models import Tenant, WebhookDelivery
from tests import factories
from tests.messaging.test_erasing import (  # noqa: F401  the shop is a fixture
    KEPT,
    WORDS,
    Search,
    body_of,
    message,
    run_jobs,
    shop,
)
from tests.messaging.test_ingest import deliver, drain

LONG_AGO = timedelta(days=31)


@pytest.fixture
def browser(tenant, owner, client_for):
    cache.clear()
    return client_for(tenant, owner)


def keep_for(tenant, days):
    Tenant.objects.filter(pk=tenant.pk).update(retention_days=days)
    directory.changed()
    directory.forget()


def make_old(*keys):
    Message.objects.filter(external_id__in=keys).update(received_at=timezone.now() - LONG_AGO)


def test_old_words_and_files_are_found_nowhere(shop, tmp_path):  # noqa: F811
    document = {"documentMessage": {"url": "https://mmg.test/a", "mediaKey": "a2V5"}}
    document["documentMessage"] |= {"caption": WORDS, "fileName": f"{WORDS}.pdf"}
    deliver(shop, body_of(message("B", KEPT)))
    deliver(shop, body_of(message("A"), message("D", message=document, messageBody=WORDS)))
    drain(shop)
    assert run_jobs(shop, "fetch_media") == 1
    with context.entered(shop):
        by = User.objects.get(role=Role.OWNER)
        conversation = Conversation.objects.get()
        noting.write(conversation, WORDS, by=by, now=timezone.now() - LONG_AGO)
        Draft.objects.create(conversation=conversation, user=by, text=WORDS)
        Draft.objects.update(updated_at=timezone.now() - LONG_AGO)
        tasks.keep_history(shop.number, list(Message.objects.values_list("pk", flat=True)))
        make_old("A", "D")
    search = Search(WORDS, tmp_path)
    assert {"dump, as text", "a stored delivery", "a file"} <= search.finds()
    keep_for(shop, 30)

    tasks.apply_retention(0)
    run_jobs(shop, "discard_files")

    assert search.finds() == set()
    with context.entered(shop):
        assert list(Message.objects.values_list("text", flat=True)) == [KEPT]
        conversation.refresh_from_db()
        assert (conversation.last_message_snippet, conversation.unread_count) == (KEPT, 1)
        assert sorted(Activity.objects.values_list("snippet", flat=True)) == ["", "", KEPT]
        assert not MessageFile.objects.exists()
        entry = AuditEntry.objects.get(act="messages.removed")
    assert (entry.after, entry.by_id, entry.door) == (
        {"count": 2, "older_than_days": 30},
        None,
        "retention",
    )


def test_younger_messages_other_tenants_and_what_is_being_sent_stay(tenant, other_tenant):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, text="old")
        young = factories.make_message(conversation, text="young", at=timezone.now())
        sending = factories.make_message(conversation, text="sending", status="queued")
        Note.objects.create(conversation=conversation, text="new", created_at=timezone.now())

        assert retention.apply(30, now=timezone.now()) == 1

        assert set(Message.objects.values_list("pk", flat=True)) == {young.pk, sending.pk}
        assert Note.objects.count() == 1
        assert retention.apply(30, now=timezone.now()) == 0
    with context.entered(other_tenant):
        assert Message.objects.filter(text="leak me").exists()


def test_nothing_is_removed_where_everything_is_kept(tenant):
    with context.entered(tenant):
        factories.make_conversation(tenant, text="old")

    tasks.apply_retention(0)

    with context.entered(tenant):
        assert Message.objects.count() == 1
    assert not WebhookDelivery.objects.of(tenant).exists()


def test_conversation_without_messages_leaves_the_inbox_and_its_lead_stays(tenant, browser):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, name="Old Olga")
        retention.apply(30, now=timezone.now())

    assert "Old Olga" not in browser.get("/").content.decode()
    assert "Old Olga" in browser.get("/leads/").content.decode()
    assert browser.get(f"/inbox/{conversation.pk}/").status_code == 200


def test_more_than_one_batch_is_removed(inside, tenant, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    conversation = factories.make_conversation(tenant)
    for number in range(4):
        factories.make_message(conversation, text=str(number))

    assert retention.apply(30, now=timezone.now()) == 5
    assert not Message.objects.exists()


def test_keeping_less_needs_the_name_typed(tenant, browser):
    def ask(days, name=""):
        body = {"retention_days": days, "confirmation": name}
        status = browser.post("/settings/retention/", body).status_code
        return status, Tenant.objects.get(pk=tenant.pk).retention_days

    assert ask("90") == (400, None)
    assert ask("90", tenant.name) == (302, 90)
    assert ask("120") == (302, 120)
    assert ask("60", "another name") == (400, 120)
    assert ask("10", tenant.name) == (400, 120)
    assert ask("") == (302, None)
