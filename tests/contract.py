"""What the product relies on, whichever provider it talks to.

`tests/messaging/providers/test_contract.py` runs every check over every registered provider.
"""

import json
import re
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.events import Event, Person, Received
from messaging.providers.base import (
    Answer,
    BadPayload,
    BadSignature,
    Candidate,
    Feature,
    Hook,
    InstanceRef,
    Medium,
    Outgoing,
    Provider,
    SendError,
    Via,
)

FIXTURES = Path(__file__).parent / "fixtures" / "webhooks"
SECRET = "a-secret-of-the-instance"


def describes_itself(provider: Provider) -> None:
    """Slug, medium, paths and fields are what the product builds URLs and forms from."""
    assert re.fullmatch(r"[a-z][a-z0-9_]*", provider.slug)
    assert provider.label
    assert isinstance(provider.medium, Medium)
    assert all(isinstance(feature, Feature) for feature in provider.supports)
    assert provider.sends_at_once >= 1
    assert all(
        path.startswith(("/webhooks/", "/api/webhooks/")) and not path.endswith("/")
        for path in provider.paths
    )
    names = [field.name for field in provider.fields]
    assert len(set(names)) == len(names)
    assert provider.reference_field in ("", *names)
    assert provider.reference_field not in provider.secret_fields
    for field in provider.fields:
        assert not field.choices or field.default in field.choices


def routes_anything(provider: Provider) -> None:
    """Any bytes, headers and query give a list of references, never an exception."""

    @given(
        st.binary(max_size=300),
        st.sampled_from(sorted(provider.paths.values()) or [""]),
        st.text(max_size=20),
        st.text(max_size=40),
        st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=3),
    )
    def check(body, route, vendor, query, headers):
        hook = Hook(body=body, route=route, vendor=vendor, query=query, headers=headers)
        assert all(isinstance(ref, InstanceRef) for ref in provider.route(hook))
        assert isinstance(provider.answer(hook), Answer)

    check()


def parses_or_refuses(provider: Provider) -> None:
    """Any bytes give events or `BadPayload`."""

    @given(
        st.binary(max_size=300)
        | st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
            max_leaves=20,
        ).map(lambda value: json.dumps(value).encode()),
        st.sampled_from(sorted(provider.paths.values()) or [""]),
    )
    def check(body, route):
        try:
            events = provider.parse(Hook(body=body, route=route, vendor="v"), "reference")
        except BadPayload:
            return
        assert all(isinstance(event, Event) for event in events)

    check()


def refuses_strangers(provider: Provider) -> None:
    """Without signature, with a wrong one or without any secret, nobody gets in."""

    @given(
        st.binary(max_size=60),
        st.dictionaries(_header_names(provider), st.text(max_size=20), max_size=3),
        st.sampled_from([(), ({},), ({name: "" for name in provider.secret_fields},)]),
    )
    def check(body, headers, no_secrets):
        hook = Hook(body=body, headers=headers, vendor="v")
        configured = ({name: SECRET for name in provider.secret_fields},)
        for secret_sets in (no_secrets, configured):
            candidate = Candidate(1, 1, "reference", {}, secret_sets)
            with pytest.raises(BadSignature) as refused:
                provider.verify(hook, [candidate])
            assert SECRET not in str(refused.value)
        with pytest.raises(BadSignature):
            provider.verify(hook, [])

    check()


def reads_its_fixtures(provider: Provider) -> None:
    """Every recorded shape gives events with ids that repeat, all about this instance, storable."""
    fixtures = sorted((FIXTURES / provider.slug).glob("*.json"))
    assert fixtures, f"{provider.slug} has no fixtures"
    for fixture in fixtures:
        hook = Hook(body=fixture.read_bytes(), vendor="v")
        events = provider.parse(hook, "reference")
        assert events == provider.parse(hook, "reference")
        for event in events:
            _check_event(event)


def fails_as_a_send_error(provider: Provider) -> None:
    """Whatever the network or the provider does, a send ends in `Sent` or `SendError`, after one
    call at most, and the error never repeats a secret."""
    for answer in _BAD_ANSWERS:
        calls = []
        with httpx.Client(transport=httpx.MockTransport(_answering(answer, calls))) as client:
            via = Via(
                instance_id=1,
                reference="reference",
                address="+33600000001",
                settings={field.name: field.default for field in provider.fields},
                secrets={name: SECRET for name in provider.secret_fields},
                http=client,
            )
            outgoing = Outgoing(reference="1", to="+33600000002", text="Bonjour")
            with pytest.raises(SendError) as failed:
                provider.send(outgoing, via)
        assert len(calls) <= 1
        assert SECRET not in f"{failed.value} {failed.value.code} {failed.value.detail}"
        assert not (failed.value.retry and failed.value.unknown)


CHECKS = (
    describes_itself,
    routes_anything,
    parses_or_refuses,
    refuses_strangers,
    reads_its_fixtures,
    fails_as_a_send_error,
)

_BAD_ANSWERS = (
    *(httpx.Response(status, content=SECRET.encode()) for status in (400, 401, 404, 429, 500, 503)),
    httpx.Response(401, json={"message": f"bad key {SECRET}"}),
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("too slow"),
    httpx.RemoteProtocolError("cut"),
)


def _answering(answer, calls):
    def handle(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handle


def _header_names(provider: Provider):
    return st.sampled_from(["authorization", f"x-{provider.slug}-signature", "x-webhook-signature"])


def _check_event(event: Event) -> None:
    assert event.event_id
    assert event.instance_ref == "reference"
    assert event.at is None or event.at.tzinfo is not None
    assert "\\u0000" not in json.dumps(event.raw, allow_nan=False)
    if isinstance(event, Received):
        assert event.external_id
        assert event.person != Person() or (event.from_us and event.group)
