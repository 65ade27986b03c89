"""Contents of files leave the storage soon, whatever else the workers have to do."""

import json
from datetime import timedelta

import pytest
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection
from django.utils import timezone

from amda.jobs import QUEUES
from messaging import erasing, media, tasks
from messaging.models import Conversation, MessageFile
from tenants import context
from tests import factories
from tests.messaging.files import brought, fetched, ordered, picture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_folder")]


@pytest.fixture
def conversation(inside) -> Conversation:
    return factories.make_conversation(inside)


def taken_next(queue: str) -> tuple[str, dict]:
    """What a worker of a queue, with a slot free, takes in hand next: the job library's choice."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO public.procrastinate_workers DEFAULT VALUES RETURNING id")
        [worker] = cursor.fetchone()
        cursor.execute(
            "SELECT task_name, args FROM public.procrastinate_fetch_job_v2(%s, %s)",
            [[queue], worker],
        )
        name, args = cursor.fetchone()
    return name, json.loads(args) if isinstance(args, str) else args


def queues_of(task: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT queue_name FROM public.procrastinate_jobs WHERE task_name = %s",
            [f"amda.{task}"],
        )
        return {name for (name,) in cursor.fetchall()}


def test_withdrawn_file_leaves_the_storage_before_downloads_and_old_files(
    tenant, other_tenant, conversation, source
):
    old = [fetched(conversation, source, picture((n, n))) for n in (10, 11)]
    withdrawn = fetched(conversation, source, picture((2100, 1000), "JPEG"))
    media.forget_old([file.message_id for file in old])
    waiting = [brought(conversation) for _ in range(3)]
    with context.entered(other_tenant):
        kept = fetched(factories.make_conversation(other_tenant), source, picture((60, 60)))

    erasing.bury(withdrawn.message, timezone.now())
    name, args = taken_next("removals")
    tasks.discard_files(**args)

    assert (name, args["tenant"]) == ("amda.discard_files", tenant.number)
    assert withdrawn.preview_path
    assert not default_storage.exists(withdrawn.path)
    assert not default_storage.exists(withdrawn.preview_path)
    assert default_storage.exists(old[0].path)
    assert default_storage.exists(kept.path)
    assert set(MessageFile.objects.values_list("pk", flat=True)) == {each.pk for each in waiting}


def test_uploads_nobody_sent_go_whatever_is_wrong_at_another_tenant(
    tenant, other_tenant, monkeypatch
):
    long_ago = timezone.now() - timedelta(days=3)
    for each in (tenant, other_tenant):
        with context.entered(each):
            unsent = MessageFile.objects.create(kind="document", state="stored", path="files/a.pdf")
            MessageFile.objects.filter(pk=unsent.pk).update(created_at=long_ago)
    remove = media.forget_unsent

    def fail_at_the_first(before):
        if context.current_number() == tenant.number:
            raise DatabaseError("its schema cannot be read")
        remove(before)

    monkeypatch.setattr(media, "forget_unsent", fail_at_the_first)
    tasks.forget_old(0)

    left = []
    for each in (tenant, other_tenant):
        with context.entered(each):
            left.append(MessageFile.objects.filter(message=None).count())
    assert left == [1, 0]


def test_removals_and_downloads_share_no_slot(conversation, source):
    file = fetched(conversation, source)

    media.forget([file.message_id])

    assert queues_of("fetch_media").isdisjoint(queues_of("discard_files"))
    assert all(QUEUES[queue] >= 1 for queue in queues_of("discard_files"))


def test_many_old_files_are_removed_in_several_jobs(conversation, source, monkeypatch):
    monkeypatch.setattr(media, "_REMOVED_AT_ONCE", 3)
    files = [fetched(conversation, source, picture((n, n))) for n in (10, 11)]

    media.forget_old([file.message_id for file in files])
    jobs = ordered("discard_files")
    for job in jobs:
        tasks.discard_files(**job)

    assert [len(job["paths"]) for job in jobs] == [3, 1]
    assert not any(default_storage.exists(file.path) for file in files)
