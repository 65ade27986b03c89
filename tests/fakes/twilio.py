"""Twilio's REST API, as strict as the real one: `python -m tests.fakes.twilio PORT`.

It knows method, path, authentication, content type and required fields; anything else is a 4xx
with Twilio's codes. Some numbers have a fate, as with Twilio's test credentials; `/control` says
what was asked of it and sets what it does next.
"""

import base64
import hashlib
import hmac
import json
import re
import sys
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

SID = "AC00000000000000000000000000000a01"
TOKEN = "token-of-the-fake-account"
NUMBER = "+33644600001"
SERVICE = "MG00000000000000000000000000000b01"
PICTURE = b"\x89PNG\r\n\x1a\n" + b"picture" * 20
LONGEST_BODY = 1600
MOST_FILES = 10

# To these numbers: the HTTP status, the code and the words of the refusal.
FATES = {
    "+33644609211": (400, 21211, "The 'To' number is not a valid phone number."),
    "+33644609408": (400, 21408, "Permission to send an SMS has not been enabled."),
    "+33644609610": (400, 21610, "Attempt to send to unsubscribed recipient"),
    "+33644609612": (400, 21612, "The 'To' phone number is not currently reachable"),
    "+33644609614": (400, 21614, "'To' number is not a valid mobile number"),
    "+33644609611": (400, 21611, "This 'From' number has exceeded the maximum queue"),
}
BROKEN = "+33644609500"
"""To this number the answer is an error of the server, after the message was taken."""
CUT = "+33644609000"
"""To this number the line is cut before the answer, after the message was taken."""


@dataclass
class Account:
    """What the fake knows of its one account."""

    status: str = "active"
    messages: list[dict[str, Any]] = field(default_factory=list)
    fields: list[dict[str, list[str]]] = field(default_factory=list)
    refuse_next: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


ACCOUNT = Account()
_ROOT = f"/2010-04-01/Accounts/{SID}"
_MEDIA = re.compile(rf"{_ROOT}/Messages/(MM\w+)/Media/(ME\w+)")
_MEDIA_LIST = re.compile(rf"{_ROOT}/Messages/(MM\w+)/Media\.json")


