"""A number at another provider: conversations stay one, answers leave by the new one."""

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from alerts import channels
from alerts.thresholds import Tuning
from messaging import folding, ingest, moving, outbox, reaching
from messaging.events import Person, Received, Status, StatusChanged
from messaging.models import Conversation, LeadIdentity, Message
from tenants import context, directory, limits
from tenants.accounts.models import AuditEntry
from tenants.models import Allowance, ProviderInstance, WebhookDelivery
from tests import factories

PHONE = "+221701111111"
GREEN = {
    "id_instance": "1101000001",
    "api_token": "tok-s3cret",
    "webhook_token": "hook-s3cret",
    "api_url": "http://127.0.0.1:9",
}
NOW = timezone.now()


def move(instance, values=GREEN, provider="greenapi", now=NOW):
    """Moves, and what both instances are afterwards."""
    new = moving.move(instance, provider, address=instance.address, values=values, now=now)
    instance.refresh_from_db()
    new.refresh_from_db()
    return new


def hear(tenant, instance, *events):
    """These events are told of an instance."""
    delivery = WebhookDelivery(
        tenant=tenant, instance=instance, provider=instance.provider, body=b"x", size=1,
        received_at=timezone.now(),
    )  # fmt: skip
    delivery.save()
    with context.entered(tenant), transaction.atomic():
        batch = ingest.Batch(tenant)
        batch.apply(events, delivery)
        batch.finish()


def said(text, at=NOW, **facts):
    return Received(
        event_id=text, instance_ref="", external_id=f"id-{text}", text=text, at=at,
        person=Person(phone=PHONE), **facts,
    )  # fmt: skip


def run(*arguments):
    printed = io.StringIO()
    error = ""
    try:
        call_command("move_instance", *arguments, stdout=printed)
    except CommandError as exc:
        error = str(exc)
    return printed.getvalue().splitlines(), error


def keys():
    return ["--set", *(f"{name}={value}" for name, value in GREEN.items())]


@pytest.fixture
def conversation(tenant):
    with context.entered(tenant):
        return factories.make_conversation(tenant, phone=PHONE, at=NOW - timedelta(hours=1))


def test_conversations_go_along_and_answers_leave_by_the_new_one(
    tenant, other_tenant, instance, conversation
):
    foreign = ProviderInstance.objects.of(other_tenant).get()

    new = move(instance)

    with context.entered(tenant):
        conversation.refresh_from_db()
        assert (conversation.instance_id, conversation.provider) == (new.pk, "greenapi")
        answer = outbox.queue(conversation, "Oui", origin=Message.Origin.PERSON)
        assert (answer.instance_id, answer.provider) == (new.pk, "greenapi")
        # Who is written to first is written to by the new one, too.
        assert reaching.choose_instance(None, ["phone"]) == new
        entry = AuditEntry.objects.get(act="instance.moved")
        assert "s3cret" not in repr(entry.after)
    with context.entered(other_tenant):
        assert Conversation.objects.get().instance_id == foreign.pk
    assert (instance.moved_to_id, instance.state, instance.state_reason) == (
        new.pk, "disconnected", "moved",
    )  # fmt: skip


def test_late_news_of_the_old_one_find_their_message(tenant, instance, conversation):
    with context.entered(tenant):
        sent = factories.make_message(
            conversation, direction="out", origin="person", status="sent", external_id="WA9"
        )
    move(instance)

    delivered = StatusChanged(
        event_id="s", instance_ref="", external_id="WA9", status=Status.DELIVERED
    )
    hear(tenant, instance, delivered, said("En retard", at=NOW - timedelta(minutes=5)))

    with context.entered(tenant):
        sent.refresh_from_db()
        assert sent.status == "delivered"
        late = Message.objects.get(text="En retard")
        assert (late.conversation_id, late.instance_id) == (conversation.pk, instance.pk)
        assert Conversation.objects.count() == 1


def test_new_person_who_writes_late_to_the_old_one_is_answered_by_the_new_one(tenant, instance):
    new = move(instance)

    hear(tenant, instance, said("Bonjour"))

    with context.entered(tenant):
        assert Conversation.objects.get().instance_id == new.pk


def test_what_both_tell_is_told_once(tenant, instance, conversation):
    new = move(instance)
    later = NOW + timedelta(minutes=1)
    before = said("Avant", at=later)
    hear(tenant, instance, before)
    ProviderInstance.objects.of(tenant).filter(pk=new.pk).update(
        state="connected", state_changed_at=later, last_event_at=later
    )

    hear(tenant, new, said("Après", at=NOW + timedelta(minutes=2)))
    hear(tenant, instance, said("Après", at=NOW + timedelta(minutes=2)))

    with context.entered(tenant):
        texts = Message.objects.order_by("sent_at").values_list("text", flat=True)
        assert list(texts) == ["Bonjour", "Avant", "Après"]


def test_what_waits_to_be_sent_leaves_by_the_new_one(tenant, instance, conversation):
    with context.entered(tenant):
        waiting = outbox.queue(conversation, "Bientôt", origin=Message.Origin.PERSON)

    new = move(instance)

    with context.entered(tenant):
        waiting.refresh_from_db()
        assert (waiting.instance_id, waiting.status) == (new.pk, "queued")


