"""Instances are asked how they are, connected again where they went away, left alone where only a
person can help."""

import json
from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import connection

from messaging import linking, looking_after, states, tasks
from messaging.events import Connection, InstanceChanged
from messaging.ingest import Batch
from messaging.models import MessageEvent
from messaging.providers import get as provider_of
from messaging.providers.base import Blame, InstanceState, SendError
from messaging.refusing import Refused
from tenants import context
from tenants.accounts.models import AuditEntry
from tenants.models import ProviderInstance, WebhookDelivery
from tests import factories
from tests.conftest import NOW, at
from tests.messaging.test_outbox import jobs_waiting

State = ProviderInstance.State
DOWN = InstanceState(Connection.DISCONNECTED)
UP = InstanceState(Connection.CONNECTED)


class Wasender:
    """Wasender's side: what it says of an instance, and what it was asked."""

    def __init__(self) -> None:
        self.says: InstanceState | SendError = UP
        self.after_restart: InstanceState | SendError = UP
        self.asked: Counter[str] = Counter()

    def check(self, via) -> InstanceState:
        self.asked["check"] += 1
        return self._answer(self.says)

    def restart(self, via) -> InstanceState:
        self.asked["restart"] += 1
        return self._answer(self.after_restart)

    def connect(self, via) -> InstanceState:
        self.asked["connect"] += 1
        return InstanceState(Connection.PENDING, "need_scan", qr="2@code")

    def disconnect(self, via) -> InstanceState:
        self.asked["disconnect"] += 1
        return DOWN

    def qr(self, via) -> str:
        self.asked["qr"] += 1
        return "2@code"

    def _answer(self, said):
        if isinstance(said, SendError):
            raise said
        return said


@pytest.fixture
def wasender(monkeypatch) -> Wasender:
    """The adapter with its outgoing calls replaced."""
    stand_in = Wasender()
    for name in ("check", "restart", "connect", "disconnect", "qr"):
        monkeypatch.setattr(provider_of("wasender"), name, getattr(stand_in, name))
    return stand_in


def put(instance: ProviderInstance, state: str, reason: str = "", **facts) -> ProviderInstance:
    """The instance in a state, due to be looked at."""
    facts = {"look_again_at": NOW, "state_changed_at": NOW - timedelta(hours=1)} | facts
    ProviderInstance.objects.of(instance.tenant_id).filter(pk=instance.pk).update(
        state=state, state_reason=reason, **facts
    )
    instance.refresh_from_db()
    return instance


def taken_from_queue() -> list[dict]:
    """The looks that were ordered, as a worker takes them."""
    waiting = [args for task, args, _at in jobs_waiting() if task == "amda.look_after"]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM public.procrastinate_jobs WHERE task_name = 'amda.look_after'")
    return [json.loads(args) for args in waiting]


def looked_after(instance: ProviderInstance, moment=NOW) -> ProviderInstance:
    with at(moment):
        looking_after.look_after(instance.pk)
    instance.refresh_from_db()
    return instance


def test_one_that_went_away_is_connected_again(inside, instance, wasender):
    wasender.says = DOWN
    put(instance, "disconnected")

    looked_after(instance)

    assert (instance.state, instance.tries) == ("connected", 0)
    assert instance.look_again_at == NOW + timedelta(minutes=5)
    assert wasender.asked == {"check": 1, "restart": 1}


def test_tries_become_rarer_up_to_a_cap(inside, instance, wasender):
    wasender.says = wasender.after_restart = DOWN
    put(instance, "disconnected")
    moment, pauses = NOW, []

    for _try in range(9):
        looked_after(instance, moment)
        pauses.append((instance.look_again_at - moment).total_seconds())
        moment = instance.look_again_at

    assert pauses == [10, 20, 40, 80, 160, 300, 300, 300, 300]
    assert wasender.asked == {"check": 9, "restart": 9}


def test_one_whose_time_has_not_come_is_not_asked(inside, instance, wasender):
    put(instance, "disconnected", look_again_at=NOW + timedelta(seconds=1))

    looked_after(instance)

    assert wasender.asked == {}


