"""What the product relies on, whichever provider it talks to.

`tests/messaging/providers/test_contract.py` runs every check over every registered provider, with
the provider's `Kit`: what only its own facts can say.
"""

import json
import logging
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.events import Event, Ignored, Person, Received, Status, StatusChanged
from messaging.providers.base import (
    JOURNAL_ROUTE,
    Answer,
    BadPayload,
    BadSignature,
    Blame,
    Candidate,
    Feature,
    Hook,
    InstanceRef,
    Known,
    Medium,
    Outgoing,
    Provider,
    SendError,
    Sent,
    Via,
)

FIXTURES = Path(__file__).parent / "fixtures" / "webhooks"
SECRET = "a-secret-of-the-instance"
OLD_SECRET = "the-secret-before"
STALE_SECRET = "a-secret-of-long-ago"
TEXT = Outgoing(reference="1", to="+33600000002", text="Bonjour")
KNOWN = Known(external_id="id", provider_number="1", chat="33600000002@c.us", from_us=True)

SOON = datetime(2026, 3, 2, 9, 45, tzinfo=UTC)

Outcome = tuple[str, bool, Blame, bool]


@dataclass(frozen=True)
class Signer:
    """One way a provider signs: the instance's settings, and a hook signed with its secrets."""

    sign: Callable[[Hook, Mapping[str, str]], Hook]
    settings: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def over_http(answer: Any, requests: list) -> Iterator[dict[str, Any]]:
    """A provider that answers each request like this, or fails so."""
    with httpx.Client(transport=httpx.MockTransport(_answering(answer, requests))) as client:
        yield {"http": client}


@dataclass(frozen=True)
class Kit:
    """What a provider's facts say it does: each of these must be shown by a fixture or a table."""

    signers: tuple[Signer, ...]
    events: frozenset[type[Event]]
    statuses: frozenset[Status]
    ignored: frozenset[str]
    taken: httpx.Response
    refusals: tuple[tuple[httpx.Response, Outcome], ...]
    outgoing: tuple[Outgoing, ...] = (TEXT,)
    settings: Mapping[str, Any] = field(default_factory=dict)
    media_reference: Mapping[str, Any] = field(default_factory=dict)
    # Whether the provider sends us on to where its files lie, so that a redirect is followed.
    media_lies_elsewhere: bool = False
    # How the provider is reached, what it answers with when all goes wrong.
    reached: Callable[[Any, list], Any] = over_http
    bad_answers: tuple = ()
    reference: str = "reference"
    account: str = ""
    reads_types: Mapping[str, str] = field(default_factory=lambda: {".json": "application/json"})


def describes_itself(provider: Provider, kit: Kit) -> None:
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
    assert all(path.startswith("/webhooks/") for path in provider.status_paths)
    assert not set(provider.status_paths) & set(provider.paths)
    assert JOURNAL_ROUTE not in provider.paths.values()
    names = [field.name for field in provider.fields]
    assert len(set(names)) == len(names)
    assert provider.reference_field in ("", *names)
    assert provider.reference_field not in provider.secret_fields
    assert {*provider.opens_account, *provider.renewed_fields} <= set(names)
    assert bool(provider.opens_account) == (Feature.MAKES_INSTANCES in provider.supports)
    assert bool(provider.renewed_fields) == (Feature.NEW_KEYS in provider.supports)
    for each in provider.fields:
        assert not each.choices or each.default in each.choices


def routes_anything(provider: Provider, kit: Kit) -> None:
    """Any bytes, headers and query give a list of references, never an exception."""

    @given(
        st.binary(max_size=300),
        _routes(provider),
        st.text(max_size=20),
        st.text(max_size=40),
        st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=3),
    )
    def check(body, route, vendor, query, headers):
        hook = Hook(body=body, route=route, vendor=vendor, query=query, headers=headers)
        assert all(isinstance(ref, InstanceRef) for ref in provider.route(hook))
        assert isinstance(provider.answer(hook), Answer)

    check()


def parses_or_refuses(provider: Provider, kit: Kit) -> None:
    """Any bytes give events or `BadPayload`."""

    @given(
        st.binary(max_size=300) | _JSON.map(lambda value: json.dumps(value).encode()),
        _routes(provider),
    )
    def check(body, route):
        _read_or_refuse(provider, kit, Hook(body=body, route=route, vendor="v"))

    check()


