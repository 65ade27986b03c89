"""What is withdrawn or rewritten is gone from every place it was copied to."""

import base64
import importlib.util
import json
import subprocess
import zipfile
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings as project
from django.db import connection
from django.test import Client
from django.utils import timezone

from amda import database, embedded
from amda.jobs import undertake
from messaging import inbox, tasks
from messaging.models import Conversation, Message, MessageFile
from tenants import context, expiring, secrets
from tenants.accounts.models import RememberedWrite, Role, User
from tenants.api import tokens
from tenants.models import Undertaking, WebhookDelivery
from tests import factories
from tests.conftest import host_of
from tests.messaging.test_ingest import T0, deliver, drain, echo, edited, received
from tests.messaging.test_merging import pointing_at

WORDS = "Zanzibar 4711 at noon"
KEPT = "words that stay"
PHONE = "221701112233"
CONTENT = b"%PDF-1.7\n1 0 obj\n<<" + WORDS.encode() + b">>\nendobj\n"


def message(key="A", text=WORDS, **content) -> dict:
    """One message as it stands in a body."""
    item = received(key, text)["data"]["messages"]
    return {**item, **content}


def body_of(*items: dict) -> dict:
    return {"event": "messages.upsert", "data": {"messages": list(items)}}


def quoting(key="R", quoted="A", text=KEPT) -> dict:
    """An answer that carries the words it quotes."""
    context_info = {"stanzaId": quoted, "quotedMessage": {"conversation": WORDS}}
    said = {"extendedTextMessage": {"text": text, "contextInfo": context_info}}
    return message(key, text, message=said, messageBody=text)


def withdrawal(*keys: str, from_us: bool = False) -> dict:
    return {
        "event": "messages.delete",
        "timestamp": int(T0.timestamp()) + 60,
        "data": {
            "keys": [
                {"id": key, "fromMe": from_us, "remoteJid": f"{PHONE}@s.whatsapp.net"}
                for key in keys
            ]
        },
    }


def run_jobs(tenant, *names: str) -> int:
    """Do a tenant's waiting jobs of these names, as the worker does; how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM public.procrastinate_jobs WHERE status = 'todo' AND task_name = ANY(%s)"
            " AND args->>'tenant' = %s RETURNING task_name, args",
            [[f"amda.{name}" for name in names], str(tenant.number)],
        )
        jobs = cursor.fetchall()
    for name, args in jobs:
        facts = json.loads(args) if isinstance(args, str) else args
        owner = expiring if name == "amda.discard_exports" else tasks
        getattr(owner, name.removeprefix("amda.").replace("discard_exports", "discard"))(**facts)
    return len(jobs)


def take_out(tenant) -> int:
    return run_jobs(tenant, "take_out")


def plain_body(delivery: WebhookDelivery) -> bytes:
    delivery.refresh_from_db()
    return secrets.unseal(delivery.body) if delivery.body else b""


# Everywhere


class Search:
    """Looks for words in all that an installation keeps: the whole cluster, bodies, files."""

    def __init__(self, words: str, folder: Path) -> None:
        self.plain = words.encode()
        self.folder = folder
        self.forms = {"text": self.plain, "hex": self.plain.hex().encode(), **_base64(self.plain)}

    def finds(self) -> set[str]:
        dump = _dump()
        places = {f"dump, as {form}" for form, said in self.forms.items() if said in dump}
        for delivery in WebhookDelivery.objects.across_tenants():
            if delivery.body and self._is_in(secrets.unseal(delivery.body)):
                places.add("a stored delivery")
        if any(self._is_in(file.read_bytes()) for file in self._files()):
            places.add("a file")
        if any(self._is_in_zip(file) for file in self._files() if zipfile.is_zipfile(file)):
            places.add("an export")
        return places

    def _is_in(self, content: bytes) -> bool:
        return any(said in content for said in self.forms.values())

    def _is_in_zip(self, file: Path) -> bool:
        with zipfile.ZipFile(file) as archive:
            return any(self._is_in(archive.read(name)) for name in archive.namelist())

    def _files(self) -> list[Path]:
        cluster = Path(project.DATA_DIR) / "postgres"
        own = [each for each in self.folder.rglob("*") if each.is_file()]
        logs = list(cluster.glob("*.log"))
        others = [
            each
            for each in Path(project.DATA_DIR).rglob("*")
            if each.is_file() and cluster not in each.parents
        ]
        return [*own, *others, *logs]


def _base64(plain: bytes) -> dict[str, bytes]:
    """The middle of its three base64 forms, whatever stands before and after it."""
    found = {}
    for shift in range(3):
        coded = base64.b64encode(b"\x00" * shift + plain)
        found[f"base64, shifted {shift}"] = coded[4 if shift else 0 : len(coded) // 4 * 4 - 4]
    return found


def _dump() -> bytes:
    installed = Path(importlib.util.find_spec(embedded.PACKAGE).origin).parent
    program = installed / f"pginstall{embedded.MAJOR_VERSION}" / "bin" / "pg_dumpall"
    done = subprocess.run([program, "--dbname", database.dsn()], capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def shop(committed, source, settings, tmp_path):
    """A vendor of one's own whose rows are committed, and its files in a folder of its own."""
    default = settings.STORAGES["default"]
    options = {**default["OPTIONS"], "location": tmp_path}
    settings.STORAGES = {**settings.STORAGES, "default": {**default, "OPTIONS": options}}
    source.content, source.mime_type = CONTENT, "application/pdf"
    tenant = committed("withdrawing-shop")
    yield tenant
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM public.procrastinate_jobs WHERE args->>'tenant' = %s",
            [str(tenant.number)],
        )
    Undertaking.objects.filter(tenant_number=tenant.number).delete()