def test_two_workers_ask_once(inside, instance, wasender, monkeypatch):
    put(instance, "disconnected")
    check = provider_of("wasender").check

    def check_while_another_looks(via):
        looking_after.look_after(instance.pk)
        return check(via)

    monkeypatch.setattr(provider_of("wasender"), "check", check_while_another_looks)

    looked_after(instance)

    assert wasender.asked == {"check": 1}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("conflict", "replaced"),
        ("blocked", ""),
        ("pending", "need_scan"),
        ("disconnected", "logged_out"),
    ],
)
def test_what_only_a_person_can_bring_back_is_left_alone(inside, instance, wasender, state, reason):
    told = InstanceState(Connection(state), reason)
    states.enter(instance, told, at=NOW)
    instance.refresh_from_db()

    with at(NOW + timedelta(days=1)):
        ordered = looking_after.order_due()
        looking_after.begin()

    assert instance.look_again_at is None
    assert ordered == 0
    assert wasender.asked == {}


@pytest.mark.parametrize("said", [DOWN, InstanceState(Connection.PENDING, "connecting")])
def test_after_a_conflict_it_is_never_connected_again_by_itself(inside, instance, wasender, said):
    states.enter(instance, InstanceState(Connection.CONFLICT, "replaced"), at=NOW)
    wasender.says = said

    linking.look(instance)
    states.enter(instance, said, at=NOW + timedelta(seconds=5))
    instance.refresh_from_db()

    assert (instance.state, instance.look_again_at) == ("conflict", None)
    assert wasender.asked == {"check": 1}


def test_after_a_conflict_a_person_may_connect_it(inside, owner, instance, wasender):
    states.enter(instance, InstanceState(Connection.CONFLICT, "replaced"), at=NOW)

    found = linking.connect(instance, by=owner)
    instance.refresh_from_db()

    assert found.qr == "2@code"
    assert (instance.state, instance.state_reason) == ("pending", "need_scan")


def test_what_a_person_disconnected_stays_so(inside, owner, instance, wasender):
    put(instance, "connected")
    wasender.says = DOWN

    linking.disconnect(instance, by=owner)
    linking.look(instance)
    instance.refresh_from_db()

    assert (instance.state, instance.is_held, instance.look_again_at) == (
        "disconnected",
        True,
        None,
    )
    assert wasender.asked == {"disconnect": 1, "check": 1}


def test_wrong_keys_wait_for_a_person(inside, instance, wasender):
    wasender.says = SendError("unauthorized", blame=Blame.ACCOUNT)
    put(instance, "connected")

    looked_after(instance)

    assert (instance.state, instance.state_reason) == ("disconnected", "unauthorized")
    assert instance.look_again_at is None
    assert wasender.asked == {"check": 1}


def test_a_provider_that_does_not_answer_changes_no_state(inside, instance, wasender):
    wasender.says = SendError("timeout", retry=True)
    put(instance, "connected")

    looked_after(instance)

    assert (instance.state, instance.state_reason) == ("connected", "timeout")
    assert instance.look_again_at == NOW + timedelta(minutes=5)
    assert wasender.asked == {"check": 1}


def test_one_that_was_heard_a_moment_ago_is_not_asked(inside, instance, wasender):
    put(instance, "connected", last_event_at=NOW - timedelta(minutes=4))

    looked_after(instance)

    assert instance.look_again_at == NOW + timedelta(minutes=5)
    assert wasender.asked == {}


def test_news_older_than_what_the_provider_said_itself_are_old(inside, instance, wasender):
    put(instance, "connected", known_at=NOW)
    said = InstanceChanged(
        event_id="e1",
        instance_ref=instance.reference,
        at=NOW - timedelta(seconds=10),
        raw={},
        state=Connection.DISCONNECTED,
    )
    delivery = WebhookDelivery(pk=1, instance=instance, received_at=NOW)

    Batch(inside).apply([said], delivery)
    instance.refresh_from_db()

    assert instance.state == "connected"