def parses_or_refuses_damaged_posts(provider: Provider, kit: Kit) -> None:
    """A real post with something else in one place gives events or `BadPayload`."""
    bodies = [json.loads(hook.body) for hook in _fixtures(provider, kit) if _is_json(hook)]
    if not bodies:
        return

    @given(st.data())
    def check(data):
        body = data.draw(st.sampled_from(bodies))
        path = data.draw(st.sampled_from(list(_paths(body))))
        damaged = _with(body, path, data.draw(_JSON))
        _read_or_refuse(provider, kit, Hook(body=json.dumps(damaged).encode(), vendor="v"))

    check()


def refuses_strangers(provider: Provider, kit: Kit) -> None:
    """Without signature, with a wrong one or without any secret, nobody gets in."""

    @given(
        st.binary(max_size=60),
        st.dictionaries(_header_names(provider), st.text(max_size=20), max_size=3),
        st.sampled_from([(), ({},), ({name: "" for name in provider.secret_fields},)]),
    )
    def check(body, headers, no_secrets):
        hook = Hook(body=body, headers=headers, vendor="v")
        for secret_sets in (no_secrets, (_secrets(provider, SECRET),)):
            _refused(provider, hook, _candidate(secret_sets))
        with pytest.raises(BadSignature):
            provider.verify(hook, [])

    check()


def knows_its_own_signatures(provider: Provider, kit: Kit) -> None:
    """The current and the previous secret get in; a stale, an empty or another's does not."""
    hook = next(iter(_fixtures(provider, kit)), Hook(b""))
    current, old = _secrets(provider, SECRET), _secrets(provider, OLD_SECRET)
    for signer in kit.signers:
        meant = replace(_candidate((current, old), signer.settings), reference=kit.reference)
        stranger = replace(
            meant, instance_id=2, reference="another", secret_sets=(_secrets(provider, "x"),)
        )
        for secrets in (current, old):
            signed = signer.sign(hook, secrets)
            assert provider.verify(signed, [stranger, meant]) == [meant]
            _refused(provider, signed, stranger)
        for secret in (STALE_SECRET, ""):
            _refused(provider, signer.sign(hook, _secrets(provider, secret)), meant)
        empty = _candidate((_secrets(provider, ""),), signer.settings)
        _refused(provider, signer.sign(hook, _secrets(provider, "")), empty)
        _refused(provider, hook, meant)


def reads_its_fixtures(provider: Provider, kit: Kit) -> None:
    """Every recorded shape gives events with ids that repeat, all about this instance, storable."""
    hooks = _fixtures(provider, kit)
    assert hooks or not provider.paths, f"{provider.slug} has no fixtures"
    for hook in hooks:
        events = provider.parse(hook, kit.reference)
        assert events == provider.parse(hook, kit.reference)
        for event in events:
            _check_event(event, kit)


def shows_all_it_can_tell(provider: Provider, kit: Kit) -> None:
    """Each kind of event, status and reason to ignore has a fixture, and there are no others."""
    hooks = _fixtures(provider, kit)
    events = [event for hook in hooks for event in provider.parse(hook, kit.reference)]
    assert {type(event) for event in events} == kit.events
    assert {each.status for each in events if isinstance(each, StatusChanged)} == kit.statuses
    assert {each.reason for each in events if isinstance(each, Ignored)} == kit.ignored


def sends_what_it_says(provider: Provider, kit: Kit) -> None:
    """Each kind of message it supports is taken, and each answer it documents is understood."""
    with _listening() as records:
        for outgoing in kit.outgoing:
            sent = _with_via(
                provider, kit, kit.taken, lambda via, it=outgoing: provider.send(it, via)
            )
            assert isinstance(sent, Sent)
            assert sent.external_id or sent.provider_number
    _tells_no_secret(records)
    for answer, outcome in kit.refusals:
        with pytest.raises(SendError) as failed:
            _with_via(provider, kit, answer, lambda via: provider.send(kit.outgoing[0], via))
        error = failed.value
        assert (error.code, error.retry, error.blame, error.unknown) == outcome


