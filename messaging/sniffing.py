"""What a file really is, by its first bytes; what its sender says of it is not believed."""

from enum import StrEnum

import filetype

from messaging.events import Kind

MEGABYTE = 1024 * 1024
HEAD_BYTES = 8192
"""How much of a file is looked at: all that the signatures need."""

UNKNOWN = "application/octet-stream"
# Containers whose signature says video, whatever is inside.
_SAID_AS_AUDIO = {"video/webm": "audio/webm", "video/mp4": "audio/mp4", "video/3gpp": "audio/3gpp"}
_SAME = {
    "audio/x-wav": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "video/x-m4v": "video/mp4",
    "video/3gp": "video/3gpp",
}


class Display(StrEnum):
    """How a file may be shown; everything but FILE is shown inside our pages."""

    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    PDF = "pdf"
    FILE = "file"


# Only these are ever answered with their own type, inline. SVG and HTML are not, and never will be.
_DISPLAYS = {
    "image/jpeg": Display.IMAGE,
    "image/png": Display.IMAGE,
    "image/gif": Display.IMAGE,
    "image/webp": Display.IMAGE,
    "audio/mpeg": Display.AUDIO,
    "audio/ogg": Display.AUDIO,
    "audio/mp4": Display.AUDIO,
    "audio/aac": Display.AUDIO,
    "audio/wav": Display.AUDIO,
    "audio/amr": Display.AUDIO,
    "audio/webm": Display.AUDIO,
    "audio/3gpp": Display.AUDIO,
    "audio/flac": Display.AUDIO,
    "video/mp4": Display.VIDEO,
    "video/webm": Display.VIDEO,
    "video/quicktime": Display.VIDEO,
    "video/3gpp": Display.VIDEO,
    "application/pdf": Display.PDF,
}

# What has no signature but may be named as told: it is only ever downloaded.
_TOLD = frozenset({"text/plain", "text/csv", "text/vcard", "text/calendar", "application/json"})

_CAPS = {
    Kind.IMAGE: 20 * MEGABYTE,
    Kind.STICKER: 2 * MEGABYTE,
    Kind.AUDIO: 20 * MEGABYTE,
    Kind.VOICE: 20 * MEGABYTE,
    Kind.VIDEO: 64 * MEGABYTE,
}
LARGEST = 100 * MEGABYTE

_KINDS = {
    Display.IMAGE: Kind.IMAGE,
    Display.AUDIO: Kind.AUDIO,
    Display.VIDEO: Kind.VIDEO,
}

# What starts by itself when somebody opens it; nobody sends these to a customer by intent.
_REFUSED_ENDINGS = frozenset(
    {"apk", "app", "bat", "cmd", "com", "exe", "hta", "htm", "html", "jar", "js", "lnk", "msi"}
    | {"ps1", "scr", "sh", "svg", "vbs", "xhtml"}
)
_REFUSED_TYPES = frozenset({"application/x-msdownload", "application/x-executable"})
_MARKUP = (b"<!doctype html", b"<html", b"<script", b"<svg", b"<?xml")


def mime_type_of(head: bytes, told: str = "", kind: str = "") -> str:
    """The type that the first bytes prove; harmless words of the sender for what has none."""
    guess = filetype.guess_mime(head[:HEAD_BYTES])
    if guess is None:
        plain = told.partition(";")[0].strip().lower()
        return plain if plain in _TOLD and not is_markup(head) else UNKNOWN
    proven = _SAME.get(guess, guess)
    if kind in (Kind.AUDIO, Kind.VOICE):
        return _SAID_AS_AUDIO.get(proven, proven)
    return proven


def display_of(mime_type: str) -> Display:
    """How a file of this proven type may be shown."""
    return _DISPLAYS.get(mime_type, Display.FILE)


def kind_of(mime_type: str) -> Kind:
    """What a message with this file alone is."""
    return _KINDS.get(display_of(mime_type), Kind.DOCUMENT)


def cap_of(kind: str) -> int:
    """How many bytes a file of this kind may have."""
    return _CAPS.get(Kind(kind), LARGEST) if kind in set(Kind) else LARGEST


def may_leave(head: bytes, file_name: str, mime_type: str) -> bool:
    """Whether the team may send such a file: no program, no page that runs scripts."""
    ending = file_name.rpartition(".")[2].lower() if "." in file_name else ""
    return (
        ending not in _REFUSED_ENDINGS
        and mime_type not in _REFUSED_TYPES
        and not is_markup(head)
        and not head.startswith((b"MZ", b"\x7fELF", b"#!"))
    )


def is_markup(head: bytes) -> bool:
    """Whether these are the first bytes of a page or a drawing that a browser would run."""
    start = head[:HEAD_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n\x00").lower()
    return start.startswith(_MARKUP)
