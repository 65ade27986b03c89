"""Meta's Graph API for WhatsApp, as strict as its documentation: nodes, fields, codes, limits."""

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

from tests.fakes.serving import Limits, Refused, Request, serve

NUMBER, ACCOUNT = "106600000000001", "105500000000001"
PHONE = "+33 1 99 00 00 01"
TOKEN = "EAAG-token-of-the-vendor"
CONTACT = "33612345678"
STRANGER = "33699999999"
PICTURE = b"\xff\xd8\xff a picture"

_PATH = re.compile(r"/v\d+\.\d+/(?P<node>[\w.:-]+)(?:/(?P<edge>\w+))?")
_BSUID = re.compile(r"[A-Z]{2}\.[A-Za-z0-9.]+")
_PLACE = re.compile(r"{{\s*(\w+)\s*}}")
_MEGABYTE = 1024 * 1024
# What may be uploaded, and how large it may be.
_MEDIA = {
    "image/jpeg": 5 * _MEGABYTE,
    "image/png": 5 * _MEGABYTE,
    "image/webp": 500 * 1024,
    "video/mp4": 16 * _MEGABYTE,
    "audio/ogg": 16 * _MEGABYTE,
    "audio/mpeg": 16 * _MEGABYTE,
    "application/pdf": 100 * _MEGABYTE,
    "text/plain": 100 * _MEGABYTE,
}
_FILES = ("image", "video", "audio", "document", "sticker")
_PER_SECOND, _PER_PAIR = 80, 45


def _template(name: str, language: str, status: str, *components: dict, **more) -> dict[str, Any]:
    return {
        "id": f"16895{len(name)}{len(language)}{len(status)}",
        "name": name,
        "language": language,
        "status": status,
        "category": "UTILITY",
        "components": list(components),
        "rejected_reason": "NONE",
        **more,
    }


TEMPLATES = [
    _template("hello", "fr", "APPROVED", {"type": "BODY", "text": "Bonjour et bienvenue !"}),
    _template(
        "order_ready",
        "fr",
        "APPROVED",
        {"type": "HEADER", "format": "TEXT", "text": "Commande {{1}}",
         "example": {"header_text": ["A-12"]}},
        {"type": "BODY", "text": "Bonjour {{1}}, votre commande vous attend jusqu'au {{2}}.",
         "example": {"body_text": [["Awa", "samedi"]]}},
        {"type": "FOOTER", "text": "Boutique Awa"},
        {"type": "BUTTONS", "buttons": [
            {"type": "QUICK_REPLY", "text": "Je passe"},
            {"type": "URL", "text": "Suivre", "url": "https://shop.example.org/o/{{1}}",
             "example": ["https://shop.example.org/o/A-12"]}]},
        quality_score={"score": "GREEN"},
    ),
    _template(
        "invoice",
        "fr",
        "APPROVED",
        {"type": "HEADER", "format": "DOCUMENT", "example": {"header_handle": ["x"]}},
        {"type": "BODY", "text": "Votre facture du {{day}}, {{name}}.",
         "example": {"body_text_named_params": [
             {"param_name": "day", "example": "3 mars"},
             {"param_name": "name", "example": "Awa"}]}},
    ),
    _template("summer_sale", "fr", "PAUSED", {"type": "BODY", "text": "Soldes !"}),
    _template("refused_one", "fr", "REJECTED", {"type": "BODY", "text": "{{1}}{{2}}"},
              rejected_reason="INVALID_FORMAT"),
    _template("gallery", "fr", "APPROVED", {"type": "BODY", "text": "Voyez"},
              {"type": "CAROUSEL", "cards": []}),
]  # fmt: skip


class State:
    """One account with one number, and what happened to it."""

    def __init__(self) -> None:
        self.limits = Limits({"messages": 10_000})
        self.token = TOKEN
        self.phone = PHONE
        self.status = "CONNECTED"
        self.window_open = True
        self.down = False
        self.templates = TEMPLATES
        self.media = {"990001": ["image/jpeg", base64.b64encode(PICTURE).decode()]}
        self.sent: list[dict[str, Any]] = []
        self.pairs: dict[str, int] = {}
        self.burst = _PER_SECOND