def fails_as_a_send_error(provider: Provider, kit: Kit) -> None:
    """Whatever the network or the provider does, a call ends in its result or in `SendError`,
    after one request at most, and neither the error nor a log repeats a secret."""
    for answer in kit.bad_answers or _BAD_ANSWERS:
        for name, call in _calls(provider, kit).items():
            if name == "fetch_media" and kit.media_lies_elsewhere and _redirects(answer):
                continue
            requests: list[httpx.Request] = []
            with _listening() as records, pytest.raises(SendError) as failed:
                _with_via(provider, kit, answer, call, requests)
            assert len(requests) <= 1, name
            assert not (failed.value.retry and failed.value.unknown), name
            _tells_no_secret(records, failed.value)


def refuses_what_it_does_not_support(provider: Provider, kit: Kit) -> None:
    """A feature that is not listed is refused without asking anybody."""
    for feature, calls in _optional_calls(provider, kit).items():
        for call in calls.values():
            if feature in provider.supports:
                continue
            requests: list[httpx.Request] = []
            with pytest.raises(SendError) as refused:
                _with_via(provider, kit, kit.taken, call, requests)
            assert (refused.value.code, requests) == ("unsupported", [])


def shows_no_secret(provider: Provider, kit: Kit) -> None:
    """What may end in a log or an error report is printed without secrets."""
    printed = [repr(_via(provider, kit, http=_NO_CLIENT))]
    printed.append(repr(_candidate((_secrets(provider, SECRET),))))
    for signer in kit.signers:
        hook = signer.sign(_fixtures(provider, kit)[0], _secrets(provider, SECRET))
        printed.append(repr(hook))
    assert not any(SECRET in each for each in printed)


CHECKS = (
    describes_itself,
    routes_anything,
    parses_or_refuses,
    parses_or_refuses_damaged_posts,
    refuses_strangers,
    knows_its_own_signatures,
    reads_its_fixtures,
    shows_all_it_can_tell,
    sends_what_it_says,
    fails_as_a_send_error,
    refuses_what_it_does_not_support,
    shows_no_secret,
)

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)

_BAD_ANSWERS = (
    *(httpx.Response(status, content=SECRET.encode()) for status in (400, 401, 404, 429, 500, 503)),
    httpx.Response(401, json={"message": f"bad key {SECRET}"}),
    httpx.Response(302, headers={"location": f"https://elsewhere.test/{SECRET}"}),
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("too slow"),
    httpx.RemoteProtocolError("cut"),
)

_Call = Callable[[Via], Any]


def _redirects(answer: Any) -> bool:
    return isinstance(answer, httpx.Response) and answer.is_redirect


def _calls(provider: Provider, kit: Kit) -> dict[str, _Call]:
    """Everything that leaves, by name; without what takes a 404 for an answer."""
    supported = {
        name: call
        for feature, calls in _optional_calls(provider, kit).items()
        if feature in provider.supports and feature is not Feature.FINDS_PHONES
        for name, call in calls.items()
    }
    return {
        "send": lambda via: provider.send(kit.outgoing[0], via),
        "check": lambda via: provider.check(via),
        **supported,
    }


def _optional_calls(provider: Provider, kit: Kit) -> dict[Feature, dict[str, _Call]]:
    url = "https://amda.test/hook"
    new = {"name": "n", "address": "+33600000001", "webhook_url": url}
    return {
        Feature.MARKS_READ: {"mark_read": lambda via: provider.mark_read(KNOWN, via)},
        Feature.EDITS: {"edit": lambda via: provider.edit(KNOWN, "b", via)},
        Feature.DELETES: {"delete": lambda via: provider.delete(KNOWN, via)},
        Feature.REACTIONS: {"react": lambda via: provider.react(KNOWN, "👍", via)},
        Feature.JOURNAL: {"read_journal": lambda via: provider.read_journal(via, minutes=60)},
        Feature.MEDIA: {
            "fetch_media": lambda via: provider.fetch_media(kit.media_reference, via, limit=10**6)
        },
        Feature.TEMPLATES: {"templates": provider.templates},
        Feature.FINDS_PHONES: {"find_phone": lambda via: provider.find_phone("1@lid", via)},
        Feature.MAKES_INSTANCES: {
            "instances": provider.instances,
            "make_instance": lambda via: provider.make_instance(via, **new),
        },
        Feature.CONNECTS: {
            "connect": provider.connect,
            "disconnect": provider.disconnect,
            "restart": provider.restart,
        },
        Feature.QR_LOGIN: {"qr": provider.qr},
        Feature.HOSTED_LOGIN: {
            "login_link": lambda via: provider.login_link(via, back_url=url, until=SOON)
        },
        Feature.SETS_WEBHOOK: {
            "read_webhook": provider.read_webhook,
            "configure_webhook": lambda via: provider.configure_webhook(via, url),
        },
        Feature.NEW_KEYS: {"regenerate_key": provider.regenerate_key},
    }