def remember(tenant, path: str, body: dict, key: str) -> dict:
    """A write through the API whose answer is remembered."""
    with context.entered(tenant):
        access = tokens.pair_for(User.objects.get(role=Role.OWNER))["access"]
    headers = {
        "host": host_of(tenant),
        "authorization": f"Bearer {access}",
        "idempotency-key": key,
    }
    answer = Client(headers=headers).post(path, body, content_type="application/json")
    assert answer.status_code in (200, 201), answer.content
    return answer.json()


def test_withdrawn_words_and_files_are_found_nowhere(shop, tmp_path):
    document = {"documentMessage": {"url": "https://mmg.test/a", "mediaKey": "a2V5"}}
    document["documentMessage"] |= {"caption": WORDS, "fileName": f"{WORDS}.pdf"}
    deliver(shop, body_of(message("A"), message("B", KEPT)))
    deliver(shop, received("A", WORDS))
    deliver(shop, body_of(quoting("R", "A")))
    deliver(shop, body_of(message("D", message=document, messageBody=WORDS)))
    drain(shop)
    assert run_jobs(shop, "fetch_media") == 1
    with context.entered(shop):
        conversation = Conversation.objects.get()
        file = MessageFile.objects.get()
        assert (file.state, file.file_name) == ("stored", f"{WORDS}.pdf")
    remember(shop, f"/api/conversations/{conversation.pk}/read/", {}, "read")
    ours = remember(
        shop, f"/api/conversations/{conversation.pk}/messages/", {"text": WORDS}, "said"
    )
    with context.entered(shop):
        Message.objects.filter(pk=ours["id"]).update(status="sent", error_detail=f"no: {WORDS}")
    deliver(shop, echo("O", WORDS, at=timezone.now()))
    drain(shop)
    made = exported(shop)
    search = Search(WORDS, tmp_path)
    assert {"dump, as text", "a stored delivery", "a file", "an export"} <= search.finds()

    deliver(shop, withdrawal("A", "D"))
    deliver(shop, withdrawal("O", from_us=True))
    drain(shop)
    run_jobs(shop, "take_out", "discard_files")
    run_jobs(shop, "discard_exports")

    assert search.finds() == set()
    made.refresh_from_db()
    assert made.path == ""
    with context.entered(shop):
        said = dict(Message.objects.values_list("external_id", "text"))
        assert said == {"A": "", "B": KEPT, "D": "", "R": KEPT, "O": ""}
        tombstones = Message.objects.filter(deleted_at__isnull=False)
        assert set(tombstones.values_list("external_id", flat=True)) == {"A", "D", "O"}
        assert RememberedWrite.objects.count() == 2