def error(status: int, code: int, details: str) -> Refused:
    """A refusal in the one shape that the Graph API has."""
    said = {
        "message": f"(#{code}) {details}",
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": details},
        "fbtrace_id": "Az8or2yhqkZfEZ",
    }
    return Refused(status, {"error": said})


def answer(state: State) -> Callable[[Request], Any]:
    """The API's side of every call."""

    def reply(request: Request) -> Any:
        if state.down:
            raise Refused(502, "<html>Bad gateway</html>")
        if request.headers.get("authorization") != f"Bearer {state.token}":
            raise error(401, 190, "Invalid OAuth access token.")
        if request.path.startswith("/files/"):
            return _file(state, request.path.removeprefix("/files/"))
        found = _PATH.fullmatch(request.path)
        if not found:
            raise error(400, 2500, "Unknown path components")
        return _node(state, request, found["node"], found["edge"] or "")

    return reply


def _node(state: State, request: Request, node: str, edge: str) -> Any:
    known = {
        ("GET", NUMBER, ""): _number,
        ("POST", NUMBER, "messages"): _messages,
        ("POST", NUMBER, "media"): _upload,
        ("GET", ACCOUNT, "message_templates"): _templates,
    }
    if (request.method, node, edge) in known:
        return known[request.method, node, edge](state, request)
    if request.method == "GET" and node in state.media and not edge:
        return _media(state, request, node)
    raise error(400, 100, f"Object with ID '{node}' does not exist or cannot be loaded")


def _number(state: State, request: Request) -> dict[str, Any]:
    known = {
        "id": NUMBER,
        "display_phone_number": state.phone,
        "verified_name": "Boutique Awa",
        "quality_rating": "GREEN",
        "status": state.status,
    }
    asked = request.query.get("fields", "id").split(",")
    if set(asked) - set(known):
        raise error(400, 100, "Tried accessing nonexisting field")
    return {name: known[name] for name in asked}


def _templates(state: State, request: Request) -> dict[str, Any]:
    limit = min(int(request.query.get("limit", 25)), 2)
    start = int(request.query.get("after", 0))
    page = state.templates[start : start + limit]
    after = start + limit
    paging: dict[str, Any] = {"cursors": {"before": str(start), "after": str(after)}}
    if after < len(state.templates):
        paging["next"] = f"{request.host}/v25.0/{ACCOUNT}/message_templates?access_token={TOKEN}"
    return {"data": page, "paging": paging}


# Files


def _upload(state: State, request: Request) -> dict[str, str]:
    form = request.form()
    if form.get("messaging_product", ("", b""))[1] != b"whatsapp" or "file" not in form:
        raise error(400, 100, "The parameters messaging_product and file are required.")
    mime_type = form.get("type", ("", b""))[1].decode().partition(";")[0]
    if mime_type not in _MEDIA:
        raise error(400, 100, f"Param file must be a file with one of the types: {list(_MEDIA)}")
    content = form["file"][1]
    if len(content) > _MEDIA[mime_type]:
        raise error(400, 131052, "The file is too large.")
    media_id = str(990_002 + len(state.media))
    state.media[media_id] = [mime_type, base64.b64encode(content).decode()]
    return {"id": media_id}


def _media(state: State, request: Request, node: str) -> dict[str, Any]:
    if request.query.get("phone_number_id", NUMBER) != NUMBER:
        raise error(400, 100, "The media does not belong to this phone number.")
    mime_type, content = state.media[node]
    raw = base64.b64decode(content)
    return {
        "messaging_product": "whatsapp",
        "url": f"{request.host}/files/{node}",
        "mime_type": mime_type,
        "sha256": base64.b64encode(hashlib.sha256(raw).digest()).decode(),
        "file_size": len(raw),
        "id": node,
    }


