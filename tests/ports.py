"""Ports for the servers that tests start."""

import random
import socket

# Below those that outgoing connections take by themselves, which come between finding and using.
_PORTS = range(15_000, 32_000)


def free_port(*, in_a_row: int = 1) -> int:
    """A port of the loopback address that nobody listens on, and as many after it as asked for.

    Found at random: several runs of the tests look at the same time.
    """
    while True:
        first = random.SystemRandom().choice(_PORTS)
        if all(_is_free(port) for port in range(first, first + in_a_row)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