def test_after_a_restart_fifty_have_their_turn_within_two_minutes(
    inside, instance, other_tenant, wasender
):
    wasender.says = DOWN
    wasender.after_restart = InstanceState(Connection.PENDING, "connecting")
    everybody = [instance.pk]
    for place in range(49):
        owner = other_tenant if place % 2 else inside
        made = factories.make_instance(
            owner, address=f"+2217011{place:05d}", reference=f"session-{place}"
        )
        everybody.append(made.pk)
    # They went away an hour ago: tried so often that the next try is minutes away.
    ProviderInstance.objects.across_tenants().update(
        state="disconnected", tries=9, look_again_at=NOW + timedelta(minutes=4)
    )
    dead = factories.make_instance(inside, address="+221700000999", reference="dead")
    ProviderInstance.objects.of(inside).filter(pk=dead.pk).update(
        state="conflict", look_again_at=None
    )
    mine = ProviderInstance.objects.across_tenants().filter(pk__in=everybody)

    with at(NOW):
        looking_after.begin()
    everything = ProviderInstance.objects.across_tenants().exclude(pk=dead.pk)
    turns = sorted(everything.values_list("look_again_at", flat=True))
    clock = NOW
    while clock <= NOW + timedelta(minutes=2):
        with at(clock):
            looking_after.order_due()
            for job in taken_from_queue():
                tasks.look_after(**job)
        clock += timedelta(seconds=2)

    gaps = {(after - before).total_seconds() for before, after in pairwise(turns)}
    assert max(gaps) <= 2 and turns[-1] <= NOW + timedelta(seconds=120)
    retried = set(mine.filter(state="pending").values_list("pk", flat=True))
    assert retried == set(everybody)
    assert wasender.asked["restart"] == len(everything)
    dead.refresh_from_db()
    assert dead.state == "conflict"


def test_a_second_worker_puts_nothing_off(inside, instance, wasender):
    put(instance, "disconnected")
    with at(NOW):
        looking_after.begin()
    first = ProviderInstance.objects.of(inside).get(pk=instance.pk).look_again_at

    with at(NOW + timedelta(seconds=-1)):
        looking_after.begin()

    assert ProviderInstance.objects.of(inside).get(pk=instance.pk).look_again_at == first


# What programs see


def test_status_asks_where_nothing_is_known_for_a_minute(
    client_for, tenant, owner, instance, wasender
):
    wasender.says = DOWN
    put(instance, "connected", known_at=NOW - timedelta(seconds=61))
    client = client_for(tenant, owner)

    with at(NOW):
        answer = client.get("/api/whatsapp/status")

    assert answer.status_code == 200
    told = answer.json()
    assert (told["status"], told["connected"], told["phoneNumber"]) == (
        "disconnected",
        False,
        instance.address,
    )
    assert wasender.asked == {"check": 1}


def test_status_answers_what_is_known_within_a_minute(
    client_for, tenant, owner, instance, wasender
):
    put(instance, "disconnected", known_at=NOW - timedelta(seconds=59))
    client = client_for(tenant, owner)

    with at(NOW):
        told = client.get("/api/whatsapp/status").json()

    assert told["status"] == "disconnected"
    assert wasender.asked == {}


def test_status_counts_an_event_of_the_last_five_minutes_as_connected(
    client_for, tenant, owner, instance, wasender
):
    heard = NOW - timedelta(minutes=4)
    put(instance, "disconnected", last_event_at=heard)
    with context.entered(tenant):
        MessageEvent.objects.create(
            provider="wasender", instance_id=instance.pk, event_id="e1", kind="message", at=heard
        )
    client = client_for(tenant, owner)

    with at(NOW):
        told = client.get("/api/whatsapp/status").json()

    assert told["status"] == "connected"
    assert wasender.asked == {}


def test_status_does_not_count_the_news_that_it_went_away(
    client_for, tenant, owner, instance, wasender
):
    heard = NOW - timedelta(minutes=4)
    wasender.says = DOWN
    put(instance, "disconnected", last_event_at=heard)
    with context.entered(tenant):
        MessageEvent.objects.create(
            provider="wasender", instance_id=instance.pk, event_id="e1", kind="instance", at=heard
        )
    client = client_for(tenant, owner)

    with at(NOW):
        told = client.get("/api/whatsapp/status").json()

    assert told["status"] == "disconnected"
    assert wasender.asked == {"check": 1}


