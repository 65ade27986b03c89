"""Outgoing HTTP: every call to a provider ends in time and goes to an allowed address."""

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import urlsplit

import httpx
from django.conf import settings

from amda import deadlines

TIMEOUT = httpx.Timeout(20, connect=5, pool=5)
# From the connection to the last byte of the answer, redirects included. A request may ask for
# another time in its extension of this name.
EXCHANGE_SECONDS = 120
SECONDS = "exchange_seconds"
# More than any answer of an API. A file is read piece by piece, to the limit of whoever reads it.
LONGEST_ANSWER = 20 * 1024 * 1024
MOST_REDIRECTS = 3
DIAL_SECONDS = 5

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# Addresses in which a gateway finds an IPv4 address to go on to.
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))


class Forbidden(httpx.ConnectError):
    """The address is not one we let a tenant's setting lead to."""


class AnswerTooLong(httpx.RequestError):
    """An answer that was to be read at once is longer than any should be."""


def client() -> httpx.Client:
    """A client for one provider: limited in time, never to our own network.

    Redirects are followed only where a call asks for it, a few, and each is checked like the
    first address: nothing that answers us can send us elsewhere.
    """
    return httpx.Client(
        timeout=TIMEOUT,
        follow_redirects=False,
        max_redirects=MOST_REDIRECTS,
        trust_env=False,
        transport=GuardedTransport(deadlines.Transport(_trust())),
    )


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    """Whom to believe: read once, since reading the authorities' list takes longer than a call."""
    return httpx.create_ssl_context(trust_env=False)


class GuardedTransport(httpx.BaseTransport):
    """Resolves the host itself, refuses private addresses and calls the one it looked at.

    The connection goes to the checked address, so that a name that changes between the look
    and the call leads nowhere else. It ends when the time for the whole exchange is over.
    """

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        deadline = request.extensions.get(_DEADLINE)
        if deadline is None:
            deadline = time.monotonic() + request.extensions.get(SECONDS, EXCHANGE_SECONDS)
            # A redirect's request takes it over.
            request.extensions[_DEADLINE] = deadline
        pinned = _pinned(request)
        limits = deadlines.limited(pinned.extensions.get("timeout", {}), deadline)
        pinned.extensions["timeout"] = limits
        return _Answer.of(self._inner.handle_request(pinned))

    def close(self) -> None:
        self._inner.close()


_DEADLINE = "exchange_deadline"


class _Answer(httpx.Response):
    """An answer that is not read into memory beyond what an answer may hold, unpacked."""

    _is_read_at_once = False

    @classmethod
    def of(cls, answer: httpx.Response) -> "_Answer":
        return cls(
            answer.status_code,
            headers=answer.headers,
            stream=answer.stream,
            extensions=answer.extensions,
        )

    def read(self) -> bytes:
        self._is_read_at_once = True
        return super().read()

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        size = 0
        for piece in super().iter_bytes(chunk_size):
            size += len(piece)
            if self._is_read_at_once and size > LONGEST_ANSWER:
                raise AnswerTooLong("the answer is too long", request=self.request)
            yield piece


def may_call(url: str) -> bool:
    """Whether a setting may name this URL: https to the public network, or a listed host."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return False
    if parts.hostname in settings.PRIVATE_API_HOSTS:
        return True
    if parts.scheme != "https":
        return False
    try:
        return is_public(ipaddress.ip_address(parts.hostname))
    except ValueError:
        return "." in parts.hostname and not parts.hostname.endswith((".localhost", ".local"))


def may_dial(host: str) -> bool:
    """Whether a setting may name this host for a connection that is not HTTP."""
    if host in settings.PRIVATE_API_HOSTS:
        return True
    try:
        return is_public(ipaddress.ip_address(host))
    except ValueError:
        return "." in host and not host.endswith((".localhost", ".local", "."))


def dial(host: str, port: int, encrypted: bool) -> socket.socket:
    """A connection to a host that may be called, made to the address that was checked.

    Raises `PermissionError` for any other host, and for one outside this machine that is to be
    spoken to without encryption; `OSError` where nobody answers.
    """
    if not encrypted and host not in settings.PRIVATE_API_HOSTS:
        raise PermissionError(f"{host} is not spoken to without encryption")
    try:
        address = _allowed_address(host, port)
    except Forbidden as exc:
        raise PermissionError(str(exc)) from exc
    except httpx.ConnectError as exc:
        raise OSError(str(exc)) from exc
    return socket.create_connection((address, port), timeout=DIAL_SECONDS)


def is_public(address: Address) -> bool:
    """Whether an address is one of the public network, also where it wraps another one."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = _wrapped(address)
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


def _wrapped(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _pinned(request: httpx.Request) -> httpx.Request:
    """The same request to the address that was checked.

    A new one: a redirect is read against the name in the original, not against the address.
    """
    host = request.url.host
    if request.url.scheme != "https" and host not in settings.PRIVATE_API_HOSTS:
        raise Forbidden(f"{host} is not called without encryption")
    address = _allowed_address(host, request.url.port)
    headers = request.headers.copy()
    headers.setdefault("Host", request.url.netloc.decode())
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": host},
    )


def _allowed_address(host: str, port: int | None) -> str:
    if host in settings.PRIVATE_API_HOSTS:
        return "127.0.0.1" if host == "localhost" else host
    for address in _resolve(host, port or 443):
        if is_public(ipaddress.ip_address(address.partition("%")[0])):
            return address
    raise Forbidden(f"{host} does not lead to a public address")


def _resolve(host: str, port: int) -> Iterable[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise httpx.ConnectError(f"{host} cannot be resolved") from exc
    return [str(info[4][0]) for info in found]
