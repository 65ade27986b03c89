"""The same write sent twice: one effect, one answer."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client

from messaging import outbox
from messaging.models import Lead, Message
from tenants import context
from tenants.accounts.models import RememberedWrite, Role, User
from tenants.api import idempotency, tokens
from tests import factories
from tests.conftest import host_of, user_of

JSON = "application/json"


def caller_of(tenant, user):
    with context.entered(tenant):
        access = tokens.pair_for(user)["access"]
    return Client(headers={"host": host_of(tenant), "authorization": f"Bearer {access}"})


@pytest.fixture
def caller(tenant, agent):
    return caller_of(tenant, agent)


def write(caller, key, name="Awa", path="/api/leads/"):
    headers = {"idempotency-key": key}
    return caller.post(path, {"name": name}, content_type=JSON, headers=headers)


def say(caller, key, text="Bonjour"):
    body = {"to": "+221701112233", "text": text}
    headers = {"idempotency-key": key}
    return caller.post("/api/messages/", body, content_type=JSON, headers=headers)


def count(tenant, model):
    with context.entered(tenant):
        return model.objects.count()


def refusal(response):
    return response.status_code, response.json()["error"]["code"]


def test_same_key_gives_the_same_answer_without_a_second_effect(caller, tenant):
    first = write(caller, "k1")
    second = write(caller, "k1")

    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    assert "Idempotent-Replay" not in first
    assert second["Idempotent-Replay"] == "true"
    assert count(tenant, Lead) == 1


@pytest.mark.parametrize("other", [{"name": "Moussa"}, {"path": "/api/leads/?again=1"}])
def test_same_key_with_another_request_is_refused(caller, tenant, other):
    write(caller, "k1")

    answer = write(caller, "k1", **other)

    assert refusal(answer) == (422, "idempotency_key_reused")
    assert answer.json()["error"]["field"] == "Idempotency-Key"
    assert count(tenant, Lead) == 1


def test_key_belongs_to_one_person_of_one_tenant(caller, tenant, other_tenant):
    colleague = caller_of(tenant, user_of(tenant, Role.ADMIN))
    stranger = caller_of(other_tenant, user_of(other_tenant, Role.AGENT))

    answers = [write(each, "k1") for each in (caller, colleague, stranger)]

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert not any("Idempotent-Replay" in answer for answer in answers)


def test_refused_write_leaves_its_key_free(caller, tenant):
    refused = say(caller, "k1", text="")
    factories.make_instance(tenant)
    ambiguous = say(caller, "k1", text="Bonjour")
    corrected = write(caller, "k1")

    assert (refused.status_code, ambiguous.status_code) == (400, 409)
    assert corrected.status_code == 201


def test_refused_write_leaves_nothing_behind(caller, tenant, monkeypatch):
    def refuse(number):
        raise outbox.limits.LimitReached("tenant_suspended", "no")

    monkeypatch.setattr(outbox.limits, "require_may_send", refuse)

    answer = caller.post("/api/messages/", {"to": "+221701112233", "text": "x"}, content_type=JSON)

    assert refusal(answer) == (403, "tenant_suspended")
    assert count(tenant, Lead) == 0


@pytest.mark.parametrize("key", ["", "x" * 201, "clé", "a\tb"])
def test_impossible_keys_are_refused(caller, key):
    answer = write(caller, key)

    assert refusal(answer) == (400, "idempotency_key_invalid")


def test_longest_key_is_taken(caller):
    assert write(caller, "x" * 200).status_code == 201


def unfinished(tenant, caller, key, seconds):
    """A first attempt that was remembered as begun, `seconds` ago, and has no answer."""
    first = write(caller, key)
    with context.entered(tenant):
        Lead.objects.all().delete()
        begun = RememberedWrite.objects.get(key=key)
        RememberedWrite.objects.filter(pk=begun.pk).update(
            status=None, answer=None, created_at=begun.created_at - timedelta(seconds=seconds)
        )
    return first


def test_attempt_that_is_under_way_is_not_doubled(caller, tenant):
    unfinished(tenant, caller, "k1", seconds=5)

    answer = write(caller, "k1")

    assert refusal(answer) == (409, "idempotency_in_progress")
    assert count(tenant, Lead) == 0


def test_attempt_that_crashed_is_taken_over(caller, tenant):
    unfinished(tenant, caller, "k1", seconds=61)

    answer = write(caller, "k1")
    again = write(caller, "k1")

    assert answer.status_code == 201
    assert again.json() == answer.json()
    assert count(tenant, Lead) == 1


def test_slow_attempt_that_was_taken_over_commits_nothing(caller, tenant, monkeypatch):
    def overtaken(taken, response):
        RememberedWrite.objects.filter(pk=taken.pk).update(
            created_at=taken.created_at + timedelta(seconds=61)
        )
        remember(taken, response)

    remember = idempotency._remember
    monkeypatch.setattr(idempotency, "_remember", overtaken)

    answer = write(caller, "k1")

    assert refusal(answer) == (409, "idempotency_in_progress")
    assert count(tenant, Lead) == 0


def test_message_is_the_same_one_even_when_its_answer_was_forgotten(caller, tenant):
    first = say(caller, "k1")
    with context.entered(tenant):
        RememberedWrite.objects.all().delete()

    second = say(caller, "k1")
    other_text = say(caller, "k2", text="Autre")

    assert second.json()["id"] == first.json()["id"]
    assert other_text.json()["id"] != first.json()["id"]
    assert count(tenant, Message) == 2


def test_two_at_once_have_one_effect(committed):
    tenant = committed("two_at_once")
    with context.entered(tenant):
        user = User.objects.get(role=Role.OWNER)
    together, answers = threading.Barrier(6), []

    def send():
        caller = caller_of(tenant, user)
        together.wait()
        answers.append(say(caller, "k1"))
        connection.close()

    threads = [threading.Thread(target=send) for _number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    told = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    late = [refusal(answer) for answer in answers if answer.status_code != 201]
    assert len(told) == 1
    assert set(late) <= {(409, "idempotency_in_progress")}
    assert count(tenant, Message) == 1
