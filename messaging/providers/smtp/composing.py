"""A message as a mail: headers, the text, the same as HTML, the file.

| header | is |
|---|---|
| Message-ID | our reference at the sender's domain: every attempt has the same one |
| In-Reply-To, References | what was said before under the same subject (RFC 5322) |
| List-Unsubscribe, List-Unsubscribe-Post | where one click ends it (RFC 8058) |
| Auto-Submitted | `auto-generated` for what nobody typed, so that no robot answers (RFC 3834) |
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from django.utils.html import escape
from django.utils.translation import get_language, gettext

from messaging.events import Kind
from messaging.providers.base import Blame, File, Outgoing, SendError, Via
from messaging.providers.reading import text

from .settings import checked, sender_of

# Long addresses stay whole: folded or encoded, no mail program finds the link in them.
_POLICY = SMTP.clone(max_line_length=998, cte_type="7bit")
FILES = frozenset({Kind.IMAGE, Kind.VIDEO, Kind.AUDIO, Kind.VOICE, Kind.DOCUMENT, Kind.STICKER})
_LINK = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)\]]")
_MESSAGE_ID = re.compile(r"<[^<>\s@]+@[^<>\s@]+>")


def compose(outgoing: Outgoing, via: Via) -> EmailMessage:
    """The mail of a message, or `SendError` naming the field that cannot be sent."""
    if outgoing.kind is not Kind.TEXT and outgoing.kind not in FILES:
        raise SendError("unsupported_kind", outgoing.kind.value, blame=Blame.MESSAGE)
    mail = EmailMessage(policy=_POLICY)
    for name, value in _headers(outgoing, via):
        mail[name] = value
    mail.set_content(_plain(outgoing))
    mail.add_alternative(_html(outgoing), subtype="html")
    if outgoing.kind in FILES:
        _attach(mail, outgoing)
    return mail


def message_id(outgoing: Outgoing, via: Via) -> str:
    """The id of the mail, known before it is sent."""
    domain = ascii_domain(sender_of(via)[1]) or "localhost"
    return f"<{checked('reference', outgoing.reference)}@{domain}>"


def recipient(outgoing: Outgoing) -> str:
    """The recipient's address in ASCII, which every server takes."""
    local, _sign, _domain = checked("to", outgoing.to).rpartition("@")
    domain = ascii_domain(outgoing.to)
    if not local or not domain or not local.isascii() or re.search(r"[\s<>]", local):
        raise SendError("bad_to", blame=Blame.RECIPIENT)
    return f"{local}@{domain}"


def ascii_domain(address: str) -> str:
    """The domain of an address as it is looked up; "" where it is none."""
    domain = address.rpartition("@")[2]
    try:
        encoded = domain.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    return encoded if re.fullmatch(r"[A-Za-z0-9.-]+", encoded) else ""


def _headers(outgoing: Outgoing, via: Via) -> Iterable[tuple[str, str | Address]]:
    name, address = sender_of(via)
    yield "From", _address("from_email", name, address)
    yield "To", _address("to", "", recipient(outgoing))
    if reply_to := text(via.settings.get("reply_to")):
        yield "Reply-To", _address("reply_to", *parseaddr(reply_to))
    yield "Subject", checked("subject", outgoing.subject)
    yield "Date", format_datetime(datetime.now(UTC))
    yield "Message-ID", message_id(outgoing, via)
    yield from _thread(outgoing)
    if outgoing.unsubscribe_url:
        yield "List-Unsubscribe", f"<{checked('unsubscribe_url', outgoing.unsubscribe_url)}>"
        yield "List-Unsubscribe-Post", "List-Unsubscribe=One-Click"
    if outgoing.is_automatic:
        yield "Auto-Submitted", "auto-generated"


def _address(field: str, name: str, address: str) -> Address:
    local, _sign, domain = checked(field, address).rpartition("@")
    try:
        return Address(checked(field, name), local, ascii_domain(f"@{domain}") or domain)
    except (ValueError, IndexError) as error:
        raise SendError(f"bad_{field}", blame=Blame.MESSAGE) from error


def _thread(outgoing: Outgoing) -> Iterable[tuple[str, str]]:
    before = [each for each in outgoing.thread if _MESSAGE_ID.fullmatch(each)]
    answered = outgoing.reply_to if _MESSAGE_ID.fullmatch(outgoing.reply_to) else ""
    if answered:
        before = [*(each for each in before if each != answered), answered]
    if before:
        yield "In-Reply-To", before[-1]
        yield "References", " ".join(before)


def _plain(outgoing: Outgoing) -> str:
    if not outgoing.unsubscribe_url:
        return outgoing.text
    return f"{outgoing.text}\n\n-- \n{_way_out()} {outgoing.unsubscribe_url}\n"


def _html(outgoing: Outgoing) -> str:
    paragraphs = re.split(r"\n\s*\n", outgoing.text.replace("\r\n", "\n").strip())
    body = "\n".join(f"<p>{_linked(each)}</p>" for each in paragraphs if each)
    if outgoing.unsubscribe_url:
        link = f'<a href="{escape(outgoing.unsubscribe_url)}">{escape(_way_out())}</a>'
        body += f'\n<p style="margin-top:2em;font-size:12px;color:#666">{link}</p>'
    return (
        f'<!DOCTYPE html>\n<html lang="{escape(get_language() or "fr")}"><head>'
        '<meta charset="utf-8"></head>\n'
        f'<body style="font-family:sans-serif;font-size:15px;line-height:1.5">\n{body}\n'
        "</body></html>\n"
    )


def _linked(paragraph: str) -> str:
    """The words as HTML, with their lines and links."""
    parts, at = [], 0
    for link in _LINK.finditer(paragraph):
        address = escape(link[0])
        parts += [escape(paragraph[at : link.start()]), f'<a href="{address}">{address}</a>']
        at = link.end()
    parts.append(escape(paragraph[at:]))
    return "".join(parts).replace("\n", "<br>\n")


def _way_out() -> str:
    return gettext("To receive no more e-mails from us:")


def _attach(mail: EmailMessage, outgoing: Outgoing) -> None:
    file = outgoing.file
    if file is None or not file.content:
        raise SendError("file_missing", outgoing.kind.value, blame=Blame.MESSAGE)
    main, _sign, sub = _type_of(file).partition("/")
    mail.add_attachment(
        file.content,
        maintype=main,
        subtype=sub,
        filename=checked("file_name", file.file_name or outgoing.kind.value),
    )


def _type_of(file: File) -> str:
    told = file.mime_type.partition(";")[0].strip().lower()
    is_type = re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", told)
    # A message or a multipart inside would not be a file any more.
    return told if is_type and told.split("/")[0] in _MAIN_TYPES else "application/octet-stream"


_MAIN_TYPES = frozenset({"application", "audio", "font", "image", "text", "video"})
