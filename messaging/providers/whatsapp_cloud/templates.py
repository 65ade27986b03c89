"""The templates of an account: GET /{waba_id}/message_templates, page by page."""

from collections.abc import Mapping
from typing import Any

from messaging.providers.base import Blame, SendError, Via
from messaging.providers.reading import first_text, listing, mapping, text, word
from messaging.providers.templates import Template, TemplateButton

from .accounts import language_of
from .calls import ask

_FIELDS = "id,name,language,status,category,components,quality_score,rejected_reason"
_PAGE = "100"
_MOST_PAGES = 60

_FILE_HEADERS = {"image": "image", "video": "video", "document": "document"}
_BUTTONS = {
    "quick_reply": "reply",
    "url": "url",
    "phone_number": "phone",
    "copy_code": "code",
}


def templates(via: Via) -> list[Template]:
    """Every template of the account."""
    account = text(via.settings.get("waba_id"))
    if not account:
        raise SendError("no_account", "waba_id", blame=Blame.ACCOUNT)
    found: list[Template] = []
    query = {"fields": _FIELDS, "limit": _PAGE}
    for _page in range(_MOST_PAGES):
        answer = ask(via, "GET", f"{account}/message_templates", query=query)
        if not isinstance(answer.get("data"), list):
            raise SendError("unreadable_answer", "no data", retry=True)
        found += [each for item in answer["data"] if (each := _template(mapping(item)))]
        paging = mapping(answer.get("paging"))
        after = first_text(mapping(paging.get("cursors")), "after")
        # Its own address of the next page holds the token: only the cursor is taken from it.
        if not paging.get("next") or not after:
            break
        query = {**query, "after": after}
    return found


def _template(item: dict[str, Any]) -> Template | None:
    name, language = first_text(item, "name"), language_of(first_text(item, "language"))
    if not name or not language:
        return None
    parts = {word(mapping(each).get("type")): mapping(each) for each in _components(item)}
    header = parts.get("header", {})
    body = parts.get("body", {})
    buttons = [mapping(each) for each in listing(parts.get("buttons", {}).get("buttons") or [])]
    reason = first_text(item, "rejected_reason")
    return Template(
        external_id=first_text(item, "id")[:100],
        name=name[:512],
        language=language,
        status=word(item.get("status"))[:30],
        category=word(item.get("category"))[:30],
        quality=word(mapping(item.get("quality_score")).get("score"))[:20],
        reason="" if reason == "NONE" else reason[:300],
        header_kind=word(header.get("format"))[:20] if header else "",
        header=text(header.get("text")),
        body=text(body.get("text")),
        footer=text(parts.get("footer", {}).get("text")),
        buttons=tuple(_button(each) for each in buttons),
        examples=_examples(header, "header") | _examples(body, "body"),
        unsupported=_unsupported(parts, header, buttons),
    )


def _components(item: dict[str, Any]) -> list[Any]:
    return listing(item.get("components") or [])


def _button(button: dict[str, Any]) -> TemplateButton:
    kind = _BUTTONS.get(word(button.get("type")), word(button.get("type"))[:20])
    example = button.get("example")
    return TemplateButton(
        kind=kind,
        text=first_text(button, "text"),
        value=first_text(button, "url", "phone_number"),
        example=text(listing(example)[0]) if example else "",
    )


def _examples(component: Mapping[str, Any], where: str) -> dict[str, str]:
    """A value for each place, as whoever wrote the template gave it to Meta."""
    example = mapping(component.get("example"))
    named = listing(example.get(f"{where}_text_named_params") or [])
    if named:
        pairs = [mapping(each) for each in named]
        return {
            f"{where}.{first_text(each, 'param_name')}": first_text(each, "example")
            for each in pairs
        }
    values = listing(example.get(f"{where}_text") or [])
    # The body's examples are a list of lists, the header's a list.
    values = listing(values[0]) if values and isinstance(values[0], list) else values
    return {f"{where}.{place}": text(value) for place, value in enumerate(values, start=1)}


def _unsupported(
    parts: Mapping[str, Any], header: dict[str, Any], buttons: list[dict[str, Any]]
) -> str:
    """What in it needs something that is not sent from here: a carousel, a one-time password, …"""
    odd = set(parts) - {"header", "body", "footer", "buttons"}
    kind = word(header.get("format")) if header else ""
    if kind and kind != "text" and kind not in _FILE_HEADERS:
        odd.add(f"header {kind}")
    odd |= {
        f"button {word(each.get('type'))}"
        for each in buttons
        if word(each.get("type")) not in _BUTTONS
    }
    return ", ".join(sorted(odd))[:100]
