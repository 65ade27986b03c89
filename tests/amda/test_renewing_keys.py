"""Staff replace a number's key: the new one is kept and nothing is lost, whatever is answered."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from messaging import calling, connecting, delivering, looking_after, media, outbox
from messaging.models import MessageFile
from messaging.providers import get as provider_of
from messaging.providers.base import Blame, SendError, Sent
from tenants import audit, context, directory
from tenants.accounts.models import AuditEntry
from tenants.models import ProviderInstance
from tests import factories
from tests.amda.test_connections import verified
from tests.conftest import at
from tests.fakes import wasender
from tests.fakes.serving import beside

OLD, NEW = "key-at-wasender-1", "key-at-wasender-1-again"


@pytest.fixture(autouse=True)
def _no_attempts_so_far(db):
    cache.clear()


@pytest.fixture
def as_staff(staff, client_for):
    client = client_for(None, staff)
    client.cookies["amda_language"] = "en"
    return client


@pytest.fixture
def server(monkeypatch, instance):
    """Wasender, where the vendor's instance is a session of an account whose token it has."""
    state = wasender.State()
    state.sessions = {"instance_1": wasender.session(1)}
    monkeypatch.setattr(wasender, "STATE", state)
    with beside(state, wasender.answer) as url:
        instance.settings = {"api_url": f"{url}/api", "session_id": "instance_1"}
        instance.secrets = {
            "api_key": OLD,
            "webhook_secret": "the secret",
            "personal_token": wasender.ACCOUNT_TOKEN,
        }
        instance.save()
        directory.forget()
        yield state


def page(instance, name="key/"):
    return f"/admin/tenants/providerinstance/{instance.pk}/{name}"


def said(answer):
    return [str(each) for each in answer.context["messages"]]


def renew(as_staff, instance):
    answer = as_staff.post(page(instance), follow=True)
    instance.refresh_from_db()
    return said(answer)


def read_back(as_staff, instance):
    answer = as_staff.post(page(instance, "key/back/"), follow=True)
    instance.refresh_from_db()
    return said(answer)


def acts():
    keys = AuditEntry.objects.filter(act__contains="key").order_by("id")
    return list(keys.values_list("act", flat=True))


def test_page_says_first_that_the_former_key_is_dead(instance, server, as_staff):
    shown = as_staff.get(page(instance)).content.decode()
    on_its_page = as_staff.get(page(instance, "change/")).content.decode()

    assert "The former one is dead at that moment" in shown
    assert f'href="{page(instance)}"' in on_its_page
    assert server.sessions["instance_1"]["api_key"] == OLD and acts() == []


def test_new_key_is_kept_and_both_sides_read_who_did_it(tenant, instance, server, staff, as_staff):
    before = instance.secrets

    assert renew(as_staff, instance) == [
        "The key is replaced and kept here. The former one is dead."
    ]

    assert instance.secrets == {**before, "api_key": NEW}
    assert instance.key_in_doubt_since is None
    assert acts() == ["instance.key_asked_for", "instance.key_renewed"]
    [entry] = audit.by_platform(tenant.number, audit.Asked(act="instance.key_renewed"), 2)
    assert (entry.by_id, entry.after) == (staff.pk, {"replaced": ["api_key"]})


def test_posts_are_verified_as_before_with_the_secret_that_was_just_changed_too(
    tenant, instance, server, as_staff
):
    now = timezone.now()
    connecting.connect_instance(
        tenant, "wasender", address=instance.address, values={"webhook_secret": "the new secret"}
    )

    renew(as_staff, instance)

    for minutes, is_old_good in ((0, True), (59, True), (61, False)):
        moment = now + timedelta(minutes=minutes)
        assert verified(instance, "the new secret", moment)
        assert verified(instance, "the secret", moment) is is_old_good


