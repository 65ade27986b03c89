"""An end to every HTTP exchange: a server that sends a byte now and then holds nobody for long.

The HTTP library limits each reading and each writing; here they also share what is left of the
time for the whole exchange, from the connection to the last byte of the answer.
"""

import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

# So little is handed over at once that a slow reader cannot hold us inside one writing.
_SLICE = 16 * 1024


class Until(float):
    """A limit in seconds that ends earlier where its deadline, by the monotonic clock, is near."""

    deadline: float

    def __new__(cls, seconds: float, deadline: float) -> "Until":
        made = super().__new__(cls, seconds)
        made.deadline = deadline
        return made


def limited(timeouts: dict[str, float | None], deadline: float) -> dict[str, float | None]:
    """The limits of a request, each ending with the whole exchange."""
    longest = max(deadline - time.monotonic(), 0)
    return {
        name: Until(longest if seconds is None else seconds, deadline)
        for name, seconds in timeouts.items()
    }


class Transport(httpx.HTTPTransport):
    """The library's own transport, on a network that minds `Until`."""

    def __init__(self, trust: ssl.SSLContext) -> None:
        super().__init__(verify=trust)
        self._pool = httpcore.ConnectionPool(ssl_context=trust, network_backend=_Network())


class _Network(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> "_Stream":
        left = _left(timeout, httpcore.ConnectTimeout)
        opened = self._inner.connect_tcp(host, port, left, local_address, socket_options)
        return _Stream(opened)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for first in range(0, len(buffer), _SLICE):
            left = _left(timeout, httpcore.WriteTimeout)
            self._inner.write(buffer[first : first + _SLICE], left)

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, ssl_context, server_hostname=None, timeout=None) -> "_Stream":
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(timeout: float | None, late: type[Exception]) -> float | None:
    if not isinstance(timeout, Until):
        return timeout
    left = timeout.deadline - time.monotonic()
    if left <= 0:
        raise late("the time for the whole exchange is over")
    return min(float(timeout), left)
