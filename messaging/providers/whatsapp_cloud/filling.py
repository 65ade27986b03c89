"""A filled template as Meta takes it: components with parameters, in the order of places."""

from collections.abc import Iterable
from typing import Any

from messaging.providers.base import Blame, File, Outgoing, SendError, Via
from messaging.providers.templates import ButtonValue, FilledTemplate, Variable

from .files import source_of


def template_member(outgoing: Outgoing, via: Via) -> dict[str, Any]:
    """The type and member of a message that is a template."""
    template = outgoing.template
    if template is None:
        raise SendError("unsupported_kind", outgoing.kind.value, blame=Blame.MESSAGE)
    components = [*_header(template, outgoing, via), *_body(template), *_buttons(template)]
    member: dict[str, Any] = {"name": template.name, "language": {"code": template.language}}
    if components:
        member["components"] = components
    return {"type": "template", "template": member}


def _header(template: FilledTemplate, outgoing: Outgoing, via: Via) -> list[dict[str, Any]]:
    if outgoing.file is not None:
        return [{"type": "header", "parameters": [_file(outgoing, outgoing.file, via)]}]
    return _texts("header", template.header)


def _file(outgoing: Outgoing, file: File, via: Via) -> dict[str, Any]:
    kind = outgoing.kind.value
    if kind not in ("image", "video", "document"):
        raise SendError("unsupported_kind", kind, blame=Blame.MESSAGE)
    content = source_of(file, via)
    if kind == "document" and file.file_name:
        content["filename"] = file.file_name
    return {"type": kind, kind: content}


def _body(template: FilledTemplate) -> list[dict[str, Any]]:
    return _texts("body", template.body)


def _texts(component: str, variables: Iterable[Variable]) -> list[dict[str, Any]]:
    parameters = [
        {"type": "text", "text": each.value} | ({"parameter_name": each.name} if each.name else {})
        for each in variables
    ]
    return [{"type": component, "parameters": parameters}] if parameters else []


def _buttons(template: FilledTemplate) -> list[dict[str, Any]]:
    return [_button(each) for each in template.buttons]


def _button(button: ButtonValue) -> dict[str, Any]:
    if button.kind == "code":
        sub_type, parameter = "copy_code", {"type": "coupon_code", "coupon_code": button.value}
    else:
        sub_type, parameter = "url", {"type": "text", "text": button.value}
    return {
        "type": "button",
        "sub_type": sub_type,
        "index": str(button.position),
        "parameters": [parameter],
    }
