"""Templates: texts that a provider lets an account send at any time, and how places are filled."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Variable:
    """What stands in a template's place: by name, or in the order of places without one."""

    value: str
    name: str = ""


@dataclass(frozen=True)
class ButtonValue:
    """What a template's button, counted from 0, carries: the end of a `url`, a `code` to copy."""

    position: int
    kind: str
    value: str


@dataclass(frozen=True)
class FilledTemplate:
    """An approved text of the account with its places filled.

    A header that is a file is the message's `file`; `header` are the places of one of words.
    """

    name: str
    language: str
    header: tuple[Variable, ...] = ()
    body: tuple[Variable, ...] = ()
    buttons: tuple[ButtonValue, ...] = ()


@dataclass(frozen=True)
class TemplateButton:
    """A button of a template: a quick `reply`, a `url` with or without a place, a `phone`, a
    `code` to copy, or something else that needs nothing."""

    kind: str
    text: str
    value: str = ""
    example: str = ""


@dataclass(frozen=True)
class Template:
    """A text that the provider let the account send at any time.

    `header_kind` is "" without header, `text`, or the kind of a file. Places are written {{1}} or
    {{name}} in the texts; `examples` has a value for each where the provider keeps one, by
    "header.1", "body.name". `unsupported` names what in it cannot be sent from here.
    """

    external_id: str
    name: str
    language: str
    status: str
    category: str = ""
    quality: str = ""
    reason: str = ""
    header_kind: str = ""
    header: str = ""
    body: str = ""
    footer: str = ""
    buttons: tuple[TemplateButton, ...] = ()
    examples: Mapping[str, str] = field(default_factory=dict)
    unsupported: str = ""
