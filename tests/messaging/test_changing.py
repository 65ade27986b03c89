"""What is done to a message after it was said shows the same in whatever order it is told."""

from datetime import timedelta
from itertools import permutations

import pytest

from messaging.models import Conversation, Message, MessageEvent
from messaging.views import bubbles
from tenants import context
from tenants.models import WebhookDelivery
from tests import factories
from tests.messaging.test_api import Caller
from tests.messaging.test_ingest import T0, deleted, deliver, drain, edited, received

PERSON = "221701112233@s.whatsapp.net"


@pytest.mark.parametrize("together", [False, True], ids=["apart", "in one batch"])
def test_edit_that_comes_before_its_message_waits_for_it(tenant, together):
    deliver(tenant, edited())
    if not together:
        drain(tenant)
    deliver(tenant, received("A", "first words"))

    drain(tenant)

    with context.entered(tenant):
        message = Message.objects.get()
        conversation = Conversation.objects.get()
        assert (message.text, message.edited_at is None) == ("corrected", False)
        assert conversation.last_message_snippet == "corrected"


def test_newest_of_several_waiting_edits_is_shown(tenant):
    deliver(tenant, edited("A", "third words", T0 + timedelta(minutes=2)))
    deliver(tenant, edited("A", "second words", T0 + timedelta(minutes=1)))
    deliver(tenant, received("A", "first words"))

    drain(tenant)

    with context.entered(tenant):
        assert Message.objects.get().text == "third words"


def test_edit_of_a_message_nobody_knows_is_kept_as_a_fact(tenant):
    deliver(tenant, edited())

    drain(tenant)

    with context.entered(tenant):
        assert list(MessageEvent.objects.values_list("kind", flat=True)) == ["edited"]
    assert WebhookDelivery.objects.of(tenant).get().state == "done"


def test_edit_whose_delivery_is_gone_leaves_the_message_as_it_came(tenant):
    deliver(tenant, edited())
    drain(tenant)
    WebhookDelivery.objects.of(tenant).delete()
    deliver(tenant, received("A", "first words"))

    drain(tenant)

    with context.entered(tenant):
        message = Message.objects.get()
        assert (message.text, message.edited_at) == ("first words", None)


def reaction(emoji, at=T0, key="A", phone="221701112233", from_us=False, group=""):
    """A `messages.reaction` body: what somebody put on a message, "" where it was taken back."""
    who = f"{phone}@s.whatsapp.net"
    on = {"remoteJid": group or who, "fromMe": False, "id": key}
    by = {"remoteJid": group or who, "fromMe": from_us, "id": f"R{at.minute}{emoji}{phone}"}
    by |= {"participant": who, "cleanedParticipantPn": phone} if group else {}
    told = {"text": emoji, "key": by, "senderTimestampMs": int(at.timestamp() * 1000)}
    return {
        "event": "messages.reaction",
        "timestamp": int(at.timestamp() * 1000),
        "data": [{"key": on, "reaction": told}],
    }


REACTIONS = (
    reaction("👍", T0 + timedelta(minutes=1)),
    reaction("❤️", T0 + timedelta(minutes=2)),
    reaction("🙏", T0 + timedelta(minutes=3), from_us=True),
    received("A", "Merci"),
)


@pytest.mark.parametrize("order", tuple(permutations(range(4))), ids=str)
def test_reactions_show_the_newest_of_each_side_whatever_the_order(tenant, order):
    for position in order:
        deliver(tenant, REACTIONS[position])
        drain(tenant)

    with context.entered(tenant):
        shown = {who: each["emoji"] for who, each in Message.objects.get().reactions.items()}
        assert shown == {"contact": "❤️", "us": "🙏"}


def test_reaction_taken_back_is_shown_no_more_and_never_opens_a_conversation(tenant, other_tenant):
    deliver(tenant, received("A", "Merci"))
    deliver(tenant, reaction("👍", T0 + timedelta(minutes=1)))
    deliver(tenant, reaction("", T0 + timedelta(minutes=2)))
    deliver(tenant, reaction("👍", T0, key="UNKNOWN", phone="221709998877"))
    with context.entered(other_tenant):
        theirs = factories.make_message(factories.make_conversation(other_tenant), external_id="A")

    drain(tenant)

    with context.entered(tenant):
        message = Message.objects.get()
        assert [each.emoji for each in bubbles.bubble(message).reactions] == []
        assert message.reactions["contact"]["emoji"] == ""
    with context.entered(other_tenant):
        theirs.refresh_from_db()
        assert theirs.reactions == {}


def test_reactions_of_a_withdrawn_message_are_gone(tenant):
    deliver(tenant, received("A", "Merci"))
    deliver(tenant, reaction("👍", T0 + timedelta(minutes=1)))
    deliver(tenant, deleted("A"))
    deliver(tenant, reaction("❤️", T0 + timedelta(minutes=5)))

    drain(tenant)

    with context.entered(tenant):
        message = Message.objects.get()
        assert (message.deleted_at is None, message.reactions) == (False, {})


def test_reactions_of_a_group_are_each_persons_own(tenant):
    group = "120363041234567890@g.us"
    deliver(tenant, received("A", "Réunion à 10 h", remoteJid=group, participant=PERSON))
    deliver(tenant, reaction("👍", T0 + timedelta(minutes=1), group=group))
    deliver(tenant, reaction("👍", T0 + timedelta(minutes=2), phone="221705556677", group=group))

    drain(tenant)

    with context.entered(tenant):
        (shown,) = bubbles.bubble(Message.objects.get()).reactions
        assert (shown.emoji, len(shown.people)) == ("👍", 2)


def test_reactions_are_on_the_page_and_in_the_api(tenant, agent, client_for):
    deliver(tenant, received("A", "Merci"))
    deliver(tenant, reaction("👍", T0 + timedelta(minutes=1)))
    deliver(tenant, reaction("👍", T0 + timedelta(minutes=2), from_us=True))
    drain(tenant)
    with context.entered(tenant):
        message = Message.objects.get()

    page = client_for(tenant, agent).get(f"/messages/{message.pk}/").content.decode()
    told = Caller(tenant, agent).get(f"/api/messages/{message.pk}/").json()["reactions"]

    assert '<span class="unseen">👍 par le contact, nous</span>' in page
    assert told == [
        {"emoji": "👍", "by": "contact", "name": "", "at": "2026-03-02T09:01:00Z"},
        {"emoji": "👍", "by": "us", "name": "", "at": "2026-03-02T09:02:00Z"},
    ]