def test_lead_heard_at_both_has_one_conversation(tenant, instance, conversation):
    values = GREEN
    with context.entered(tenant):
        other = factories.make_instance(
            tenant, provider="greenapi", address=instance.address, reference="1101000001"
        )
        factories.open_conversation(
            tenant, conversation.lead, instance_id=other.pk, provider="greenapi", peer=PHONE
        )

    new = move(instance, values)

    assert new.pk == other.pk
    with context.entered(tenant):
        kept = Conversation.objects.get(folded_into=None)
        assert kept.instance_id == new.pk
        assert kept.last_message_snippet == "Bonjour"
        assert folding.reached_at(conversation.lead, new.pk) == kept


def test_person_known_by_an_identifier_is_reached_by_their_number(tenant, instance):
    with context.entered(tenant):
        lead = factories.make_lead(phone=PHONE)
        LeadIdentity.objects.create(lead=lead, kind="lid", value="123@lid")
        named = factories.open_conversation(tenant, lead, peer="123@lid")

    move(instance)

    with context.entered(tenant):
        named.refresh_from_db()
        assert named.peer == PHONE


def test_old_one_is_no_number_any_more(tenant, instance):
    directory.changed()
    Allowance.objects.across_tenants().update_or_create(
        tenant=tenant, defaults={"instances": 1, "by_hand": True}
    )

    new = move(instance)

    assert list(ProviderInstance.objects.serving(tenant)) == [new]
    with context.entered(tenant):
        down = channels.down(tenant, Tuning.of(tenant, NOW + timedelta(days=1)))
        assert [each.instance_id for each in down if each.instance_id == instance.pk] == []
    with pytest.raises(limits.LimitReached):
        moving.connecting.connect_instance(
            tenant, "wasender", address="+33612345678",
            values={"api_key": "k", "webhook_secret": "w"},
        )  # fmt: skip


def test_keys_of_the_old_one_are_forgotten_after_some_days(tenant, other_tenant, instance):
    new = move(instance)
    secret = {"webhook_secret": factories.secrets_of(tenant)["webhook_secret"]}

    assert moving.forget_keys(NOW + timedelta(days=6)) == 0
    [known] = directory.instances_of_vendor("wasender", tenant.slug)
    assert secret["webhook_secret"] in known.secret_sets[0].values()

    assert moving.forget_keys(NOW + timedelta(days=8)) == 1
    directory.forget()
    assert directory.instances_of_vendor("wasender", tenant.slug) == ()
    assert directory.instances_of_vendor("wasender", other_tenant.slug) != ()
    instance.refresh_from_db()
    new.refresh_from_db()
    assert instance.secrets == {}
    assert new.secrets["api_token"] == "tok-s3cret"


def test_number_can_be_moved_back(tenant, instance, conversation):
    new = move(instance)
    key = factories.secrets_of(tenant)

    back = move(new, values=key, provider="wasender", now=NOW + timedelta(hours=1))

    assert back.pk == instance.pk
    assert (back.moved_to_id, back.is_held) == (None, False)
    with context.entered(tenant):
        conversation.refresh_from_db()
        assert conversation.instance_id == instance.pk


def test_command_says_what_it_will_do_and_asks_first(tenant, instance, conversation, monkeypatch):
    arguments = ("vendor_001", str(instance.pk), "greenapi", *keys())

    printed, error = run(*arguments, "--dry-run")
    assert (printed[0], printed[-1], error) == (
        f"{instance} → greenapi: 1 conversations", "dry run, nothing written", "",
    )  # fmt: skip
    assert run(*arguments)[1] == "there is nobody to ask; say --yes."
    assert not ProviderInstance.objects.of(tenant).filter(provider="greenapi").exists()

    printed, error = run(*arguments, "--yes")
    new = ProviderInstance.objects.of(tenant).get(provider="greenapi")
    assert error == ""
    assert f"instance: {new.pk}" in printed
    # Nobody answers there: the address is given to be pasted.
    assert any(line.startswith("webhook: could not be set") for line in printed)
    assert any(line.endswith("/webhooks/greenapi") for line in printed)
    assert "s3cret" not in "\n".join(printed)
    assert run(*arguments, "--yes")[1] == (f"instance: It was moved to instance {new.pk} already.")


@pytest.mark.parametrize(
    ("provider", "values", "complaint"),
    [
        ("wasender", ["api_key=k", "webhook_secret=w"], "instance: It is there already;"),
        ("twilio", ["account_sid=AC1", "auth_token=t"], "provider: A whatsapp number cannot"),
        ("greenapi", ["id_instance=1"], "api_token: This is required."),
        ("nothing", ["a=b"], "provider: Unknown provider;"),
    ],
)
def test_move_that_cannot_be_is_refused_and_changes_nothing(
    tenant, instance, provider, values, complaint
):
    _printed, error = run("vendor_001", str(instance.pk), provider, "--set", *values, "--yes")

    assert error.startswith(complaint)
    instance.refresh_from_db()
    assert instance.moved_to is None
    assert ProviderInstance.objects.of(tenant).count() == 1


def test_templates_that_wait_are_let_go_first(tenant, instance, conversation):
    with context.entered(tenant):
        factories.make_message(
            conversation, direction="out", origin="person", status="queued", external_id="",
            parts={"template": {"name": "hello"}},
        )  # fmt: skip

    _printed, error = run("vendor_001", str(instance.pk), "greenapi", *keys(), "--yes")

    assert error.startswith("instance: 1 templates wait to be sent")
    assert not ProviderInstance.objects.of(tenant).filter(provider="greenapi").exists()


def test_another_vendors_instance_is_not_found(tenant, other_tenant):
    foreign = ProviderInstance.objects.of(other_tenant).get()

    _printed, error = run("vendor_001", str(foreign.pk), "greenapi", *keys(), "--yes")

    assert error == f"instance: vendor_001 has no instance {foreign.pk}."
