"""No server holds us for longer than an exchange may take, however it sends or reads."""

import gzip
import socket
import threading

import httpx
import pytest

from amda import http
from messaging.providers import exchange
from messaging.providers import get as provider_of
from messaging.providers.base import Outgoing, SendError, Via

SHORT = 0.3
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


class Dripping:
    """A server on the loopback address that says `said`, then a byte now and then for ever."""

    def __init__(self, said: bytes, drop: bytes) -> None:
        self.said, self.drop = said, drop
        self.is_over = threading.Event()
        self.hears = True
        self.door = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.door.getsockname()[1]}"

    def close(self) -> None:
        self.is_over.set()
        self.door.close()

    def _serve(self) -> None:
        while not self.is_over.is_set():
            try:
                caller, _address = self.door.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=[caller], daemon=True).start()

    def _answer(self, caller: socket.socket) -> None:
        with caller:
            try:
                if self.hears:
                    caller.recv(65536)
                    caller.sendall(self.said)
                while not self.is_over.wait(0.02):
                    if self.hears:
                        caller.sendall(self.drop)
            except OSError:
                return


@pytest.fixture
def dripping(settings):
    settings.PRIVATE_API_HOSTS = ["127.0.0.1"]
    made: list[Dripping] = []

    def make(said: bytes = HEAD, drop: bytes = b"x") -> Dripping:
        made.append(Dripping(said, drop))
        return made[-1]

    yield make
    for each in made:
        each.close()


def via(server: Dripping, client: httpx.Client) -> Via:
    settings = {"api_url": server.url}
    secrets = {"api_key": "key", "personal_token": "token"}
    return Via(1, "reference", "+221700000001", settings, secrets, client)


@pytest.mark.parametrize(
    ("said", "drop"), [(HEAD, b"x"), (b"HTTP/1.1 200 OK\r\nX-Long: ", b"y")], ids=["body", "head"]
)
def test_answer_that_drips_ends_with_the_exchange(dripping, monkeypatch, said, drop):
    monkeypatch.setattr(http, "EXCHANGE_SECONDS", SHORT)
    server = dripping(said, drop)

    with http.client() as client, pytest.raises(httpx.ReadTimeout):
        client.get(server.url)


def test_server_that_does_not_read_ends_with_the_exchange(dripping, monkeypatch):
    monkeypatch.setattr(http, "EXCHANGE_SECONDS", SHORT)
    server = dripping()
    server.hears = False

    with http.client() as client, pytest.raises(httpx.WriteTimeout):
        client.post(server.url, content=b"x" * 30_000_000)


def test_redirects_share_the_time_of_the_first_request(dripping, monkeypatch):
    monkeypatch.setattr(http, "EXCHANGE_SECONDS", SHORT)
    last = dripping()
    moved = f"HTTP/1.1 302 Found\r\nLocation: {last.url}\r\nContent-Length: 0\r\n\r\n"
    first = dripping(moved.encode(), b"")
    deadlines = []
    original = http.deadlines.limited

    def noting(timeouts, deadline):
        deadlines.append(deadline)
        return original(timeouts, deadline)

    monkeypatch.setattr(http.deadlines, "limited", noting)

    with http.client() as client, pytest.raises(httpx.ReadTimeout):
        client.get(first.url, follow_redirects=True)

    assert len(deadlines) == 2
    assert len(set(deadlines)) == 1


def test_connection_is_used_again_with_a_new_deadline(dripping, monkeypatch):
    monkeypatch.setattr(http, "EXCHANGE_SECONDS", SHORT)
    server = dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"")

    with http.client() as client:
        assert client.get(server.url).text == "ok"
        with pytest.raises(httpx.ReadTimeout):
            client.get(server.url)


def test_send_whose_answer_drips_may_have_left(dripping, monkeypatch):
    monkeypatch.setattr(http, "EXCHANGE_SECONDS", SHORT)
    outgoing = Outgoing("reference", "+221700000002", "Bonjour")

    with http.client() as client, pytest.raises(SendError) as refused:
        provider_of("wasender").send(outgoing, via(dripping(), client))

    error = refused.value
    assert (error.code, error.retry, error.unknown) == ("ReadTimeout", False, True)


def test_download_that_drips_is_asked_for_again(dripping, monkeypatch):
    monkeypatch.setitem(exchange._DOWNLOAD, http.SECONDS, SHORT)
    server = dripping()

    with http.client() as client, pytest.raises(SendError) as refused:
        exchange.download(
            via(server, client),
            server.url,
            limit=1_000_000,
            refusal=lambda answer, via: SendError("refused"),
        )

    assert (refused.value.code, refused.value.retry) == ("ReadTimeout", True)


@pytest.mark.parametrize("is_packed", [False, True])
def test_answer_that_is_too_long_is_not_read_to_its_end(monkeypatch, is_packed):
    monkeypatch.setattr(http, "LONGEST_ANSWER", 1000)
    monkeypatch.setattr(http, "_pinned", lambda request: request)
    content = b"x" * 1001
    headers = {"Content-Encoding": "gzip"} if is_packed else {}
    said = gzip.compress(content) if is_packed else content
    transport = http.GuardedTransport(
        httpx.MockTransport(lambda request: httpx.Response(200, headers=headers, content=said))
    )

    with httpx.Client(transport=transport) as client:
        with pytest.raises(http.AnswerTooLong):
            client.get("https://provider.test/")
        with client.stream("GET", "https://provider.test/") as answer:
            assert b"".join(answer.iter_bytes()) == content


def test_send_whose_answer_is_too_long_may_have_left(dripping, monkeypatch):
    monkeypatch.setattr(http, "LONGEST_ANSWER", 3)
    server = dripping(HEAD + b"far too long", b"x")

    with http.client() as client, pytest.raises(SendError) as refused:
        provider_of("wasender").send(
            Outgoing("reference", "+221700000002", "Bonjour"), via(server, client)
        )

    assert (refused.value.code, refused.value.unknown) == ("AnswerTooLong", True)
