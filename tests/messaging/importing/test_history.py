"""History from a file: as ingest would have it, once, and without waking anybody."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from alerts import evaluate
from alerts.models import Alert
from messaging import activities, inbox
from messaging.events import Person, Received
from messaging.importing import history
from messaging.importing.rows import Result, Row
from messaging.models import (
    Activity,
    Conversation,
    Lead,
    LeadIdentity,
    Message,
    MessageEvent,
    MessageFile,
)
from tenants import context, secrets
from tenants.models import Allowance, ProviderInstance, Tenant, WebhookDelivery
from tests import factories

HEADER = "id,phone,name,direction,sent_at,text,status"
OLD_QUESTION = "m1,+221701111111,Awa,in,2024-05-01 10:00,Le canapé est-il disponible ?,"
OLD_ANSWER = "m2,+221701111111,,out,2024-05-01T10:05:00Z,Oui.,read"
OLD_THANKS = "m3,+221701111111,Awa,in,02/05/2024 09:30,Merci,"
PHONE = "+221701111111"


def ago(**span):
    return timezone.now() - timedelta(**span)


def row(line, text, at, direction="in", phone=PHONE, **more):
    values = {
        "phone": phone,
        "direction": direction,
        "sent_at": at.isoformat(),
        "text": text,
        **more,
    }
    return Row(line, values)


def take_in(tenant, *rows, **options):
    importer = history.Importer(tenant, timezone.now(), **options)
    return [(each.line, each.result) for batch in importer.take_in(rows) for each in batch]


def open_alerts():
    return set(Alert.objects.filter(resolved_at=None).values_list("type", flat=True))


def hear(tenant, instance, text, at, **facts):
    """A message that a provider posts now."""
    body = json.dumps(
        {
            "event": "messages.received",
            "timestamp": int(at.timestamp()),
            "data": {
                "messages": {
                    "key": {
                        "id": facts.get("external_id", f"LIVE-{text}"),
                        "fromMe": facts.get("from_us", False),
                        "remoteJid": f"{PHONE[1:]}@s.whatsapp.net",
                        "cleanedSenderPn": PHONE[1:],
                    },
                    "messageTimestamp": int(at.timestamp()),
                    "messageBody": text,
                    "message": {"conversation": text},
                }
            },
        }
    ).encode()
    WebhookDelivery(
        tenant=tenant,
        instance=instance,
        provider="wasender",
        content_type="application/json",
        body=secrets.seal(body),
        size=len(body),
        received_at=at,
    ).save()


def test_file_becomes_conversations_with_times_directions_and_statuses(
    tenant, other_tenant, instance, write, load
):
    path = write(HEADER, OLD_QUESTION, OLD_THANKS, OLD_ANSWER)

    assert load("import_history", path) == (["3 rows: 3 new"], "")

    with context.entered(tenant):
        conversation = Conversation.objects.get()
        told = [(m.text, m.direction, m.status, m.origin, m.sent_at) for m in _said(conversation)]
        assert told == [
            (
                "Le canapé est-il disponible ?",
                "in",
                "received",
                "contact",
                # Without a zone it is the vendor's, which is Paris.
                datetime(2024, 5, 1, 8, 0, tzinfo=UTC),
            ),
            ("Oui.", "out", "read", "phone", datetime(2024, 5, 1, 10, 5, tzinfo=UTC)),
            ("Merci", "in", "received", "contact", datetime(2024, 5, 2, 7, 30, tzinfo=UTC)),
        ]
        assert conversation.instance_id == instance.pk
        assert conversation.lead.name == "Awa"
        assert conversation.lead.recognised_at is not None
        assert conversation.last_message_snippet == "Merci"
        assert conversation.last_received_at == datetime(2024, 5, 2, 7, 30, tzinfo=UTC)
        assert (conversation.unread_count, conversation.state) == (0, "closed")
        assert Activity.objects.filter(lead=conversation.lead).count() == 3
    with context.entered(other_tenant):
        assert Message.objects.filter(text="Merci").count() == 0


def _said(conversation):
    return conversation.messages.order_by("sent_at", "pk")


def test_second_run_adds_nothing_whether_rows_have_ids_or_not(tenant, write, load):
    without_ids = [line.partition(",")[2] for line in (OLD_QUESTION, OLD_ANSWER)]
    mixed = write(HEADER, OLD_THANKS, *(f",{line}" for line in without_ids))

    assert load("import_history", mixed) == (["3 rows: 3 new"], "")
    assert load("import_history", mixed, "--dry-run")[0] == [
        "dry run, nothing written: 3 rows: 3 known already"
    ]
    assert load("import_history", mixed) == (["3 rows: 3 known already"], "")

    with context.entered(tenant):
        assert Message.objects.count() == Activity.objects.count() == 3
        assert MessageEvent.objects.filter(message=None).count() == 0


def test_run_that_was_cut_off_goes_on_where_it_was(inside, monkeypatch):
    monkeypatch.setattr(history, "BATCH", 2)
    rows = [row(line, f"ligne {line}", ago(days=400 - line)) for line in range(2, 9)]
    cut_off = history.Importer(inside, timezone.now()).take_in(rows)
    next(cut_off)
    next(cut_off)

    results = take_in(inside, *rows)

    assert [result for _line, result in results] == [Result.KNOWN] * 4 + [Result.NEW] * 3
    texts = Message.objects.order_by("sent_at").values_list("text", flat=True)
    assert list(texts) == [f"ligne {line}" for line in range(2, 9)]
    assert Conversation.objects.get().last_message_snippet == "ligne 8"


def test_what_stands_before_a_line_that_cannot_be_read_is_taken_in(tenant, write, load):
    path = write(HEADER, OLD_QUESTION, OLD_ANSWER, 'm9,"broken')

    printed, error = load("import_history", path)

    assert printed == ["2 rows: 2 new"]
    assert error == "file: line 4: unexpected end of data; nothing behind it is read."


def test_dry_run_writes_nothing(tenant, write, load):
    path = write(HEADER, OLD_QUESTION, OLD_QUESTION, "m9,,,in,2024-05-01,Qui ?,")

    printed, error = load("import_history", path, "--dry-run")

    assert printed == [
        "line 4: phone: missing, and needed for whatsapp",
        "dry run, nothing written: 3 rows: 1 new, 1 known already, 1 failed",
    ]
    assert error == "1 rows failed."
    with context.entered(tenant):
        assert not Message.objects.exists()
        assert not Lead.objects.exists()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("1,12,,in,2024-05-01,a,", "phone: 12 is no address"),
        ("1,a@b.test,,in,2024-05-01,a,", "phone: a@b.test belongs into another column"),
        (f"1,{PHONE},,up,2024-05-01,a,", "direction: 'up' is none of contact, in, inbound"),
        (f"1,{PHONE},,in,05/31/2024,a,", "sent_at: '05/31/2024' is no time"),
        (f"1,{PHONE},,in,,a,", "sent_at: '' is no time"),
        (f"1,{PHONE},,in,2999-01-01,a,", "sent_at: 2999-01-01 has not come yet"),
        (f"1,{PHONE},,in,2024-05-01,,", "text: missing"),
        (f"1,{PHONE},,out,2024-05-01,a,lost", "status: 'lost' is none of"),
        (f"{'i' * 201},{PHONE},,in,2024-05-01,a,", "id: longer than 200 characters"),
    ],
)
def test_row_fails_alone_and_names_its_column(tenant, write, load, line, complaint):
    printed, error = load("import_history", write(HEADER, line, OLD_QUESTION))

    assert printed[0].startswith(f"line 2: {complaint}")
    assert printed[1] == "2 rows: 1 new, 1 failed"
    assert error == "1 rows failed."


def test_rows_name_their_number_provider_or_medium(tenant, instance, other_tenant, write, load):
    mail = factories.make_instance(
        tenant, provider="smtp", address="shop@shop.test", reference="shop@shop.test"
    )
    foreign = ProviderInstance.objects.of(other_tenant).get()
    header = "phone,email,direction,sent_at,text,subject,number,provider,medium"
    path = write(
        header,
        f"{PHONE},,in,2024-05-01,one,,{instance.address},,",
        ",awa@client.test,in,2024-05-01,two,Devis,,smtp,",
        ",awa@client.test,out,2024-05-02,three,,,,email",
        f"{PHONE},,in,2024-05-01,four,,,,",
        f"{PHONE},,in,2024-05-01,five,,{foreign.pk},,",
    )

    printed, _error = load("import_history", path)

    assert printed[:2] == [
        f"line 5: number: several may be meant: {instance.pk} ({instance}), {mail.pk} ({mail})",
        "line 6: number: this vendor has no such number",
    ]
    with context.entered(tenant):
        told = Message.objects.order_by("text").values_list("text", "instance_id", "medium")
        assert list(told) == [
            ("one", instance.pk, "whatsapp"),
            ("three", mail.pk, "email"),
            ("two", mail.pk, "email"),
        ]


def test_history_opens_no_alert_and_the_next_message_is_judged_by_itself(inside, instance):
    take_in(inside, row(2, "Toujours là ?", ago(days=800)))

    evaluate.sweep(inside, now=timezone.now() + timedelta(days=40))
    assert open_alerts() == set()

    hear(inside, instance, "Me revoilà", ago(minutes=45))
    inbox.drain(inside.number)
    activities.keep(Message.objects.values_list("pk", flat=True))
    evaluate.sweep(inside, now=timezone.now())

    waiting = Lead.objects.get().standing.waiting_since
    assert timezone.now() - waiting < timedelta(hours=1)
    assert "FirstReplyOverdue" not in open_alerts()
    assert "NoContact7d" not in open_alerts()
    conversation = Conversation.objects.get()
    assert (conversation.state, conversation.unread_count) == ("open", 1)


def test_recent_message_without_an_answer_is_judged_by_its_time(inside):
    take_in(inside, row(2, "Et ma commande ?", ago(days=3)))

    evaluate.sweep(inside, now=timezone.now())

    alert = Alert.objects.get(type="CustomerWaiting")
    assert timezone.now() - alert.since > timedelta(days=2, hours=23)
    assert Conversation.objects.get().state == "open"
    assert Conversation.objects.get().unread_count == 0


def test_lead_that_waits_already_goes_on_waiting_since_its_own_message(inside):
    conversation = factories.make_conversation(inside, phone=PHONE, at=ago(days=10))
    activities.keep(conversation.messages.values_list("pk", flat=True))

    take_in(inside, row(2, "Il y a longtemps", ago(days=700)))

    waiting = conversation.lead.standing
    waiting.refresh_from_db()
    assert timedelta(days=9) < timezone.now() - waiting.waiting_since < timedelta(days=11)
    assert waiting.is_watched


def test_older_messages_after_newer_ones_leave_the_row_as_it_is(inside):
    conversation = factories.make_conversation(inside, phone=PHONE, at=ago(days=2), text="Neuf")
    before = Conversation.objects.values().get()

    take_in(inside, row(2, "Vieux", ago(days=90)), row(3, "Oui", ago(days=89), "out"))

    assert Conversation.objects.values().get() == before
    assert [message.text for message in _said(conversation)] == ["Vieux", "Oui", "Neuf"]


def test_newer_imported_message_becomes_the_last_one(inside):
    factories.make_conversation(inside, phone=PHONE, at=ago(days=90), text="Vieux")

    take_in(inside, row(2, "Réponse", ago(days=2), "out", status="delivered"))

    row_of = Conversation.objects.get()
    assert row_of.last_message_snippet == "Réponse"
    assert (row_of.last_message_direction, row_of.last_message_status) == ("out", "delivered")
    assert row_of.unread_count == 1


def test_message_that_was_received_live_is_not_doubled(inside, instance):
    hear(inside, instance, "Bonjour", ago(days=1), external_id="WA1")
    inbox.drain(inside.number)

    assert take_in(inside, row(2, "Bonjour", ago(days=1), id="WA1")) == [(2, Result.KNOWN)]
    hear(inside, instance, "Bonjour", ago(days=1), external_id="WA1")
    inbox.drain(inside.number)

    assert Message.objects.count() == 1


def test_imported_message_is_not_doubled_by_its_webhook(inside, instance):
    take_in(inside, row(2, "Bonjour", ago(days=1), id="WA1"))

    hear(inside, instance, "Bonjour", ago(days=1), external_id="WA1")
    inbox.drain(inside.number)

    assert Message.objects.get().external_id == "WA1"
    assert Conversation.objects.get().unread_count == 0


def test_own_message_without_its_id_is_the_one_a_row_shows(inside):
    conversation = factories.make_conversation(inside, phone=PHONE)
    ours = {"direction": "out", "origin": "person", "status": "sent", "external_id": ""}
    sent = factories.make_message(conversation, text="Oui", at=ago(hours=1), **ours)

    shown = row(2, "Oui", ago(hours=1), "out", id="WA7", status="read")

    assert take_in(inside, shown) == [(2, Result.KNOWN)]
    sent.refresh_from_db()
    assert (sent.external_id, sent.status) == ("WA7", "read")


def test_withdrawn_message_comes_in_as_a_tombstone(inside, instance):
    MessageEvent.objects.create(
        provider="wasender", instance_id=instance.pk, event_id="d1", kind="deleted",
        external_id="WA1", at=ago(days=9),
    )  # fmt: skip

    take_in(inside, row(2, "À oublier", ago(days=10), id="WA1"))

    message = Message.objects.get()
    assert (message.text, message.deleted_at is not None) == ("", True)
    assert Conversation.objects.get().last_message_snippet == ""


def test_what_was_posted_meanwhile_goes_between_two_batches(inside, instance, monkeypatch):
    monkeypatch.setattr(history, "BATCH", 1)
    rows = (row(2, "a", ago(days=90)), row(3, "b", ago(days=89)))
    batches = history.Importer(inside, timezone.now()).take_in(rows)
    hear(inside, instance, "En direct", ago(seconds=5))

    next(batches)

    assert Message.objects.filter(text="En direct").exists()
    assert Conversation.objects.get().unread_count == 1


def test_author_kind_file_and_failure_are_kept(inside, agent):
    rows = (
        row(2, "Voici", ago(days=30), "out", by=agent.email.upper(), status="failed", error="off"),
        row(3, "", ago(days=29), kind="image", file_name="canapé.jpg"),
        row(4, "Promo", ago(days=28), "out", origin="campaign"),
        row(5, "?", ago(days=27), "out", by="nobody@shop.test"),
    )

    assert take_in(inside, *rows)[-1] == (5, Result.FAILED)

    sent, photo, promo = Message.objects.order_by("sent_at")
    assert (sent.by_id, sent.origin, sent.status, sent.error_detail) == (
        agent.pk, "person", "failed", "off",
    )  # fmt: skip
    file = MessageFile.objects.get(message=photo)
    assert (file.file_name, file.state, file.kind) == ("canapé.jpg", "gone", "image")
    assert promo.origin == "campaign"


def test_answers_still_go_to_where_the_lead_was_heard_last(inside):
    conversation = factories.make_conversation(inside, phone=PHONE)
    LeadIdentity.objects.create(lead=conversation.lead, kind="phone", value="+221702222222")

    take_in(inside, row(2, "De mon ancien numéro", ago(days=900), phone="+221702222222"))

    conversation.refresh_from_db()
    assert conversation.peer == PHONE
    assert conversation.messages.count() == 2


def test_what_a_vendor_no_longer_keeps_is_refused(tenant, write, load):
    Tenant.objects.filter(pk=tenant.pk).update(retention_days=90)

    printed, error = load("import_history", write(HEADER, OLD_QUESTION))

    assert printed[0] == "line 2: sent_at: older than the 90 days this vendor keeps messages"
    assert error == "1 rows failed."


@pytest.mark.parametrize("command", ["import_history", "import_leads"])
def test_vendor_that_may_not_add_is_told_why_and_nothing_is_written(
    tenant, monkeypatch, write, load, command
):
    monkeypatch.setattr(settings, "STRIPE_SECRET_KEY", "sk_test_x")
    Allowance.objects.across_tenants().update_or_create(
        tenant=tenant, defaults={"closed_reason": "unpaid"}
    )

    printed, error = load(command, write("id,phone,name", "1,+221701111111,Awa"))

    assert "subscription is unpaid" in error
    assert printed == []


def test_unknown_vendor_and_wrong_number_are_named(tenant, other_tenant, write, load):
    foreign = ProviderInstance.objects.of(other_tenant).get()
    path = write(HEADER, OLD_QUESTION)

    assert load("import_history", path, slug="nobody")[1] == "slug: no vendor is called nobody."
    assert load("import_history", path, f"--number={foreign.pk}")[1] == (
        f"number: vendor_001 has no instance {foreign.pk}."
    )


def test_events_of_a_file_have_ids_of_their_own():
    # A provider's event of the same message must still be heard, for what it says beside.
    person = Person(phone=PHONE)
    live = Received(event_id="WA1", instance_ref="s", external_id="WA1", person=person)
    imported = history._event_id(
        row(2, "Bonjour", ago(days=1), id="WA1"), None, datetime(2024, 1, 1, tzinfo=UTC)
    )

    assert imported != live.event_id


def test_examples_of_the_documentation_work_unchanged(tenant, load):
    examples = Path(settings.BASE_DIR) / "docs/examples"

    assert load("import_leads", examples / "leads.csv") == (["2 rows: 2 new"], "")
    assert load("import_history", examples / "history.csv") == (["3 rows: 3 new"], "")
    assert load("import_history", examples / "history.jsonl") == (["2 rows: 2 new"], "")

    with context.entered(tenant):
        assert Conversation.objects.get().messages.count() == 5
