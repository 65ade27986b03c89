"""What earlier releases kept survives the migrations that change its form."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from tests.factories import NOW

SCHEMA = "amda_migrated"
ATTACHMENTS = [
    {"kind": "image", "mime_type": "image/jpeg", "file_name": "robe.jpg", "size": 4711},
    {"kind": "document"},
]


@pytest.fixture
def schema(db):
    """An empty tenant schema; migrations run in it, and all is rolled back with the test."""
    before = connection.tenant
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {SCHEMA}")
    connection.set_schema(SCHEMA)
    MigrationRecorder(connection).ensure_schema()
    yield SCHEMA
    connection.set_tenant(before)


def migrate(*targets: tuple[str, str]):
    """Migrate to these; the models as they were then."""
    executor = MigrationExecutor(connection)
    executor.migrate(list(targets))
    executor.loader.build_graph()
    return executor.loader.project_state(list(targets)).apps


def row(models, model: str, /, **facts):
    return models.get_model("messaging", model).objects.create(**facts)


def said(models, conversation, **facts):
    """A message as the first release kept it."""
    return row(
        models,
        "Message",
        conversation=conversation,
        lead=conversation.lead,
        instance_id=1,
        provider="wasender",
        medium="whatsapp",
        direction="in",
        origin="contact",
        status="received",
        sent_at=NOW,
        received_at=NOW,
        **facts,
    )


def test_attachments_of_the_first_release_become_files_that_are_gone(schema):
    old = migrate(("messaging", "0001_initial"))
    lead = row(old, "Lead", name="Awa")
    conversation = row(
        old,
        "Conversation",
        lead=lead,
        instance_id=1,
        provider="wasender",
        medium="whatsapp",
        peer="+221701111111",
    )
    with_files = said(old, conversation, kind="image", attachments=ATTACHMENTS, external_id="A")
    said(old, conversation, text="without", attachments=[], external_id="B")
    said(old, conversation, attachments=ATTACHMENTS, deleted_at=NOW, external_id="C")

    new = migrate(("messaging", "0002_media"))

    files = new.get_model("messaging", "MessageFile").objects.order_by("id")
    names = ("message_id", "kind", "mime_type", "file_name", "size", "state", "error", "path")
    assert list(files.values_list(*names)) == [
        (with_files.pk, "image", "image/jpeg", "robe.jpg", 4711, "gone", "expired", ""),
        (with_files.pk, "document", "", "", None, "gone", "expired", ""),
    ]
    assert len(set(files.values_list("key", flat=True))) == 2
    texts = new.get_model("messaging", "Message").objects.order_by("id")
    assert list(texts.values_list("text", flat=True)) == ["", "without", ""]


def test_leads_that_were_here_before_unknown_senders_are_known(schema):
    old = migrate(("messaging", "0003_consent"))
    row(old, "Lead", name="Awa")

    new = migrate(("messaging", "0004_one_person"))

    lead = new.get_model("messaging", "Lead").objects.get()
    assert lead.recognised_at == lead.created_at


def test_days_of_before_count_who_is_known(schema):
    models = migrate(("messaging", "0010_tags_and_replies"))
    known = row(models, "Lead", name="Awa", recognised_at=timezone.now())
    unknown = row(models, "Lead", name="")
    for lead in (known, known, unknown):
        conversation = row(
            models,
            "Conversation",
            lead=lead,
            instance_id=1,
            provider="wasender",
            medium="whatsapp",
            peer=str(models.get_model("messaging", "Conversation").objects.count()),
        )
        heard = said(models, conversation, text="Bonjour")
        type(heard).objects.filter(pk=heard.pk).update(received_at=timezone.now())
    today = timezone.now().date()
    row(models, "InstanceDay", instance_id=1, day=today, received=3)
    row(models, "InstanceDay", instance_id=2, day=today, received=5)

    models = migrate(("messaging", "0011_espo"))

    days = models.get_model("messaging", "InstanceDay").objects.order_by("instance_id")
    assert list(days.values_list("received", "known")) == [(3, 2), (5, 0)]