def exported(tenant) -> Undertaking:
    """A finished export of all that a tenant has."""
    made = Undertaking.objects.create(
        kind=Undertaking.Kind.EXPORT, tenant_number=tenant.number, slug=tenant.slug
    )
    undertake(made.pk)
    made.refresh_from_db()
    assert made.state == Undertaking.State.DONE
    return made


def test_edited_message_keeps_its_new_words_only(shop, tmp_path):
    deliver(shop, body_of(message("A"), message("B", "other words")))
    drain(shop)
    with context.entered(shop):
        conversation = Conversation.objects.get()
        Conversation.objects.update(
            last_message_id=Message.objects.get(external_id="A").pk, last_message_snippet=WORDS
        )
    remember(shop, f"/api/conversations/{conversation.pk}/read/", {}, "read")
    search = Search(WORDS, tmp_path)
    assert {"dump, as text", "a stored delivery"} <= search.finds()

    deliver(shop, edited("A", KEPT))
    drain(shop)
    take_out(shop)

    assert search.finds() == set()
    with context.entered(shop):
        assert Message.objects.get(external_id="A").text == KEPT
        assert RememberedWrite.objects.get().answer["last_message"]["text"] == KEPT
        conversation.refresh_from_db()
        assert conversation.last_message_snippet == KEPT


# Stored deliveries


def test_delivery_of_a_withdrawn_message_loses_its_body_and_is_not_replayed(tenant):
    delivery = deliver(tenant, body_of(message("A"), message("B", KEPT)))
    drain(tenant)
    deliver(tenant, withdrawal("A"))
    drain(tenant)

    take_out(tenant)

    assert plain_body(delivery) == b""
    assert delivery.erased_at is not None
    assert inbox.replay(WebhookDelivery.objects.of(tenant).filter(pk=delivery.pk)) == 0
    with context.entered(tenant):
        assert Message.objects.get(external_id="B").text == KEPT


def test_withdrawal_touches_no_delivery_of_another_instance_or_tenant(tenant, other_tenant):
    second = factories.make_instance(tenant)
    elsewhere = deliver(other_tenant, received("A"))
    drain(other_tenant)
    beside = deliver(tenant, received("A", KEPT))
    WebhookDelivery.objects.of(tenant).filter(pk=beside.pk).update(instance=second)
    deliver(tenant, received("A"))
    deliver(tenant, withdrawal("A"))
    drain(tenant)

    take_out(tenant)

    assert KEPT.encode() in plain_body(beside)
    assert plain_body(elsewhere) != b""
    with context.entered(other_tenant):
        assert Message.objects.filter(external_id="A", deleted_at=None).exists()


def test_repeat_that_comes_after_the_withdrawal_is_emptied_too(tenant):
    deliver(tenant, received("A", WORDS))
    deliver(tenant, withdrawal("A"))
    drain(tenant)
    take_out(tenant)

    late = deliver(tenant, received("A", WORDS))
    drain(tenant)
    take_out(tenant)

    assert plain_body(late) == b""
    with context.entered(tenant):
        assert Message.objects.get().text == ""


def test_message_that_comes_after_its_withdrawal_leaves_nothing(tenant):
    deliver(tenant, withdrawal("A"))
    drain(tenant)
    take_out(tenant)

    late = deliver(tenant, received("A", WORDS))
    drain(tenant)
    take_out(tenant)

    assert plain_body(late) == b""
    with context.entered(tenant):
        found = Message.objects.get()
        assert (found.text, found.deleted_at is None) == ("", False)


