"""Twilio's posts: forms, read with every blank and repeated parameter kept."""

from dataclasses import dataclass
from urllib.parse import parse_qsl

from messaging.providers.base import BadPayload
from messaging.providers.reading import storable

MOST_PARAMETERS = 500
"""Real posts have about thirty; the file list of one has ten."""


@dataclass(frozen=True)
class Form:
    """The parameters of a post, in their order."""

    pairs: tuple[tuple[str, str], ...]

    def get(self, *names: str) -> str:
        """The first value that one of these names has; "" where none has any."""
        for name in names:
            for each, value in self.pairs:
                if each == name and value.strip():
                    return storable(value.strip(), ())
        return ""

    def text(self, name: str) -> str:
        """The first value of a name as it was written, spaces and all."""
        return next((storable(value, ()) for each, value in self.pairs if each == name), "")

    def values(self) -> dict[str, str]:
        """Every parameter once, as a row can keep it."""
        return {storable(name, ()): storable(value, ()) for name, value in self.pairs}


def read_form(body: bytes) -> Form:
    """The form in a body, or `BadPayload`. What is no UTF-8 keeps its bytes, since they are
    signed."""
    try:
        pairs = parse_qsl(
            body.decode("utf-8", "surrogateescape"),
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=MOST_PARAMETERS,
        )
    except ValueError as error:
        raise BadPayload("too many parameters") from error
    return Form(tuple(pairs))