def test_connect_qr_and_disconnect(client_for, tenant, owner, instance, wasender):
    put(instance, "disconnected")
    client = client_for(tenant, owner)

    connected = client.post("/api/whatsapp/connect", {}, content_type="application/json").json()
    code = client.get("/api/whatsapp/qr").json()
    over = client.post("/api/whatsapp/disconnect", {}, content_type="application/json").json()

    assert (connected["status"], connected["qr"]) == ("pending", "2@code")
    assert code["qr"] == "2@code"
    assert code["image"].startswith("data:image/svg+xml;base64,")
    assert over["status"] == "disconnected"
    assert wasender.asked == {"connect": 1, "qr": 1, "disconnect": 1}
    with context.entered(tenant):
        acts = list(AuditEntry.objects.order_by("pk").values_list("act", "by_id"))
    assert acts == [("instance.linked", owner.pk), ("instance.let_go", owner.pk)]


def test_which_number_must_be_clear(client_for, tenant, owner, instance, wasender, other_tenant):
    second = factories.make_instance(tenant, address="+221700000321", reference="second")
    foreign = ProviderInstance.objects.of(other_tenant).first()
    client = client_for(tenant, owner)

    unclear = client.get("/api/whatsapp/status")
    named = client.get(f"/api/whatsapp/status?instance={second.pk}")
    unknown = client.get(f"/api/whatsapp/status?instance={foreign.pk}")

    assert (unclear.status_code, unclear.json()["error"]["code"]) == (409, "instance_ambiguous")
    assert (named.status_code, named.json()["instance"]) == (200, second.pk)
    assert (unknown.status_code, unknown.json()["error"]["field"]) == (404, "instance")


def test_a_refusal_of_the_provider_says_so(client_for, tenant, owner, instance, monkeypatch):
    def connect(via):
        raise SendError("unauthorized", "no such token", blame=Blame.ACCOUNT)

    monkeypatch.setattr(provider_of("wasender"), "connect", connect)
    client = client_for(tenant, owner)

    answer = client.post("/api/whatsapp/connect", {}, content_type="application/json")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "provider_refused")


def test_an_agent_may_look_and_not_connect(client_for, tenant, agent, instance, wasender):
    client = client_for(tenant, agent)

    assert client.get("/api/whatsapp/status").status_code == 200
    assert client.post("/api/whatsapp/connect").status_code == 403
    assert client.get("/api/whatsapp/qr").status_code == 403
    assert client.post(f"/numbers/{instance.pk}/connect/").status_code == 403
    assert wasender.asked["connect"] == wasender.asked["qr"] == 0


# What people see


def test_the_page_shows_the_code_while_it_is_to_be_scanned(
    client_for, tenant, owner, instance, wasender, other_tenant
):
    put(instance, "disconnected")
    client = client_for(tenant, owner)

    card = client.post(
        f"/numbers/{instance.pk}/connect/",
        {"risk_accepted": "on"},
        headers={"hx-request": "true"},
    )
    shown = client.get("/numbers/").content.decode()
    piece = client.get(f"/numbers/{instance.pk}/code/").content.decode()

    assert f'hx-get="/numbers/{instance.pk}/code/"' in card.content.decode()
    assert f'hx-get="/numbers/{instance.pk}/code/"' in shown
    assert "data:image/svg+xml;base64," in piece
    foreign = ProviderInstance.objects.of(other_tenant).first()
    assert foreign.address not in shown
    assert client.get(f"/numbers/{foreign.pk}/code/").status_code == 404


def test_a_code_the_provider_drew_is_shown_as_it_is():
    assert linking.picture("data:image/png;base64,AAAA") == "data:image/png;base64,AAAA"


def test_where_nothing_can_be_scanned_the_reason_is_told(inside, wasender):
    meta = factories.make_instance(
        inside, provider="whatsapp_cloud", address="+221700000555", reference="555"
    )

    with pytest.raises(Refused) as refused:
        linking.qr(meta)

    assert refused.value.code == "unsupported"
