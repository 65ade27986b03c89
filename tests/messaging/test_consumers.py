"""The live socket: who may listen, what they hear, when they must leave."""

import asyncio
from types import SimpleNamespace

import pytest
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator

from messaging import consumers, realtime

TENANT = SimpleNamespace(number=4)
USER = SimpleNamespace(is_authenticated=True, pk=1)

pytestmark = [pytest.mark.asyncio, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _layer_in_memory(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


def socket(*, tenant=TENANT, user=USER, welcome=True) -> WebsocketCommunicator:
    """A page's socket as it comes out of the middleware."""
    communicator = WebsocketCommunicator(consumers.LiveConsumer.as_asgi(), "/ws/live/")

    async def still_welcome() -> bool:
        return welcome

    async def sees_all() -> bool:
        return True

    communicator.scope.update(
        tenant=tenant, user=user, still_welcome=still_welcome, sees_all=sees_all
    )
    return communicator


@pytest.mark.parametrize(("tenant", "user"), [(None, USER), (TENANT, None), (None, None)])
async def test_nobody_listens_without_tenant_and_user(tenant, user):
    stranger = socket(tenant=tenant, user=user)
    await stranger.connect()

    closing = await stranger.receive_output()

    assert (closing["type"], closing["code"]) == ("websocket.close", 4401)


async def test_events_of_the_own_tenant_arrive_and_no_others():
    page = socket()
    await page.connect()
    event = {"type": "tenant.event", "kind": "message", "conversation": 1, "message": 2}

    await get_channel_layer().group_send(realtime.group_of(5), {**event, "message": 3})
    await get_channel_layer().group_send(realtime.group_of(4), event)

    assert await page.receive_json_from() == event
    assert await page.receive_nothing()
    await page.disconnect()


async def test_page_is_told_to_fetch_again():
    page = socket()
    await page.connect()

    await get_channel_layer().group_send(realtime.group_of(4), {"type": "resync"})

    assert await page.receive_json_from() == {"type": "resync"}
    await page.disconnect()


@pytest.mark.parametrize("noise", ["{", "[]", '"ping"', "null", '{"type": "tenant.event"}'])
async def test_ping_is_answered_and_noise_is_not(noise):
    page = socket()
    await page.connect()

    await page.send_to(text_data=noise)
    await page.send_to(bytes_data=b"\x00")
    await page.send_json_to({"type": "ping"})

    assert await page.receive_json_from() == {"type": "pong"}
    assert await page.receive_nothing()
    await page.disconnect()


async def test_who_lost_the_right_is_sent_away(monkeypatch):
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.01)
    page = socket(welcome=False)
    await page.connect()
    await asyncio.sleep(0.05)

    closing = await page.receive_output()

    assert (closing["type"], closing["code"]) == ("websocket.close", 4403)
