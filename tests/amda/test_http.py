"""Where calls to providers may lead, and where nothing leads them."""

import ipaddress
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from amda import http

HARMFUL = [
    "127.0.0.1",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
]


class Canary(ThreadingHTTPServer):
    """A server on the loopback address that must hear nothing, or says where else to go."""

    def __init__(self, location: str = "") -> None:
        self.heard: list[str] = []
        self.hosts: list[str] = []
        self.location = location
        super().__init__(("127.0.0.1", 0), _Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Answer(BaseHTTPRequestHandler):
    server: Canary

    def do_GET(self) -> None:
        self.server.heard.append(self.path)
        self.server.hosts.append(self.headers["Host"])
        goes_on = self.server.location and self.path == "/"
        self.send_response(302 if goes_on else 200)
        if goes_on:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def canary():
    made: list[Canary] = []

    def make(location: str = "") -> Canary:
        made.append(Canary(location))
        return made[-1]

    yield make
    for each in made:
        each.shutdown()
        each.server_close()


def resolves_to(monkeypatch, *answers: list[str]) -> list[str]:
    """Every look-up takes the next answer, then the last one again; the names asked for."""
    asked: list[str] = []
    left = list(answers)

    def getaddrinfo(host, port, *args, **kwargs):
        asked.append(host)
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    monkeypatch.setattr(http.socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("address", HARMFUL)
def test_no_address_of_our_own_network_is_public(address):
    assert not http.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:8.8.8.8"])
def test_public_addresses_are_public(address):
    assert http.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", HARMFUL)
def test_name_that_leads_home_is_refused_before_anything_is_sent(settings, monkeypatch, address):
    settings.PRIVATE_API_HOSTS = []
    resolves_to(monkeypatch, [address])

    with http.client() as client, pytest.raises(http.Forbidden):
        client.get("https://files.provider.test/a")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0", "[::1]", "[::ffff:7f00:1]"]
)
def test_canary_on_loopback_hears_nothing(settings, canary, host):
    settings.PRIVATE_API_HOSTS = []
    bird = canary()

    for scheme in ("http", "https"):
        with http.client() as client, pytest.raises(httpx.ConnectError):
            client.get(f"{scheme}://{host}:{bird.server_port}/")

    assert bird.heard == []


def test_name_that_changes_between_look_and_call_leads_nowhere_else(settings, monkeypatch):
    settings.PRIVATE_API_HOSTS = []
    asked = resolves_to(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    called = []

    def take(request):
        called.append((str(request.url), request.headers["Host"], dict(request.extensions)))
        return httpx.Response(200)

    transport = http.GuardedTransport(httpx.MockTransport(take))
    transport.handle_request(httpx.Request("GET", "https://files.provider.test/a"))

    assert asked == ["files.provider.test"]
    assert [each[:2] for each in called] == [("https://93.184.216.34/a", "files.provider.test")]
    assert called[0][2]["sni_hostname"] == "files.provider.test"


def test_redirect_is_not_followed_unless_asked_for(settings, canary):
    settings.PRIVATE_API_HOSTS = ["127.0.0.1"]
    target = canary()
    first = canary(target.url)

    with http.client() as client:
        assert client.get(first.url).status_code == 302

    assert target.heard == []


def test_redirect_to_our_own_network_is_refused(settings, canary):
    target = canary()
    first = canary(f"http://localhost:{target.server_port}/secret")
    settings.PRIVATE_API_HOSTS = ["127.0.0.1"]

    with http.client() as client, pytest.raises(http.Forbidden):
        client.get(first.url, follow_redirects=True)

    assert (first.heard, target.heard) == (["/"], [])


def test_redirect_is_read_against_the_name_and_not_the_address(settings, canary):
    settings.PRIVATE_API_HOSTS = ["localhost"]
    bird = canary("/file")

    with http.client() as client:
        answer = client.get(f"http://localhost:{bird.server_port}/", follow_redirects=True)

    assert (answer.status_code, bird.heard) == (200, ["/", "/file"])
    assert bird.hosts == [f"localhost:{bird.server_port}"] * 2


def test_redirects_are_few(settings, canary):
    settings.PRIVATE_API_HOSTS = ["127.0.0.1"]
    bird = canary("/")

    with http.client() as client, pytest.raises(httpx.TooManyRedirects):
        client.get(bird.url, follow_redirects=True)

    assert len(bird.heard) == http.MOST_REDIRECTS + 1
