"""The HTTP boundary of providers: recognise, verify, store, answer. Django is not involved."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone
from prometheus_client import Counter

from messaging import providers
from messaging.providers.base import BadSignature, Candidate, Hook, InstanceRef, Provider
from tenants import directory, posts
from tenants.context import connection
from tenants.directory import KnownInstance
from tenants.intake import Arrival, StorageAway, Writer
from tenants.posts import Disconnected, Reply, TooLarge

logger = logging.getLogger(__name__)

PREFIXES = ("/webhooks/", "/api/webhooks/")
NOBODY = 0
"""The instance and tenant of the platform's own candidate."""
DATABASE_SECONDS = 8
LONGEST_QUERY = 2000

REFUSED = Counter("amda_webhooks_refused", "Posts whose signature did not verify", ["provider"])
STORED = Counter("amda_webhooks_stored", "Posts that were stored", ["provider"])
UNKNOWN = Counter("amda_webhooks_unknown", "Numbers of verified posts nobody has", ["provider"])


@dataclass(frozen=True)
class Path:
    """Where a request goes: an adapter, one of its routes, the vendor its URL names."""

    provider: Provider
    route: str
    vendor: str


class Webhooks:
    """The ASGI application below the two webhook prefixes."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._table = _path_table()
        self._services = {
            path: service
            for provider in providers.every()
            for path, service in provider.status_paths.items()
        }

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        try:
            reply = await self._reply(scope, receive)
        except Disconnected:
            return
        await posts.answer(reply, send, head=scope["method"] == "HEAD")

    async def _reply(self, scope: dict, receive: Callable) -> Reply:
        service = self._services.get(scope["path"].rstrip("/"))
        if service is not None:
            return _status(service, scope["method"])
        path = self._find(scope["path"])
        if path is None:
            return Reply(404)
        if scope["method"] not in {"POST", "GET", "HEAD"}:
            return Reply(405)
        try:
            hook = await _read(scope, receive, path)
        except TooLarge:
            return Reply(413)
        try:
            async with asyncio.timeout(DATABASE_SECONDS):
                candidates, unknown = await _candidates(path, hook)
        except Exception:
            logger.exception("the directory could not be read")
            return Reply(503, retry_after=5)
        if path.vendor and not candidates:
            return Reply(404)
        if hook.method != "POST":
            return _handshake(path.provider, hook, candidates)
        reply = await self._take_in(path.provider, hook, candidates)
        if reply.status == 200 and unknown:
            UNKNOWN.labels(path.provider.slug).inc(unknown)
        return reply

    async def _take_in(self, provider: Provider, hook: Hook, candidates: list[Candidate]) -> Reply:
        try:
            meant = provider.verify(hook, candidates)
        except BadSignature as exc:
            REFUSED.labels(provider.slug).inc()
            logger.warning("%s: post refused: %s", provider.slug, exc)
            return Reply(403)
        if not meant:
            # Authentic, and about an account that nobody here has.
            UNKNOWN.labels(provider.slug).inc()
        try:
            await self._writer.store(_arrivals(provider, hook, meant))
        except StorageAway:
            return Reply(503, retry_after=5)
        STORED.labels(provider.slug).inc()
        answer = provider.answer(hook)
        return Reply(200, answer.body.encode(), answer.content_type)

    def _find(self, path: str) -> Path | None:
        """The adapter for a path; a trailing slash is forgiven."""
        parts = tuple(part for part in path.split("/") if part)
        for pattern, provider, route in self._table:
            vendor = _match(pattern, parts)
            if vendor is not None:
                return Path(provider, route, vendor)
        return None


def _path_table() -> list[tuple[tuple[str, ...], Provider, str]]:
    return [
        (tuple(part for part in path.split("/") if part), provider, route)
        for provider in providers.every()
        for path, route in provider.paths.items()
    ]


def _status(service: str, method: str) -> Reply:
    """That the webhook is up, for whoever asks before a provider does."""
    if method not in {"GET", "HEAD"}:
        return Reply(405)
    told = {"ok": True, "service": service, "timestamp": timezone.now().isoformat()}
    return Reply(200, json.dumps(told).encode(), "application/json")


def _match(pattern: tuple[str, ...], parts: tuple[str, ...]) -> str | None:
    """The vendor that a path names ("" where its pattern has none); None when it is another."""
    if len(pattern) != len(parts):
        return None
    vendor = ""
    for expected, given in zip(pattern, parts, strict=True):
        if expected == "{vendor}":
            vendor = unquote(given)
        elif expected != given:
            return None
    return vendor


async def _read(scope: dict, receive: Callable, path: Path) -> Hook:
    headers = posts.headers_of(scope)
    query = scope.get("query_string", b"").decode("latin-1")
    return Hook(
        body=await posts.body_of(receive, headers.get("content-length", "")),
        route=path.route,
        vendor=path.vendor,
        method=scope["method"],
        headers=headers,
        query=query,
        content_type=headers.get("content-type", "")[:100],
        url=f"{settings.PUBLIC_URL}{scope['path']}{'?' if query else ''}{query}",
    )


async def _candidates(path: Path, hook: Hook) -> tuple[list[Candidate], int]:
    """Every instance the post may be meant for, from memory where it is still fresh, and how many
    of those it names nobody has."""
    provider = path.provider
    platform = settings.PLATFORM_SECRETS.get(provider.slug, {})
    found, unknown = await _instances(provider, provider.route(hook))
    candidates = [_candidate(known, platform) for known in found]
    if platform:
        candidates.append(Candidate(NOBODY, NOBODY, "", {}, (platform,)))
    return list({candidate.instance_id: candidate for candidate in candidates}.values()), unknown


async def _instances(
    provider: Provider, refs: list[InstanceRef]
) -> tuple[list[KnownInstance], int]:
    found: list[KnownInstance] = []
    unknown = 0
    vendors = {ref.vendor for ref in refs if ref.vendor}
    for vendor in vendors:
        fresh, known = directory.peek_vendor(provider.slug, vendor)
        found += (
            known if fresh else await _look_up(directory.instances_of_vendor, provider.slug, vendor)
        )
    references = _names(ref.reference for ref in refs if not ref.vendor)
    if references:
        named = await _look_up(directory.instances_referred, provider.slug, references)
        unknown = len(references) - len(named)
        found += named
    accounts = _names(ref.account for ref in refs)
    if accounts:
        sharing = await _look_up(
            directory.instances_of_accounts, provider.slug, provider.account_field, accounts
        )
        had = {known.settings.get(provider.account_field) for known in sharing}
        unknown += len(accounts - had)
        found += sharing
    if InstanceRef() in refs:
        found += await _look_up(directory.instances_at, provider.slug)
    return found, unknown


def _names(told: Iterable[str]) -> frozenset[str]:
    # What holds a control character is nobody's name, and PostgreSQL would refuse to look for it.
    return frozenset(name for name in told if name and name.isprintable())


async def _look_up(function: Callable, *args: Any) -> tuple[KnownInstance, ...]:
    return await asyncio.get_running_loop().run_in_executor(None, _in_public, function, args)


def _in_public(function: Callable, args: tuple) -> tuple[KnownInstance, ...]:
    connection.set_schema_to_public()
    try:
        return function(*args)
    finally:
        close_old_connections()


def _candidate(known: KnownInstance, platform: Mapping[str, str]) -> Candidate:
    return Candidate(
        instance_id=known.instance_id,
        tenant_number=known.tenant_number,
        reference=known.reference,
        settings=known.settings,
        # A secret of its own stands in front of the platform's: who connected a number through an
        # app of their own is never told what the platform's app hears.
        secret_sets=tuple({**platform, **secrets} for secrets in known.secret_sets),
    )


def _handshake(provider: Provider, hook: Hook, candidates: list[Candidate]) -> Reply:
    try:
        challenge = provider.answer_handshake(hook, candidates)
    except BadSignature:
        return Reply(403)
    return Reply(405) if challenge is None else Reply(200, challenge.encode())


def _arrivals(provider: Provider, hook: Hook, meant: list[Candidate]) -> list[Arrival]:
    """One arrival for each instance; those that keep the whole body share the post's name."""
    parts = [
        (candidate, provider.part_for(hook, candidate))
        for candidate in meant
        if candidate.instance_id != NOBODY
    ]
    whole = [candidate for candidate, part in parts if part == hook.body]
    post = uuid4() if len(whole) > 1 else None
    return [
        Arrival(
            tenant_number=candidate.tenant_number,
            instance_id=candidate.instance_id,
            provider=provider.slug,
            route=hook.route,
            content_type=hook.content_type.replace("\x00", ""),
            query=hook.query.replace("\x00", "")[:LONGEST_QUERY],
            body=part,
            post=post if part == hook.body else None,
        )
        for candidate, part in parts
    ]