def _file(state: State, node: str) -> bytes:
    if node not in state.media:
        raise Refused(404, "<html>Not found</html>")
    return base64.b64decode(state.media[node][1])


# Messages


def _messages(state: State, request: Request) -> dict[str, Any]:
    body = _json(request)
    if body.get("messaging_product") != "whatsapp":
        raise error(400, 100, "The parameter messaging_product is required.")
    if body.get("status") == "read":
        if not body.get("message_id"):
            raise error(400, 100, "The parameter message_id is required.")
        return {"success": True}
    to = _addressee(body)
    kind = body.get("type", "text")
    check = _KINDS.get(kind)
    if check is None or not isinstance(body.get(kind), dict | list):
        raise error(400, 131009, f"Parameter value is not valid: type {kind!r}")
    check(state, body[kind])
    _slow_down(state, to)
    if not state.window_open and kind not in ("template", "reaction"):
        raise error(400, 131047, "More than 24 hours have passed since the customer last replied.")
    state.sent.append(body)
    taken: dict[str, Any] = {"id": f"wamid.FAKE{len(state.sent)}"}
    if kind == "template":
        taken["message_status"] = "accepted"
    contact = {"input": to, "wa_id": to}
    return {"messaging_product": "whatsapp", "contacts": [contact], "messages": [taken]}


def _json(request: Request) -> dict[str, Any]:
    try:
        return request.json()
    except Refused as refused:
        raise error(400, 100, str(refused.said)) from refused


def _addressee(body: dict[str, Any]) -> str:
    echo = body.get("biz_opaque_callback_data", "")
    if not isinstance(echo, str) or len(echo) > 512:
        raise error(400, 100, "biz_opaque_callback_data has 512 characters at most.")
    kind = body.get("recipient_type", "individual")
    to, recipient = body.get("to", ""), body.get("recipient", "")
    if bool(to) == bool(recipient):
        raise error(400, 131008, "Required parameter is missing: to, or recipient.")
    if kind == "group":
        return to
    if recipient and not _BSUID.fullmatch(recipient):
        raise error(400, 131009, "recipient is no business-scoped user id.")
    if to and not re.fullmatch(r"\+?[0-9]{6,15}", to):
        raise error(400, 131009, "to is no phone number.")
    if to == STRANGER:
        raise error(400, 131026, "Message undeliverable.")
    return to or recipient


def _slow_down(state: State, to: str) -> None:
    state.pairs[to] = state.pairs.get(to, 0) + 1
    state.burst -= 1
    if state.burst < 0:
        raise error(429, 130429, "Too many messages from this phone number in a short time.")
    if state.pairs[to] > _PER_PAIR:
        raise error(400, 131056, "Too many messages to the same phone number in a short time.")


def _text(state: State, part: dict[str, Any]) -> None:
    _long_enough(part.get("body"), 4096, "text.body")


def _sent_file(state: State, part: dict[str, Any]) -> None:
    if bool(part.get("id")) == bool(part.get("link")):
        raise error(400, 131009, "Give an id or a link.")
    if part.get("id") and part["id"] not in state.media:
        raise error(400, 131009, "The media id does not exist.")
    if "caption" in part:
        _long_enough(part["caption"], 1024, "caption")


def _captionless(state: State, part: dict[str, Any]) -> None:
    if "caption" in part:
        raise error(400, 100, "Unexpected key caption.")
    _sent_file(state, part)


def _location(state: State, part: dict[str, Any]) -> None:
    if not all(isinstance(part.get(name), int | float) for name in ("latitude", "longitude")):
        raise error(400, 131008, "latitude and longitude are required.")


def _contacts(state: State, part: list[Any]) -> None:
    names = [each.get("name", {}) for each in part]
    if not names or any(not name.get("formatted_name") or len(name) < 2 for name in names):
        raise error(400, 131009, "A name needs formatted_name and one more part.")