def test_refusal_leaves_the_key_and_says_why(tenant, instance, server, as_staff):
    instance.secrets = {**instance.secrets, "personal_token": "revoked"}
    instance.save()

    [why] = renew(as_staff, instance)

    assert "did not do it: unauthorized" in why and "The key is what it was" in why
    assert (instance.secrets["api_key"], instance.key_in_doubt_since) == (OLD, None)
    assert acts() == ["instance.key_asked_for", "instance.key_not_renewed"]


def test_lost_answer_is_read_back(instance, server, as_staff):
    server.loses = {"regenerate-key"}

    [told] = renew(as_staff, instance)

    assert told == "The account shows a new key: it is kept here. The former one is dead."
    assert (instance.secrets["api_key"], instance.key_in_doubt_since) == (NEW, None)


def test_lost_answer_that_changed_nothing_waits_a_while_and_tries_the_key(
    tenant, instance, server, as_staff
):
    now = timezone.now()
    server.loses = {"regenerate-key, undone"}

    [told] = renew(as_staff, instance)

    assert "still shows the former key" in told
    assert instance.secrets["api_key"] == OLD and instance.key_in_doubt_since
    assert "Read the key back" in as_staff.get(page(instance, "change/")).content.decode()
    looked_at(tenant, instance, now + timedelta(minutes=2))
    assert instance.key_in_doubt_since
    looked_at(tenant, instance, now + timedelta(minutes=4))
    assert (instance.key_in_doubt_since, instance.state) == (None, "connected")


def looked_at(tenant, instance, moment):
    """What the worker does once the instance's time has come."""
    with at(moment), context.entered(tenant):
        looking_after.look_after(instance.pk)
    instance.refresh_from_db()


def test_key_that_nobody_knows_is_read_back_once_the_account_shows_it(
    tenant, instance, server, as_staff
):
    server.loses = {"regenerate-key"}
    server.shows_secrets = False

    [told] = renew(as_staff, instance)
    [again] = renew(as_staff, instance)
    [not_shown] = read_back(as_staff, instance)

    assert "nobody knows which one is good" in told
    assert "asked for a moment ago" in again
    assert not_shown == "The account does not show the key."
    assert instance.key_in_doubt_since and instance.secrets["api_key"] == OLD
    server.shows_secrets = True
    [found] = read_back(as_staff, instance)
    assert found.startswith("The account shows a new key")
    assert (instance.secrets["api_key"], instance.key_in_doubt_since) == (NEW, None)


def test_dead_key_waits_for_a_person_and_one_who_gives_the_new_one_ends_it(
    tenant, instance, server, as_staff
):
    now = timezone.now()
    server.loses = {"regenerate-key"}
    server.shows_secrets = False
    renew(as_staff, instance)

    looked_at(tenant, instance, now + timedelta(minutes=4))

    assert (instance.state, instance.state_reason) == ("disconnected", "unauthorized")
    assert instance.key_in_doubt_since and instance.look_again_at is None
    connecting.connect_instance(
        tenant, "wasender", address=instance.address, values={"api_key": NEW}
    )
    instance.refresh_from_db()
    assert instance.key_in_doubt_since is None


def test_key_that_is_what_it_was_is_said_when_read_back(instance, server, as_staff):
    assert read_back(as_staff, instance) == ["The account shows the key that is kept here."]
    assert instance.secrets["api_key"] == OLD


# What is being sent


@pytest.fixture
def sending(tenant, instance, server, monkeypatch):
    """A message that waits, and the keys with which the adapter was called."""
    keys = []

    def send(outgoing, via):
        keys.append(via.secrets["api_key"])
        if via.secrets["api_key"] != server.sessions["instance_1"]["api_key"]:
            raise SendError("unauthorized", blame=Blame.ACCOUNT)
        return Sent(provider_number="100")

    monkeypatch.setattr(provider_of("wasender"), "send", send)
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant)
        message = outbox.queue(conversation, "Bonjour", origin="api")
    return message, keys


def drain(tenant, instance, message):
    with context.entered(tenant):
        delivering.drain(tenant.number, instance.pk)
        message.refresh_from_db()