def test_parked_delivery_loses_the_withdrawn_message_and_keeps_the_others(tenant, monkeypatch):
    parked = deliver(tenant, body_of(message("A"), quoting("R", "A"), message("B", KEPT)))
    from messaging import ingest

    with monkeypatch.context() as patch:
        patch.setattr(ingest.Batch, "_receive", _explode)
        for _attempt in range(3):
            drain(tenant)
            WebhookDelivery.objects.of(tenant).update(not_before=None)
    deliver(tenant, withdrawal("A"))
    drain(tenant)

    take_out(tenant)

    assert WORDS.encode() not in plain_body(parked)
    assert (parked.state, parked.erased_at) == ("failed", None)
    assert inbox.replay(WebhookDelivery.objects.of(tenant).filter(pk=parked.pk)) == 1
    drain(tenant)
    with context.entered(tenant):
        said = dict(Message.objects.values_list("external_id", "text"))
        assert said == {"R": KEPT, "B": KEPT}


def test_parked_delivery_of_the_withdrawn_message_alone_is_emptied(tenant, monkeypatch):
    from messaging import ingest

    monkeypatch.setattr(ingest.Batch, "_receive", _explode)
    parked = deliver(tenant, received("A", WORDS))
    for _attempt in range(3):
        drain(tenant)
        WebhookDelivery.objects.of(tenant).update(not_before=None)
    deliver(tenant, withdrawal("A"))
    drain(tenant)

    take_out(tenant)

    assert plain_body(parked) == b""


def test_unreadable_delivery_that_names_the_message_is_emptied(tenant):
    naming = deliver(tenant, b'{"id": "3EB0LONGENOUGH", "text": "' + WORDS.encode())
    other = deliver(tenant, b'{"id": "3EB0ANOTHERONE", "text": "' + WORDS.encode())
    deliver(tenant, withdrawal("3EB0LONGENOUGH"))
    drain(tenant)

    take_out(tenant)

    assert (plain_body(naming), plain_body(other) != b"") == (b"", True)


@pytest.mark.parametrize("late", [False, True], ids=["read_before", "read_after"])
def test_post_for_several_instances_is_emptied_for_each(tenant, other_tenant, late):
    post = uuid4()
    ours = deliver(tenant, received("A", WORDS), post=post)
    theirs = deliver(other_tenant, received("A", WORDS), post=post)
    if not late:
        drain(other_tenant)
    deliver(tenant, withdrawal("A"))
    drain(tenant)
    take_out(tenant)
    if late:
        drain(other_tenant)

    assert (plain_body(ours), plain_body(theirs)) == (b"", b"")
    with context.entered(other_tenant):
        assert Message.objects.get(external_id="A").text == WORDS


def test_view_once_and_stories_leave_no_body(tenant):
    once = {"viewOnceMessageV2": {"message": {"imageMessage": {"url": "u", "mediaKey": "a2V5"}}}}
    story = message("S")
    story["key"]["remoteJid"] = "status@broadcast"
    seen = deliver(tenant, body_of(message("V", message=once, messageBody="")))
    told = deliver(tenant, body_of(story))
    plain = deliver(tenant, body_of(message("P")))

    drain(tenant)

    assert (plain_body(seen), plain_body(told)) == (b"", b"")
    assert plain_body(plain) != b""


def test_withdrawal_is_taken_out_within_a_minute(tenant):
    deliver(tenant, received("A", WORDS))
    deliver(tenant, withdrawal("A"))
    before = timezone.now()

    drain(tenant)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT queue_name, args, scheduled_at FROM public.procrastinate_jobs"
            " WHERE task_name = 'amda.take_out'"
        )
        [(queue, args, at)] = cursor.fetchall()
    assert queue == "inbox"
    assert (at - before).total_seconds() < 20
    assert WORDS not in str(args)


def _explode(*args):
    raise RuntimeError("boom")


# Nothing forgotten

# What holds words or files of messages, and how it loses them: see `erasing.take_out`.
KNOWN_COPIES = {
    "messaging.activity.message": "its snippet is emptied",
    "messaging.espopush.message": "the CRM is told that it was withdrawn",
    "messaging.messageevent.message": "its details are emptied",
    "messaging.messagefile.message": "its rows and contents are removed",
}


def test_every_table_that_points_at_a_message_is_known_to_erasing():
    said = "see whether erasing.take_out reaches it, then list it"

    assert pointing_at(Message) == set(KNOWN_COPIES), said
