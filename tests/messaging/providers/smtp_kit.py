"""What mail servers do, told by a script of one conversation."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from messaging.events import Kind
from messaging.providers.base import Blame, File
from tests.contract import SECRET, TEXT, Kit

CUT = "cut"
"""Instead of an answer: the line is cut."""
TAKES_ALL: dict[str, str] = {
    "hello": "220 mail.test",
    "EHLO": "250-mail.test\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE 10000000",
    "AUTH": "235 2.7.0 ok",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go on",
    "content": "250 2.0.0 queued",
    "QUIT": "221 bye",
}
_MAIL = replace(TEXT, to="awa@example.org", subject="Votre commande", reference="r1")


@contextmanager
def over_smtp(answers: Mapping[str, str] | OSError, dialled: list) -> Iterator[dict[str, Any]]:
    """A server that follows the script, or one that cannot be reached."""
    threads: list[threading.Thread] = []

    def dial(host: str, port: int, encrypted: bool) -> socket.socket:
        dialled.append((host, port))
        if isinstance(answers, OSError):
            raise answers
        ours, theirs = socket.socketpair()
        thread = threading.Thread(target=_serve, args=(theirs, {**TAKES_ALL, **answers}))
        threads.append(thread)
        thread.start()
        return ours

    yield {"dial": dial}
    for thread in threads:
        thread.join(10)


def _serve(line: socket.socket, answers: Mapping[str, str]) -> None:
    with line, line.makefile("rb") as commands, suppress(OSError):
        if not _say(line, answers["hello"]):
            return
        for command in commands:
            word = command.split(b" ")[0].strip().upper().decode("latin-1")
            if not _say(line, answers.get(word, "500 5.5.2 what?")):
                return
            if word == "DATA" and answers["DATA"].startswith("354"):
                while commands.readline() not in (b".\r\n", b""):
                    pass
                if not _say(line, answers["content"]):
                    return
            if word == "QUIT":
                return


def _say(line: socket.socket, answer: str) -> bool:
    if answer == CUT:
        return False
    line.sendall(f"{answer}\r\n".encode())
    return True


def _refused(step: str, answer: str, code: str, retry: bool, blame: Blame, unknown: bool = False):
    return ({step: answer}, (code, retry, blame, unknown))


SMTP = Kit(
    signers=(),
    events=frozenset(),
    statuses=frozenset(),
    ignored=frozenset(),
    reached=over_smtp,
    taken={},
    outgoing=(
        _MAIL,
        *(
            replace(_MAIL, kind=kind, file=File("image/png", "a.png", content=b"png"))
            for kind in (
                Kind.IMAGE,
                Kind.VIDEO,
                Kind.AUDIO,
                Kind.VOICE,
                Kind.DOCUMENT,
                Kind.STICKER,
            )
        ),
    ),
    refusals=(
        _refused("hello", "421 busy", "421", True, Blame.PROVIDER),
        _refused("hello", "554 go away", "554", False, Blame.ACCOUNT),
        _refused("AUTH", "535 5.7.8 wrong", "535", False, Blame.ACCOUNT),
        _refused("AUTH", "454 4.7.0 later", "454", True, Blame.PROVIDER),
        _refused("MAIL", "550 5.7.1 not your address", "550", False, Blame.ACCOUNT),
        _refused("MAIL", "552 5.3.4 too big", "552", False, Blame.MESSAGE),
        _refused("RCPT", "421 4.3.2 closing", "421", True, Blame.PROVIDER),
        _refused("RCPT", "450 4.2.0 greylisted", "450", True, Blame.PROVIDER),
        _refused("RCPT", "550 5.1.1 no such user", "550", False, Blame.RECIPIENT),
        _refused("RCPT", "550 5.7.1 policy", "550", False, Blame.MESSAGE),
        _refused("RCPT", "552 5.2.2 mailbox full", "552", False, Blame.RECIPIENT),
        _refused("DATA", "554 no", "554", False, Blame.MESSAGE),
        _refused("content", "451 4.3.0 later", "451", True, Blame.PROVIDER),
        _refused("content", "552 5.3.4 too big", "552", False, Blame.MESSAGE),
        _refused("content", "554 5.7.1 spam", "554", False, Blame.MESSAGE),
        _refused("content", CUT, "no_answer_to_data", False, Blame.PROVIDER, True),
        _refused("DATA", CUT, "SMTPServerDisconnected", True, Blame.PROVIDER),
        (PermissionError("private"), ("bad_host", False, Blame.ACCOUNT, False)),
        (TimeoutError("slow"), ("TimeoutError", True, Blame.PROVIDER, False)),
    ),
    bad_answers=(
        {"hello": CUT},
        {"hello": f"554 {SECRET}"},
        {"EHLO": f"421 {SECRET}", "HELO": f"421 {SECRET}"},
        {"AUTH": f"535 {SECRET}"},
        {"hello": "nonsense"},
        ConnectionRefusedError("refused"),
        PermissionError("private"),
        TimeoutError("too slow"),
    ),
    settings={
        "host": "mail.test",
        "security": "none",
        "user": "contact@shop.example",
        "from_email": "Shop <contact@shop.example>",
    },
)