class Refused(Exception):
    """An answer other than 2xx."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith("/control"):
            return self._control()
        if path == "/cdn/picture":
            return self._cdn()
        self._answered(lambda: self._read(path))

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path.startswith("/control"):
            return self._set(json.loads(body))
        self._answered(lambda: self._create(path, body))

    def _answered(self, work) -> None:
        try:
            self._authenticate()
            status, said = work()
        except Refused as refused:
            told = {
                "code": refused.code,
                "message": refused.message,
                "more_info": f"https://www.twilio.com/docs/errors/{refused.code}",
                "status": refused.status,
            }
            return self._json(refused.status, told)
        if said is not None:
            self._json(status, said)

    def _authenticate(self) -> None:
        expected = base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {expected}":
            raise Refused(401, 20003, "Authenticate")

    def _read(self, path: str) -> tuple[int, Any]:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if path == f"{_ROOT}.json":
            return 200, {"sid": SID, "status": ACCOUNT.status, "friendly_name": "Fake"}
        if path == f"{_ROOT}/IncomingPhoneNumbers.json":
            mine = [NUMBER] if query.get("PhoneNumber", [NUMBER]) == [NUMBER] else []
            return 200, {"incoming_phone_numbers": [{"phone_number": each} for each in mine]}
        if path == f"{_ROOT}/Messages.json":
            return 200, _page(query)
        if _MEDIA.fullmatch(path):
            return self._redirect("/cdn/picture")
        if listed := _MEDIA_LIST.fullmatch(path):
            uri = f"{_ROOT}/Messages/{listed[1]}/Media/ME{1:032x}.json"
            return 200, {"media_list": [{"uri": uri, "content_type": "image/png"}]}
        raise Refused(404, 20404, f"The requested resource {path} was not found")

    def _create(self, path: str, body: bytes) -> tuple[int, Any]:
        if path != f"{_ROOT}/Messages.json":
            raise Refused(404, 20404, f"The requested resource {path} was not found")
        if self.headers.get("Content-Type") != "application/x-www-form-urlencoded":
            raise Refused(415, 20415, "Unsupported media type")
        form: dict[str, list[str]] = {}
        for name, value in parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True):
            form.setdefault(name, []).append(value)
        with ACCOUNT.lock:
            if ACCOUNT.refuse_next:
                ACCOUNT.refuse_next -= 1
                self._retry_after = "7"
                raise Refused(429, 20429, "Too many requests")
        _check(form)
        message = _keep(form)
        to = form["To"][0]
        if to == BROKEN:
            raise Refused(500, 20500, "Internal server error")
        if to == CUT:
            self.close_connection = True
            return 0, None
        return 201, message

    def _control(self) -> None:
        self._json(200, {"fields": ACCOUNT.fields, "messages": ACCOUNT.messages})

    def _set(self, wanted: dict[str, Any]) -> None:
        with ACCOUNT.lock:
            ACCOUNT.status = wanted.get("status", ACCOUNT.status)
            ACCOUNT.refuse_next = wanted.get("refuse_next", ACCOUNT.refuse_next)
            ACCOUNT.messages += wanted.get("messages", [])
        self._json(200, {})

    def _cdn(self) -> None:
        if self.headers.get("Authorization"):
            return self._json(400, {"message": "Only one authentication mechanism is allowed"})
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(len(PICTURE)))
        self.end_headers()
        self.wfile.write(PICTURE)

    def _redirect(self, path: str) -> tuple[int, None]:
        # Another host of the same machine, as a delivery network is another one than the API.
        port = self.server.server_address[1]
        self.send_response(307)
        self.send_header("Location", f"http://localhost:{port}{path}")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return 307, None

    def _json(self, status: int, said: Any) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""


def _check(form: dict[str, list[str]]) -> None:
    """Refuse what Twilio refuses, with its code."""
    known = {"To", "From", "MessagingServiceSid", "Body", "MediaUrl", "StatusCallback"}
    if unknown := set(form) - known:
        raise Refused(400, 20001, f"Unknown parameters {sorted(unknown)}")
    to = form.get("To", [""])[0]
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", to):
        raise Refused(400, 21211, f"The 'To' number {to} is not a valid phone number.")
    if to in FATES:
        raise Refused(*FATES[to])
    _check_sender(form)
    body, files = form.get("Body", [""])[0], form.get("MediaUrl", [])
    if not body and not files:
        raise Refused(400, 21602, "Message body is required.")
    if len(body) > LONGEST_BODY:
        raise Refused(400, 21617, "The concatenated message body exceeds the 1600 character limit")
    if len(files) > MOST_FILES:
        raise Refused(400, 21623, "Number of media files exceeds allowed limit")
    for url in [*files, *form.get("StatusCallback", [])]:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "_" in parts.hostname:
            raise Refused(400, 21620 if url in files else 21609, f"Invalid URL {url}")


def _check_sender(form: dict[str, list[str]]) -> None:
    senders = [form[name][0] for name in ("From", "MessagingServiceSid") if name in form]
    if not senders:
        raise Refused(400, 21603, "A 'From' phone number is required.")
    if "MessagingServiceSid" in form and form["MessagingServiceSid"] != [SERVICE]:
        raise Refused(400, 21705, "The 'MessagingServiceSid' is invalid.")
    if "From" in form and form["From"] not in ([NUMBER], ["AMDA"]):
        raise Refused(400, 21606, "The From phone number is not a valid, SMS-capable number")


def _keep(form: dict[str, list[str]]) -> dict[str, Any]:
    files = form.get("MediaUrl", [])
    with ACCOUNT.lock:
        number = len(ACCOUNT.messages) + 1
        message = {
            "sid": f"{'MM' if files else 'SM'}{number:032x}",
            "account_sid": SID,
            "from": form.get("From", [None])[0],
            "to": form["To"][0],
            "body": form.get("Body", [""])[0],
            "num_media": str(len(files)),
            "num_segments": "1",
            "direction": "outbound-api",
            "status": "queued",
            "error_code": None,
            "error_message": None,
            "messaging_service_sid": form.get("MessagingServiceSid", [None])[0],
            "date_sent": format_datetime(datetime.now(UTC)),
        }
        ACCOUNT.messages.append(message)
        ACCOUNT.fields.append(form)
    return message


def _page(query: dict[str, list[str]]) -> dict[str, Any]:
    """Two messages of the list, newest first, and where the next ones are."""
    if set(query) - {"To", "From", "DateSent>", "PageSize", "Page"}:
        raise Refused(400, 20001, "Unknown parameters")
    since = query.get("DateSent>", ["1970-01-01"])[0]
    datetime.fromisoformat(since.replace("Z", "+00:00"))
    found = [
        message
        for message in reversed(ACCOUNT.messages)
        if query.get("To", [message["to"]]) == [message["to"]]
        and query.get("From", [message["from"]]) == [message["from"]]
    ]
    page = int(query.get("Page", ["0"])[0])
    following = {name: value[0] for name, value in query.items()} | {"Page": str(page + 1)}
    more = len(found) > 2 * (page + 1)
    return {
        "messages": found[2 * page : 2 * page + 2],
        "next_page_uri": f"{_ROOT}/Messages.json?{urlencode(following)}" if more else None,
    }


def signature(url: str, fields: dict[str, str], token: str = TOKEN) -> str:
    """What Twilio signs a post with."""
    text = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Api)
    server.serve_forever()
