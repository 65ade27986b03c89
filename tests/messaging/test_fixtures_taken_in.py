"""What a provider may post is taken in whole: nothing fails, nothing is lost on the way to rows."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from messaging import inbox, media
from messaging.ingest import TooEarly
from messaging.models import MessageEvent
from messaging.providers import REGISTRY
from tenants import secrets
from tenants.models import ProviderInstance, WebhookDelivery
from tests import factories

FIXTURES = Path(__file__).parents[1] / "fixtures" / "webhooks"
TYPES = {".json": "application/json"}
CASES = [
    (slug, file)
    for slug in REGISTRY
    for file in sorted((FIXTURES / slug).glob("*__*"))
    if file.suffix in TYPES
]


@pytest.fixture
def instance_at(inside):
    def make(slug: str) -> ProviderInstance:
        return factories.make_instance(inside, provider=slug, address="+221700000777")

    return make


@pytest.mark.parametrize("slug", REGISTRY)
def test_every_recorded_post_becomes_facts(inside, instance_at, monkeypatch, slug):
    monkeypatch.setattr(media, "_order", lambda file, at=None: None)
    instance = instance_at(slug)
    files = [file for each, file in CASES if each == slug]

    for file in files:
        _deliver(inside, instance, file)
    inbox.drain(inside.number)

    for delivery in WebhookDelivery.objects.of(inside).filter(instance=instance):
        waits = delivery.error == TooEarly.__name__
        assert delivery.state == "done" or waits, (delivery.content_type, delivery.error)
    told = MessageEvent.objects.filter(instance_id=instance.pk)
    assert told.count() >= len(files) / 2


def _deliver(tenant, instance, file: Path) -> None:
    body = file.read_bytes()
    WebhookDelivery(
        tenant=tenant,
        instance=instance,
        provider=instance.provider,
        content_type=TYPES[file.suffix],
        body=secrets.seal(body),
        size=len(body),
        received_at=datetime.now(UTC),
    ).save()