def _reaction(state: State, part: dict[str, Any]) -> None:
    if not part.get("message_id") or "emoji" not in part:
        raise error(400, 131008, "message_id and emoji are required.")


def _interactive(state: State, part: dict[str, Any]) -> None:
    _long_enough(part.get("body", {}).get("text"), 1024, "interactive.body.text")
    action = part.get("action", {})
    if part.get("type") == "button":
        replies = [each["reply"] for each in action.get("buttons", [])]
        _each_once(replies, 3, 20)
    elif part.get("type") == "list":
        _long_enough(action.get("button"), 20, "action.button")
        rows = [row for section in action.get("sections", []) for row in section["rows"]]
        _each_once(rows, 10, 24)
    else:
        raise error(400, 131009, "interactive.type is not valid.")


def _each_once(options: list[dict[str, str]], most: int, longest: int) -> None:
    titles = [each.get("title", "") for each in options]
    ids = [each.get("id", "") for each in options]
    if not 1 <= len(options) <= most or len(set(ids)) < len(ids) or "" in ids:
        raise error(400, 131009, f"Give 1 to {most} options with ids of their own.")
    for title in titles:
        _long_enough(title, longest, "title")


def _sent_template(state: State, part: dict[str, Any]) -> None:
    language = part.get("language", {}).get("code")
    wanted = [
        each
        for each in state.templates
        if (each["name"], each["language"]) == (part.get("name"), language)
    ]
    if not wanted:
        raise error(404, 132001, f"template name ({part.get('name')}) does not exist in {language}")
    template = wanted[0]
    if template["status"] != "APPROVED":
        raise error(400, 132015, "The template is paused or was not approved.")
    given = {_component_key(each): each["parameters"] for each in part.get("components", [])}
    needed = dict(_needed(template))
    if set(given) != set(needed):
        raise error(400, 132000, f"Parameters for {sorted(needed)}, not {sorted(given)}.")
    for key, places in needed.items():
        _fill(key, places, given[key])


def _component_key(component: dict[str, Any]) -> str:
    if component["type"] == "button":
        return f"button.{component['index']}"
    return component["type"]


def _needed(template: dict[str, Any]):
    for component in template["components"]:
        kind = component["type"].lower()
        if component.get("format") in ("IMAGE", "VIDEO", "DOCUMENT"):
            yield kind, [component["format"].lower()]
        elif kind == "buttons":
            for position, button in enumerate(component["buttons"]):
                if _PLACE.search(button.get("url", "")) or button["type"] == "COPY_CODE":
                    yield f"button.{position}", [""]
        elif places := _PLACE.findall(component.get("text", "")):
            yield kind, places


def _fill(key: str, places: list[str], parameters: list[dict[str, Any]]) -> None:
    if len(places) != len(parameters):
        raise error(400, 132000, f"{key} needs {len(places)} parameters.")
    for place, parameter in zip(places, parameters, strict=True):
        if place in _FILES:
            if parameter["type"] != place:
                raise error(400, 132012, f"{key} needs a {place}.")
        elif place and not place.isdecimal() and parameter.get("parameter_name") != place:
            raise error(400, 132012, f"{key} needs the parameter {place}.")
        elif parameter["type"] == "text" and not parameter.get("text"):
            raise error(400, 131008, f"{key} has an empty parameter.")


def _long_enough(text: Any, longest: int, name: str) -> None:
    if not isinstance(text, str) or not text:
        raise error(400, 131008, f"Required parameter is missing: {name}")
    if len(text) > longest:
        raise error(400, 100, f"Param {name} must be at most {longest} characters long.")


_KINDS: dict[str, Callable[[State, Any], None]] = {
    "text": _text,
    "image": _sent_file,
    "video": _sent_file,
    "document": _sent_file,
    "audio": _captionless,
    "sticker": _captionless,
    "location": _location,
    "contacts": _contacts,
    "reaction": _reaction,
    "interactive": _interactive,
    "template": _sent_template,
}


if __name__ == "__main__":
    state = State()
    serve(state, answer(state))
