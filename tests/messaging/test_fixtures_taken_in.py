"""What a provider may post is taken in whole: nothing fails, nothing is lost on the way to rows."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from messaging import inbox, media
from messaging.models import MessageEvent
from messaging.providers import REGISTRY
from messaging.providers import get as provider_of
from tenants import secrets
from tenants.models import ProviderInstance, WebhookDelivery
from tests import factories
from tests.messaging.providers.kits import KITS

FIXTURES = Path(__file__).parents[1] / "fixtures" / "webhooks"


@pytest.fixture
def instance_at(inside):
    def make(slug: str) -> ProviderInstance:
        kit, field = KITS[slug], provider_of(slug).account_field
        return factories.make_instance(
            inside,
            provider=slug,
            address="+221700000777",
            reference=kit.reference,
            settings={field: kit.account} if field else {},
        )

    return make


@pytest.mark.parametrize("slug", REGISTRY)
def test_every_recorded_post_becomes_facts(inside, instance_at, monkeypatch, slug):
    monkeypatch.setattr(media, "_order", lambda file, at=None: None)
    instance = instance_at(slug)
    files = sorted((FIXTURES / slug).glob("*__*"))

    for file in files:
        _deliver(inside, instance, file)
    inbox.drain(inside.number)

    for delivery in WebhookDelivery.objects.of(inside).filter(instance=instance):
        assert delivery.state == "done", (delivery.content_type, delivery.error)
    told = MessageEvent.objects.filter(instance_id=instance.pk)
    assert told.count() >= len(files) / 2


def _deliver(tenant, instance, file: Path) -> None:
    body = file.read_bytes()
    WebhookDelivery(
        tenant=tenant,
        instance=instance,
        provider=instance.provider,
        content_type=KITS[instance.provider].reads_types[file.suffix],
        body=secrets.seal(body),
        size=len(body),
        received_at=datetime.now(UTC),
    ).save()
