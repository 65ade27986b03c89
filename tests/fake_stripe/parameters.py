"""What a request may say: form fields, read and judged as the published types have them."""

import re
import sys
import types
import typing
from typing import Any
from urllib.parse import parse_qsl

import typing_extensions
from stripe._request_options import RequestOptions
from stripe._stripe_object import UntypedStripeObject

_PIECE = re.compile(r"\[([^\]]*)\]")
# What the library's own calls take beside the parameters; it never leaves the machine.
_OWN = frozenset(RequestOptions.__annotations__)


class Refused(Exception):
    """A request that Stripe answers with 400."""

    def __init__(self, message: str, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param


def read(text: str) -> dict[str, Any]:
    """Form fields such as `a[b][0]=c` as what they stand for."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        first, *rest = [name.partition("[")[0], *_PIECE.findall(name)]
        _put(found, [first, *rest], value)
    return _with_lists(found)


def judge(given: dict[str, Any], kind: type) -> dict[str, Any]:
    """The same with numbers and switches read; `Refused` for whatever the type has not."""
    return _of_typed_dict(given, kind, "")


def _put(into: dict, path: list[str], value: str) -> None:
    for piece in path[:-1]:
        into = into.setdefault(piece or str(len(into)), {})
    into[path[-1] or str(len(into))] = value


def _with_lists(found: Any) -> Any:
    if not isinstance(found, dict):
        return found
    inner = {name: _with_lists(value) for name, value in found.items()}
    if inner and all(name.isdigit() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner


def _of_typed_dict(given: Any, kind: type, path: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Refused("Invalid object", "parameter_invalid", path)
    hints = _hints(kind)
    for name in given:
        if name not in hints:
            raise Refused(
                f"Received unknown parameter: {_join(path, name)}",
                "parameter_unknown",
                _join(path, name),
            )
    for name in kind.__required_keys__ - _OWN:
        if name not in given:
            raise Refused(
                f"Missing required param: {_join(path, name)}.",
                "parameter_missing",
                _join(path, name),
            )
    return {name: _of(value, hints[name], _join(path, name)) for name, value in given.items()}


def _hints(kind: type) -> dict[str, Any]:
    space = {**vars(typing), **vars(sys.modules[kind.__module__])}
    space["UntypedStripeObject"] = UntypedStripeObject
    said = {name: hint for name, hint in kind.__annotations__.items() if name not in _OWN}
    bare = type("Bare", (), {"__annotations__": said})
    return typing_extensions.get_type_hints(bare, space)


def _of(value: Any, kind: Any, path: str) -> Any:
    origin = typing_extensions.get_origin(kind)
    if origin in {typing.Union, types.UnionType}:
        return _of_union(value, typing_extensions.get_args(kind), path)
    if origin in {list, typing.List}:  # noqa: UP006
        if not isinstance(value, list):
            raise Refused("Invalid array", "parameter_invalid", path)
        (inner,) = typing_extensions.get_args(kind)
        return [_of(each, inner, f"{path}[{at}]") for at, each in enumerate(value)]
    if origin is dict:
        return {str(name): str(each) for name, each in value.items()}
    if origin is typing_extensions.Literal:
        return _of_choice(value, typing_extensions.get_args(kind), path)
    if kind is bool:
        if value not in {"true", "false"}:
            raise Refused(f"Invalid boolean: {value}", "parameter_invalid", path)
        return value == "true"
    if kind is int:
        if not re.fullmatch(r"-?\d+", str(value)):
            raise Refused(f"Invalid integer: {value}", "parameter_invalid_integer", path)
        return int(value)
    if typing_extensions.is_typeddict(kind):
        return _of_typed_dict(value, kind, path)
    return value


def _of_union(value: Any, kinds: tuple, path: str) -> Any:
    choices = [
        choice
        for kind in kinds
        if typing_extensions.get_origin(kind) is typing_extensions.Literal
        for choice in typing_extensions.get_args(kind)
    ]
    # `Literal[…] | str` is a list of words; `Literal[''] | str` is any text.
    if isinstance(value, str) and any(choices):
        return _of_choice(value, tuple(choices), path)
    others = [
        kind
        for kind in kinds
        if typing_extensions.get_origin(kind) is not typing_extensions.Literal
        and kind is not UntypedStripeObject
        and typing_extensions.get_origin(kind) is not UntypedStripeObject
    ]
    if value == "" and "" in choices:
        return value
    return _of(value, others[0], path) if others else value


def _of_choice(value: Any, choices: tuple, path: str) -> Any:
    if value not in choices:
        raise Refused(
            f"Invalid {path}: must be one of {', '.join(map(str, choices))}",
            "parameter_invalid_enum",
            path,
        )
    return value


def _join(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name
