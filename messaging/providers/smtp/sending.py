"""Handing a mail to the tenant's server, step by step, so that each refusal is known by its step.

The certificate is always checked, and a server that offers no STARTTLS where it should is not
spoken to without it: the password would travel in the clear.
"""

import contextlib
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

from messaging.events import Connection
from messaging.providers.base import Blame, InstanceState, Outgoing, SendError, Sent, Via

from .composing import ascii_domain, compose, message_id, recipient
from .outcomes import refusal
from .settings import Server, sender_of, server_of

# All steps together; the outbox takes a call that lasts longer than a minute for lost.
WHOLE_SECONDS = 50
STEP_SECONDS = 15


def send(outgoing: Outgoing, via: Via) -> Sent:
    """Send one mail; its id is ours. `SendError` says at which step it failed, and as what."""
    content = compose(outgoing, via).as_bytes()
    to = recipient(outgoing)
    with _line(via) as line:
        line.sender(sender_of(via)[1], len(content))
        line.recipient(to)
        line.content(content)
    return Sent(external_id=message_id(outgoing, via))


def check(via: Via) -> InstanceState:
    """Whether the server takes us: encryption, user name and password."""
    with _line(via):
        return InstanceState(Connection.CONNECTED, address=via.address)


class _Line(smtplib.SMTP):
    """A connection whose steps all end before its time is over."""

    def __init__(self, server: Server, via: Via) -> None:
        self._until = time.monotonic() + WHOLE_SECONDS
        self._server = server
        self._via = via
        # Said in the greeting; the library would tell this machine's own name.
        name = ascii_domain(sender_of(via)[1]) or "localhost"
        super().__init__(local_hostname=name, timeout=STEP_SECONDS)
        self._host = server.host  # The name that the certificate must be good for.

    def begin(self) -> None:
        """Connect, encrypt, sign in."""
        self._answered("connect", *self.connect(self._server.host, self._server.port))
        self._hello()
        if self._server.security == "starttls":
            self._encrypt()
        if self._server.user:
            self._sign_in()

    def sender(self, address: str, size: int) -> None:
        """Say who writes, and how much."""
        options = [f"size={size}"] if self.has_extn("size") else []
        self._answered("sender", *self.mail(address, options))

    def recipient(self, address: str) -> None:
        """Say who it is for."""
        self._answered("recipient", *self.rcpt(address))

    def content(self, content: bytes) -> None:
        """Hand the mail over. Once it began to leave, no answer means that it may be there."""
        code, said = self.docmd("DATA")
        if code != 354:
            raise refusal("content", code, said, self._via)
        try:
            self.send(_with_dots(content) + b".\r\n")
            code, said = self.getreply()
        except (OSError, smtplib.SMTPException) as error:
            raise SendError("no_answer_to_data", unknown=True) from error
        self._answered("content", code, said)

    def _hello(self) -> None:
        code, said = self.ehlo()
        if not 200 <= code < 300:
            code, said = self.helo()
        self._answered("hello", code, said)

    def _encrypt(self) -> None:
        if not self.has_extn("starttls"):
            raise SendError("no_starttls", blame=Blame.ACCOUNT)
        self._answered("starttls", *self.starttls(context=_context()))
        self._hello()

    def _sign_in(self) -> None:
        try:
            self.login(self._server.user, self._via.secrets.get("password", ""))
        except smtplib.SMTPAuthenticationError as error:
            # The library's error quotes what was sent; only the server's own words are kept.
            code, said = error.smtp_code, error.smtp_error
            raise refusal("login", code, said, self._via) from None
        except (smtplib.SMTPNotSupportedError, UnicodeEncodeError):
            raise SendError("no_sign_in", blame=Blame.ACCOUNT) from None

    def _answered(self, step: str, code: int, said: bytes | str) -> None:
        if not 200 <= code < 300:
            raise refusal(step, code, said, self._via)

    def _get_socket(self, host: str, port: int, timeout: Any) -> socket.socket:
        dialled = self._via.dial(host, port, self._server.security != "none")
        dialled.settimeout(self._left())
        if self._server.security != "tls":
            return dialled
        try:
            return _context().wrap_socket(dialled, server_hostname=host)
        except BaseException:
            dialled.close()
            raise

    def send(self, s: Any) -> None:
        self._hurry()
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        self._hurry()
        return super().getreply()

    def _hurry(self) -> None:
        if self.sock:
            self.sock.settimeout(self._left())

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the server takes too long")
        return min(left, STEP_SECONDS)


@contextlib.contextmanager
def _line(via: Via) -> Iterator[_Line]:
    """An open line to the server, which is told goodbye afterwards; its errors as `SendError`."""
    line = _Line(server_of(via), via)
    try:
        with _translated_errors(via):
            line.begin()
            yield line
        # The mail is theirs already: how the goodbye goes does not matter.
        with contextlib.suppress(OSError, smtplib.SMTPException):
            line.quit()
    finally:
        line.close()


@contextlib.contextmanager
def _translated_errors(via: Via) -> Iterator[None]:
    """What goes wrong before a mail left: nothing was taken, so it can be tried again."""
    try:
        yield
    except PermissionError as error:
        raise SendError("bad_host", blame=Blame.ACCOUNT) from error
    except ssl.SSLCertVerificationError as error:
        raise SendError("bad_certificate", blame=Blame.ACCOUNT) from error
    except smtplib.SMTPResponseException as error:
        raise refusal("hello", error.smtp_code, error.smtp_error, via) from None
    except (OSError, smtplib.SMTPException) as error:
        raise SendError(type(error).__name__, retry=True) from error


def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _with_dots(content: bytes) -> bytes:
    """The mail with a dot before each dot that begins a line, as the protocol wants it."""
    ended = content if content.endswith(b"\r\n") else content + b"\r\n"
    return (b"\r\n" + ended).replace(b"\r\n.", b"\r\n..")[2:]