@cache
def _files(slug: str) -> tuple[Path, ...]:
    return tuple(sorted((FIXTURES / slug).glob("*__*")))


def _fixtures(provider: Provider, kit: Kit) -> list[Hook]:
    return [
        Hook(
            body=file.read_bytes(),
            vendor="v",
            content_type=kit.reads_types[file.suffix],
            account=kit.account,
        )
        for file in _files(provider.slug)
    ]


def _is_json(hook: Hook) -> bool:
    return hook.content_type == "application/json"


def _paths(value: Any, path: tuple = ()) -> Iterator[tuple]:
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _paths(inner, (*path, key))


def _with(value: Any, path: tuple, replacement: Any) -> Any:
    if not path:
        return replacement
    copy = value.copy()
    copy[path[0]] = _with(value[path[0]], path[1:], replacement)
    return copy


def _routes(provider: Provider):
    return st.sampled_from(sorted(provider.paths.values()) or [""])


def _header_names(provider: Provider):
    return st.sampled_from(["authorization", f"x-{provider.slug}-signature", "x-webhook-signature"])


def _read_or_refuse(provider: Provider, kit: Kit, hook: Hook) -> None:
    try:
        events = provider.parse(replace(hook, account=kit.account), kit.reference)
    except BadPayload:
        return
    for event in events:
        _check_event(event, kit)
        assert not isinstance(event, Ignored) or event.reason in kit.ignored


def _check_event(event: Event, kit: Kit) -> None:
    assert isinstance(event, Event)
    assert event.event_id
    assert event.instance_ref == kit.reference
    assert event.at is None or event.at.tzinfo is not None
    assert "\\u0000" not in json.dumps(event.raw, allow_nan=False)
    if isinstance(event, Received):
        assert event.external_id
        assert event.person != Person() or (event.from_us and event.group)


def _secrets(provider: Provider, secret: str) -> dict[str, str]:
    return {name: secret for name in provider.secret_fields}


def _candidate(secret_sets, settings: Mapping[str, Any] | None = None) -> Candidate:
    return Candidate(1, 1, "reference", settings or {}, secret_sets)


def _refused(provider: Provider, hook: Hook, candidate: Candidate) -> None:
    with pytest.raises(BadSignature) as refused:
        provider.verify(hook, [candidate])
    told = "".join(traceback.format_exception(refused.value))
    assert SECRET not in told


def _with_via(provider: Provider, kit: Kit, answer, call: _Call, requests=None) -> Any:
    requests = [] if requests is None else requests
    with kit.reached(answer, requests) as way:
        return call(_via(provider, kit, **{"http": _NO_CLIENT, **way}))


def _via(provider: Provider, kit: Kit, **way: Any) -> Via:
    defaults = {field.name: field.default for field in provider.fields}
    return Via(
        instance_id=1,
        reference=kit.reference,
        address="+33600000001",
        settings={**defaults, **kit.settings},
        secrets=_secrets(provider, SECRET),
        **way,
    )


_NO_CLIENT = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(404)))


def _answering(answer, requests):
    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    return handle


class _Records(logging.Handler):
    def __init__(self):
        super().__init__(logging.DEBUG)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(f"{record.getMessage()} {record.args!r}")


@contextmanager
def _listening() -> Iterator[_Records]:
    """Every log record of every library, as a careless configuration would keep them."""
    root, records = logging.getLogger(), _Records()
    level = root.level
    root.addHandler(records)
    root.setLevel(logging.DEBUG)
    try:
        yield records
    finally:
        root.removeHandler(records)
        root.setLevel(level)


def _tells_no_secret(records: _Records, error: SendError | None = None) -> None:
    told = [*records.told]
    if error is not None:
        told += [error.code, error.detail, repr(error), *traceback.format_exception(error)]
    assert not any(SECRET in each for each in told)
