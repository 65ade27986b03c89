"""Outgoing HTTP: every call to a provider has time limits and goes to an allowed address."""

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

import httpx
from django.conf import settings

TIMEOUT = httpx.Timeout(20, connect=5, pool=5)


class Forbidden(httpx.ConnectError):
    """The address is not one we let a tenant's setting lead to."""


def client() -> httpx.Client:
    """A client for one provider: limited in time, without redirects, never to our own network."""
    return httpx.Client(
        timeout=TIMEOUT,
        follow_redirects=False,
        trust_env=False,
        transport=_GuardedTransport(httpx.HTTPTransport(retries=0)),
    )


class _GuardedTransport(httpx.BaseTransport):
    """Resolves the host itself, refuses private addresses and calls the one it looked at.

    The connection goes to the checked address, so that a name that changes between the look
    and the call leads nowhere else.
    """

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        address = _allowed_address(host, request.url.port)
        if address != host:
            request.extensions = {**request.extensions, "sni_hostname": host}
            request.headers.setdefault("Host", _host_header(request.url))
            request.url = request.url.copy_with(host=address)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


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
        return ipaddress.ip_address(parts.hostname).is_global
    except ValueError:
        return "." in parts.hostname and not parts.hostname.endswith((".localhost", ".local"))


def _allowed_address(host: str, port: int | None) -> str:
    if host in settings.PRIVATE_API_HOSTS:
        return "127.0.0.1" if host == "localhost" else host
    for address in _resolve(host, port or 443):
        if ipaddress.ip_address(address).is_global:
            return address
    raise Forbidden(f"{host} does not lead to a public address")


def _resolve(host: str, port: int) -> Iterable[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise httpx.ConnectError(f"{host} cannot be resolved") from exc
    return [str(info[4][0]) for info in found]


def _host_header(url: httpx.URL) -> str:
    return url.netloc.decode()