def test_nothing_is_sent_while_the_key_is_in_doubt(tenant, instance, server, as_staff, sending):
    message, keys = sending
    server.loses = {"regenerate-key"}
    server.shows_secrets = False
    renew(as_staff, instance)

    drain(tenant, instance, message)

    assert (message.status, keys) == ("queued", [])
    server.shows_secrets = True
    read_back(as_staff, instance)
    drain(tenant, instance, message)
    assert (message.status, keys) == ("sent", [NEW])


def test_message_on_its_way_with_the_former_key_leaves_with_the_new_one(
    tenant, instance, server, as_staff, sending
):
    message, keys = sending
    adapter = provider_of("wasender")
    with context.entered(tenant):
        via = calling.open_via(ProviderInstance.objects.of(tenant).get())
    renew(as_staff, instance)

    with via.http, context.entered(tenant):
        claimed = delivering.claiming.claim(instance.pk, timezone.now())
        delivering.send(claimed, adapter, via)
        claimed.refresh_from_db()
    assert (claimed.status, claimed.attempts, claimed.error_code) == ("queued", 0, "")
    drain(tenant, instance, message)

    assert (message.status, keys) == ("sent", [OLD, NEW])


def test_same_number_elsewhere_sends_while_the_key_is_dead(tenant, instance, sending):
    message, keys = sending
    ProviderInstance.objects.of(tenant).filter(pk=instance.pk).update(
        key_in_doubt_since=timezone.now(), state="disconnected"
    )
    other = factories.make_instance(
        tenant, provider="greenapi", reference="7", address=instance.address
    )

    drain(tenant, instance, message)

    assert (message.status, message.instance_id, keys) == ("queued", other.pk, [])


def test_message_that_is_refused_for_the_only_key_there_is_has_failed(
    tenant, instance, server, sending
):
    message, _keys = sending
    server.sessions["instance_1"]["api_key"] = "replaced elsewhere"

    drain(tenant, instance, message)

    assert (message.status, message.error_code) == ("failed", "unauthorized")


def test_file_that_a_former_key_is_refused_for_is_asked_for_again(
    tenant, instance, server, monkeypatch
):
    def fetch_media(reference, via, *, limit):
        ProviderInstance.objects.of(tenant).filter(pk=instance.pk).update(
            key_in_doubt_since=timezone.now()
        )
        raise SendError("unauthorized", blame=Blame.ACCOUNT)

    monkeypatch.setattr(provider_of("wasender"), "fetch_media", fetch_media)
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant)
        file = MessageFile.objects.create(
            message=conversation.messages.get(), kind="image", reference={"id": "1"}
        )
        media.fetch(file.pk)
        file.refresh_from_db()

    assert file.state == "waiting"


# Who may


def test_another_vendors_number_keeps_its_key(tenant, other_tenant, instance, server, as_staff):
    theirs = ProviderInstance.objects.of(other_tenant).get()
    before = ProviderInstance.objects.of(other_tenant).values().get(pk=theirs.pk)

    renew(as_staff, instance)

    assert ProviderInstance.objects.of(other_tenant).values().get(pk=theirs.pk) == before


@pytest.mark.parametrize("name", ["key/", "key/back/"])
def test_nothing_is_replaced_by_looking_nor_by_others(instance, server, as_staff, client_for, name):
    as_staff.get(page(instance, name))
    nobody = client_for(None).post(page(instance, name))

    assert nobody.url.startswith("/admin/login/")
    assert server.sessions["instance_1"]["api_key"] == OLD and acts() == []


def test_provider_without_such_keys_offers_and_does_nothing(tenant, as_staff):
    meta = factories.make_instance(tenant, provider="whatsapp_cloud", reference="1")

    assert page(meta) not in as_staff.get(page(meta, "change/")).content.decode()
    assert renew(as_staff, meta) == ["This provider does not do that: do it on its own site."]
