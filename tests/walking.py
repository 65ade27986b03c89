"""A thief's walk: every address of the product, knocked at with everything a stranger can have.

Addresses are discovered from the two URL configurations, methods and fields from the views. What
the walk does not understand (a new kind of parameter, a new field) it refuses to skip: `Untaught`
says which table below has to learn it.
"""

# ruff: noqa: S608  schemas and tables are named by ourselves

import html
import inspect
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode, urlsplit

from allauth.account.internal.flows.login import record_authentication
from django import forms
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.http import QueryDict
from django.test import Client, RequestFactory
from django.test.client import ClientHandler
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.regex_helper import normalize
from drf_spectacular.generators import SchemaGenerator

from tenants import context
from tenants.accounts.models import KnownSession, User
from tenants.accounts.sessions import KNOWN_KEY, VERSION_KEY, bind
from tenants.models import Tenant
from tests.conftest import host_of

TENANT, PUBLIC = "tenant", "public"
URLCONFS = {TENANT: "ROOT_URLCONF", PUBLIC: "PUBLIC_SCHEMA_URLCONF"}
# The browser of those who walk, by which their sessions are told from the tenants' own.
WALKERS = "walking"
ALL_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
SIGN_IN = ("/accounts/login/", "/admin/login/")

# What `<…:pk>` after this piece of an address is the id of.
PK_AFTER = {
    "inbox": "conversation",
    "conversations": "conversation",
    "instances": "instance",
    "invoices": "invoice",
    "messages": "message",
    "leads": "lead",
    "alerts": "alert",
    "follow-ups": "follow_up",
    "merges": "merge",
    "files": "file",
    "notes": "team_note",
    "numbers": "instance",
    "team": "user",
    "sessions": "known_session",
    "invitations": "invitation",
    "keys": "authenticator",
}
# What `<…:key>` after this piece of an address is good for.
KEY_AFTER = {"email": "email_key", "join": "join_key"}
# What both tenants have under the same ids where ids coincide.
CONTENT_KINDS = ("conversation", "lead", "message", "user")
# What a parameter is, where its name says it.
PARAMETERS = {
    "uidb36": "user_base36",
    "key": "reset_key",
    "token": "file_token",
    "digest": "logo_digest",
    "template": "template",
    "stage": "stage",
    "tag": "tag",
    "reply": "reply",
    "slug": "slug",
    "provider": "provider",
    "app_label": "app_label",
    "content_type_id": "content_type",
    "url": "nowhere",
    "name": "nowhere",
    # A good one lets whoever has it speak for one address, whoever they are: its own test.
    "ticket": "nowhere",
}
# What the admin's `object_id` is, by the model whose page it is.
OBJECTS = {
    "tenants.tenant": "tenant",
    "tenants.providerinstance": "instance",
    "tenants.webhookdelivery": "delivery",
    "tenants.undertaking": "undertaking",
    "accounts.user": "user",
    "accounts.auditentry": "audit_entry",
    "billing.plan": "plan",
    "billing.subscription": "subscription",
    "billing.billingevent": "billing_event",
    "procrastinate.procrastinatejob": "job",
}
# What a field of a body names; None for one that names nothing of anybody.
FIELDS: dict[str, str | None] = {
    "act": None,
    "address": None,
    "api_key": None,
    "agents_see_all": None,
    "colour": None,
    "country": None,
    "default_country": None,
    "holidays": None,
    "label": None,
    "language": None,
    "opening_hours": None,
    "options": None,
    "owner_email": None,
    "picture": None,
    "provider": None,
    "slug": None,
    "time_zone": None,
    "values": None,
    "without_picture": None,
    "action": None,
    "assignee": "user",
    "before": None,
    "channel": None,
    "choices": None,
    "code": None,
    "confirmation": None,
    "contact": None,
    "conversations": "conversation",
    "createLead": None,
    "direction": None,
    "due_at": None,
    "email": None,
    "emoji": None,
    "externalId": "crm_id",
    "file": "file",
    "header": None,
    "instance": "instance",
    "into": "stage",
    "kind": None,
    "latitude": None,
    "longitude": None,
    "interval": None,
    "is_vip": None,
    "lead": "lead",
    "leadId": "lead",
    "message": None,
    "messageSnippet": None,
    "medium": None,
    "meta": None,
    "name": None,
    "named": "user",
    "note": None,
    "outcome": None,
    "other": "lead",
    "owner": "user",
    "password": None,
    "person": "user",
    "per_day": None,
    "per_minute": None,
    "phone": None,
    "place": None,
    "poll": None,
    "q": None,
    "question": None,
    "plan": None,
    "reference": "reference",
    "recognised": None,
    "refresh": None,
    "reply_to": "external_id",
    "retention_days": None,
    "risk_accepted": None,
    "several": None,
    "severity": None,
    "shortcut": None,
    "shows_read": None,
    "stale_after_days": None,
    "tags": "tag",
    "stage": None,
    "stand_in": "instance",
    "role": None,
    "since": None,
    "state": None,
    "status": None,
    "stays": "lead",
    "subject": None,
    "template": None,
    "suggested_action": None,
    "text": None,
    # An address in the API; on the page that assigns, a colleague's id.
    "to": "user",
    "told_by_sound": None,
    "told_in_words": None,
    "told_of": None,
    "told_on_desktop": None,
    "type": None,
    "until": None,
    "until_reply": None,
    "url": None,
    "vip": None,
    "what": None,
    "where": None,
    "who": "user",
    "whose": None,
}
# Fields that a body needs beside the one that names something.
_CONTACT = {"channel": "call", "direction": "out", "status": "replied"}
COMPANIONS = {
    "conversations": {"action": "close"},
    "externalId": _CONTACT,
    "instance": {"to": "+221709999999"},
    "leadId": _CONTACT,
    "who": {"what": "Call back", "due_at": "2036-01-01T09:00:00Z"},
}
# In the API these name nothing of anybody.
NO_NAMES_IN_API = {"to"}


class Untaught(Exception):
    """The product has something that the walk knows nothing of."""


@dataclass(frozen=True)
class Parameter:
    """A changing piece of an address: its name, and what it is the id of."""

    name: str
    kind: str


@dataclass(frozen=True)
class Route:
    """One pattern of a URL configuration."""

    where: str
    shown: str
    template: str
    parameters: tuple[Parameter, ...]
    name: str
    methods: tuple[str, ...]
    is_api: bool
    fields: Mapping[str, frozenset[str]] = field(default_factory=dict, hash=False)
    callback: Any = field(default=None, compare=False)

    def address(self, ids: Mapping[str, Any]) -> str:
        return "/" + self.template % {each.name: ids[each.kind] for each in self.parameters}

    @property
    def exemption_key(self) -> str:
        return self.name or self.shown


@dataclass(frozen=True)
class Exemption:
    """Why a route answers a stranger, and with which statuses it may."""

    reason: str
    statuses: frozenset[int]


@dataclass(frozen=True)
class Finding:
    """Something that should not have happened."""

    actor: str
    request: str
    what: str

    def __str__(self) -> str:
        return f"{self.actor}: {self.request}: {self.what}"


@dataclass
class Actor:
    """Somebody at a door: the headers they send, where, and whether it is their own door."""

    label: str
    where: str
    headers: Mapping[str, str]
    ids: Mapping[str, Any]
    at_home: bool = False
    own_ids: Mapping[str, Any] | None = None
    refresh: str = ""
    email: str = ""
    before: Callable[[], None] = lambda: None


@dataclass
class Walk:
    """What was walked and what was found."""

    rules: "Rules"
    on_victim: "Eye"
    on_attacker: "Eye"
    requests: int = 0
    read: set[str] = field(default_factory=set)
    routes: set[tuple[str, str]] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    statuses: dict[tuple[str, str, str], set[int]] = field(default_factory=dict)
    # One for all requests: every new one puts all middleware together again.
    handler: ClientHandler = field(default_factory=lambda: ClientHandler(enforce_csrf_checks=False))


@dataclass
class Rules:
    """What must not be seen or touched, and what is exempt."""

    markers: tuple[str, ...]
    victim: Tenant
    attacker: Tenant
    exempt: Mapping[str, Exemption]
    foreign_instances: tuple[int, ...]
    ids_coincide: bool = False


# Discovering


def routes(where: str) -> list[Route]:
    """Every pattern of the public host or of tenants' hosts, included ones too."""
    urlconf = getattr(settings, URLCONFS[where])
    taken = _fields_of_api(urlconf)
    found = [
        route
        for parts, callback, name in _patterns(get_resolver(urlconf))
        for route in _routes_of(where, parts, callback, name, taken)
    ]
    return list(dict.fromkeys(found))


def websocket_paths(application: Any) -> list[str]:
    """The paths of every websocket route of the ASGI application."""
    inner = application._websocket
    while not hasattr(inner, "routes"):
        inner = inner._inner
    shown = []
    for route in inner.routes:
        for template, names in _normalized(route.pattern.regex.pattern):
            if names:
                raise Untaught(f"teach tests/walking.py the parameters {names} of sockets")
            shown.append("/" + template)
    return shown


def untaught_form_fields(module: Any) -> set[str]:
    """Fields of a module's forms of which the walk knows nothing."""
    classes = [each for _name, each in inspect.getmembers(module, inspect.isclass)]
    names: set[str] = set()
    for each in classes:
        if issubclass(each, forms.BaseForm) and each.__module__ == module.__name__:
            names |= set(each.base_fields)
    return names - set(FIELDS)


def _patterns(
    resolver: URLResolver, parts: tuple = (), spaces: tuple[str, ...] = ()
) -> Iterator[tuple[tuple, Any, str]]:
    for each in resolver.url_patterns:
        if isinstance(each, URLResolver):
            inside = (*spaces, each.namespace) if each.namespace else spaces
            yield from _patterns(each, (*parts, each.pattern), inside)
        elif isinstance(each, URLPattern):
            name = ":".join((*spaces, each.name)) if each.name else ""
            yield (*parts, each.pattern), each.callback, name
        else:
            raise Untaught(f"teach tests/walking.py what a {type(each)} among the URLs is")


def _routes_of(where, parts, callback, name, taken) -> Iterator[Route]:
    shown = "/" + "".join(str(part) for part in parts)
    pieces = [_normalized(part.regex.pattern) for part in parts]
    for combination in itertools.product(*pieces):
        template = "".join(text for text, _names in combination)
        names = [each for _text, several in combination for each in several]
        kinds = tuple(Parameter(each, _kind(each, template, callback, shown)) for each in names)
        bare = re.sub(r"%\(\w+\)s", "{}", f"/{template}")
        yield Route(
            where=where,
            shown=shown,
            template=template,
            parameters=kinds,
            name=name,
            methods=_methods(callback),
            is_api=hasattr(callback, "cls") and bare.startswith("/api/"),
            fields=taken.get(bare, {}),
            callback=callback,
        )


def _normalized(pattern: str) -> list[tuple[str, list[str]]]:
    # What stands inside a named group does not matter, and may be more than `normalize` reads.
    simple = re.sub(r"\(\?P<(\w+)>[^()]*\)", r"(?P<\1>x)", pattern)
    simple = simple.removeprefix("^").replace(r"\Z", "").removesuffix("$")
    found = normalize(simple)
    if simple and found == [("", [])]:
        raise Untaught(f"teach tests/walking.py to read the pattern {pattern}")
    return found


def _kind(name: str, template: str, callback: Any, shown: str) -> str:
    before = template.partition(f"%({name})s")[0].rstrip("/").rpartition("/")[2]
    if name == "pk" and before in PK_AFTER:
        return PK_AFTER[before]
    if name == "key" and before in KEY_AFTER:
        return KEY_AFTER[before]
    if name == "object_id":
        admin = getattr(callback, "model_admin", None)
        if admin is not None and admin.model._meta.label_lower in OBJECTS:
            return OBJECTS[admin.model._meta.label_lower]
        if admin is None:
            return "message"
    if name in PARAMETERS:
        return PARAMETERS[name]
    raise Untaught(f"{shown}: teach tests/walking.py whose id the parameter {name!r} is")


def _methods(callback: Any) -> tuple[str, ...]:
    view = getattr(callback, "cls", None) or getattr(callback, "view_class", None)
    if view is not None:
        known = [each.upper() for each in view.http_method_names if hasattr(view, each)]
        return tuple(each for each in ALL_METHODS if each in known) or ("GET", "POST")
    while callback is not None:
        said = inspect.getclosurevars(callback).nonlocals.get("request_method_list")
        if said:
            return tuple(each for each in ALL_METHODS if each in said)
        callback = getattr(callback, "__wrapped__", None)
    return ("GET", "POST")


def _fields_of_api(urlconf: str) -> dict[str, dict[str, frozenset[str]]]:
    described = SchemaGenerator(urlconf=urlconf).get_schema(public=True)
    found: dict[str, dict[str, frozenset[str]]] = {}
    for path, operations in described["paths"].items():
        bare = re.sub(r"{\w+}", "{}", path)
        for method, operation in operations.items():
            names = _properties(operation.get("requestBody"), described)
            for name in names - set(FIELDS):
                raise Untaught(f"{path}: teach tests/walking.py what the field {name!r} names")
            found.setdefault(bare, {})[method.upper()] = frozenset(names)
    return found


def _properties(body: Any, described: Mapping) -> set[str]:
    if not body:
        return set()
    shape = next(iter(body["content"].values()))["schema"]
    if "$ref" in shape:
        shape = described["components"]["schemas"][shape["$ref"].rpartition("/")[2]]
    return set(shape.get("properties", {}))


# Walking


def walk(actors: list[Actor], rules: Rules) -> Walk:
    """Every actor at every route of the host they stand at."""
    walked = Walk(rules, Eye(rules.victim), Eye(rules.attacker))
    known = {where: routes(where) for where in URLCONFS}
    for actor in actors:
        for route in known[actor.where]:
            if _is_reachable(actor, route):
                walked.routes.add((route.where, route.shown))
                _knock(walked, actor, route)
    if walked.on_victim.sees() != walked.on_victim.seen:
        walked.findings.append(Finding("somebody", "the whole walk", "changed what nobody counted"))
    return walked


def walk_reading(actor: Actor, rules: Rules) -> Walk:
    """One actor reads everything at their own host, whatever the status; nothing is written."""
    walked = Walk(replace(rules, ids_coincide=True), Eye(rules.victim), Eye(rules.attacker))
    for route in routes(actor.where):
        if "GET" in route.methods:
            walked.routes.add((route.where, route.shown))
            address = route.address(actor.ids)
            _ask(walked, replace(actor, at_home=True), route, "GET", address)
    return walked


def _is_reachable(actor: Actor, route: Route) -> bool:
    # X-Tenant leads to a tenant's API only; elsewhere on the public host it says nothing.
    return "x-tenant" not in actor.headers or route.template.startswith("api/")


def _counts(actor: Actor, route: Route) -> bool:
    """Whether what the actor carries could mean anything here: pages take no tokens."""
    return route.is_api or "authorization" not in actor.headers


def _knock(walked: Walk, actor: Actor, route: Route) -> None:
    if "GET" in route.methods:
        _read(walked, actor, route)
    for method in route.methods:
        if method != "GET":
            _write(walked, actor, route, method)
    if actor.at_home and _counts(actor, route):
        for method in set(ALL_METHODS) - set(route.methods):
            _ask(walked, actor, route, method, route.address(actor.ids), body={})


def _read(walked: Walk, actor: Actor, route: Route) -> None:
    address = route.address(actor.ids)
    _ask(walked, actor, route, "GET", address)
    if actor.at_home and _counts(actor, route):
        _ask(walked, actor, route, "GET", f"{address}?{urlencode(_query(actor))}")
    if not route.is_api and _counts(actor, route):
        _ask(walked, actor, route, "GET", address, extra={"hx-request": "true"})
    for change in _changes(walked):
        walked.findings.append(Finding(actor.label, f"GET {address}", change))


def _write(walked: Walk, actor: Actor, route: Route, method: str) -> None:
    walked.read.clear()
    for body, names in _bodies(walked, route, actor, method):
        _ask(walked, actor, route, method, route.address(actor.ids), body=body, names=names)
        if actor.own_ids is not None and route.parameters and names:
            own = route.address(actor.own_ids)
            _ask(walked, actor, route, method, own, body=body, names=names, own=True)


def _query(actor: Actor) -> dict[str, Any]:
    named = {name: actor.ids[kind] for name, kind in FIELDS.items() if kind}
    return {
        **named,
        "conversation": actor.ids["conversation"],
        "fold": "never",
        "message": actor.ids["message"],
        "note": actor.ids["team_note"],
        "number": actor.ids["instance"],
        "person": actor.ids["user"],
        "q": "Leak",
        "type": "NoContact7d",
        "view": "all",
    }


def _bodies(
    walked: Walk, route: Route, actor: Actor, method: str
) -> Iterator[tuple[dict, set[str]]]:
    """Bodies to send, each with the fields that name something of the other tenant.

    What a page reads of a body is seen while it answers: first to a body without names, then to
    one with all of them, then to one for each name it asked for.
    """
    plain = {
        "email": actor.email,
        "language": "en",
        "login": actor.email,
        "name": "A name",
        "note": "A note",
        "password": "correct horse battery staple",
        "refresh": actor.refresh,
        "text": "A text",
        "view": "all",
    }
    yield plain, set()
    if not _counts(actor, route):
        return
    taken = route.fields.get(method, frozenset()) if route.is_api else frozenset(FIELDS)
    naming = {name for name in taken if FIELDS[name]}
    if route.is_api:
        naming -= NO_NAMES_IN_API
    if naming and not (actor.at_home and route.is_api):
        # Whoever may do nothing here is refused before what they name is looked at.
        yield {**plain, **{name: actor.ids[FIELDS[name]] for name in naming}}, naming
    if not actor.at_home:
        return
    # PATCH changes what it names: nothing else may be in its way.
    base = {} if method == "PATCH" else plain
    for name in sorted(naming if route.is_api else naming & walked.read):
        yield {**base, **COMPANIONS.get(name, {}), name: actor.ids[FIELDS[name]]}, {name}


def _ask(
    walked: Walk,
    actor: Actor,
    route: Route,
    method: str,
    address: str,
    *,
    body: dict | None = None,
    names: set[str] = frozenset(),
    own: bool = False,
    extra: Mapping[str, str] | None = None,
) -> None:
    rules = walked.rules
    actor.before()
    walked.requests += 1
    watches_own = actor.at_home and names and route.is_api and not rules.ids_coincide
    if watches_own:
        walked.on_attacker.changes()
    response = _request(walked, actor, route, method, address, body, extra)
    said = [
        *_shown(rules, response),
        *_status(rules, actor, route, method, address, names, own, response),
    ]
    if method != "GET":
        said += _changes(walked)
    if watches_own and walked.on_attacker.changes():
        said.append(f"took the other tenant's {', '.join(names)} for its own")
    if body is not None and actor.at_home:
        if walked.on_attacker.sees_instances() & set(rules.foreign_instances):
            said.append("left a row that means the other tenant's instance")
    what = f"{method} {address}" + (f" naming {', '.join(names)}" if names else "")
    walked.findings += [Finding(actor.label, what, each) for each in said]
    key = (actor.label, method, route.shown)
    walked.statuses.setdefault(key, set()).add(response.status_code)


def _changes(walked: Walk) -> list[str]:
    """What has changed at the other tenant's since one looked last."""
    changed = walked.on_victim.changes()
    return [f"changed the other tenant's {', '.join(changed)}"] if changed else []


@contextmanager
def _noting(read: set[str]) -> Iterator[None]:
    """Note the names by which a request's fields are asked for; every one, where a view takes all
    of them together, as a copy does.

    Whoever takes a body apart asks for each name, too, to put its value there: until that is done
    the fields may be changed, and nobody has asked.
    """

    def noting(method):
        def asked(fields, *args):
            if not fields._mutable:
                read.update(args[:1] or fields.keys())
            return method(fields, *args)

        return asked

    patched = {
        name: noting(getattr(QueryDict, name))
        for name in ("__getitem__", "__contains__", "getlist", "lists")
    }
    with patch.multiple(QueryDict, **patched):
        yield


def _request(walked, actor, route, method, address, body, extra):
    # Every request from an address of its own: what limits guessing must not hide an answer.
    count = walked.requests
    client = Client(headers={**actor.headers, **(extra or {})}, raise_request_exception=False)
    client.handler = walked.handler
    client.defaults["REMOTE_ADDR"] = f"10.{count >> 16 & 255}.{count >> 8 & 255}.{count & 255}"
    send = getattr(client, method.lower())
    if body is None or method == "GET":
        return send(address)
    if route.is_api:
        return send(address, json.dumps(body), content_type="application/json")
    with _noting(walked.read):
        if method == "POST":
            return send(address, body)
        return send(address, urlencode(body), content_type="application/x-www-form-urlencoded")


def _shown(rules: Rules, response) -> list[str]:
    content = response.getvalue() if response.streaming else response.content
    text = content.decode("utf-8", "replace")
    seen = "\n".join((text, html.unescape(text), _unescaped(text), repr(response.headers)))
    return [f"showed {each!r}" for each in rules.markers if each in seen]


def _unescaped(text: str) -> str:
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except ValueError:
        return ""


def _status(rules, actor, route, method, address, names, own, response) -> list[str]:
    status = response.status_code
    exempt = rules.exempt.get(route.exemption_key)
    if status >= 500:
        error = getattr(response, "exc_info", None)
        return [f"answered {status} ({error[1]!r})" if error else f"answered {status}"]
    if status in {401, 403, 404} or (status == 405 and method not in route.methods):
        return []
    if exempt and status in exempt.statuses:
        return []
    if _leads_to_sign_in(response, address):
        return []
    if actor.at_home:
        return _status_at_home(rules, route, names, own, status)
    return [f"answered {status} to a stranger"]


def _status_at_home(rules, route, names, own, status) -> list[str]:
    if rules.ids_coincide:
        return []
    if route.parameters and not own:
        return [f"answered {status} for something of the other tenant"]
    if names and route.is_api and status < 400:
        return [f"answered {status} to the other tenant's {', '.join(names)}"]
    return []


def _leads_to_sign_in(response, address: str) -> bool:
    if response.status_code != 302:
        return False
    to = urlsplit(response["Location"]).path
    return to in SIGN_IN and to != address


# What a tenant has


@dataclass
class Eye:
    """Looks at all that a tenant has: rows and a hash of their content, table by table.

    A visitor's own session is left out: it is kept at the host it visits.
    """

    tenant: Tenant
    statement: str = ""
    referring: str = ""
    tables: list[str] = field(default_factory=list)
    seen: dict[str, tuple[int, str]] = field(default_factory=dict)
    written: int = -1

    def __post_init__(self) -> None:
        number, schema = self.tenant.number, context.schema_of(self.tenant.number)
        with connection.cursor() as cursor:
            # It looks thousands of times, and starting workers takes ten times as long as looking.
            cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
            cursor.execute(
                "SELECT schemaname, tablename, '' FROM pg_tables WHERE schemaname = %s"
                " AND tablename <> 'django_session' UNION ALL SELECT table_schema, table_name,"
                " column_name FROM information_schema.columns WHERE table_schema = 'public'"
                " AND (column_name = 'tenant_id' OR table_name = 'tenants_tenant'"
                " AND column_name = 'number')",
                [schema],
            )
            tables = cursor.fetchall()
            cursor.execute(
                "SELECT table_name FROM information_schema.columns"
                " WHERE table_schema = %s AND column_name = 'instance_id'",
                [schema],
            )
            referring = [table for (table,) in cursor.fetchall()]
        parts = [
            f"SELECT '{space}.{table}', count(*),"
            " md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), ''))"
            f' FROM "{space}"."{table}" t' + _only_its_own(table, column, number)
            for space, table, column in tables
        ]
        parts.append(
            "SELECT 'jobs', count(*), '' FROM public.procrastinate_jobs"
            f" WHERE args->>'tenant' = '{number}'"
        )
        self.statement = " UNION ALL ".join(parts)
        self.referring = " UNION ALL ".join(
            f'SELECT instance_id FROM "{schema}"."{table}"' for table in referring
        )
        self.tables = [f"{space}.{table}" for space, table, _column in tables]
        self.tables.append("public.procrastinate_jobs")
        self.changes()

    def changes(self) -> list[str]:
        """The tables that are no longer as they were when one asked last.

        PostgreSQL counts what is written within a transaction, undone writes included. Asking it
        is a moment's work, where looking at every row is the work of a page.
        """
        written, self.written = self.written, self._written()
        if self.written == written:
            return []
        before, self.seen = self.seen, self.sees()
        return [table for table, seen in self.seen.items() if seen != before.get(table)]

    def _written(self) -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)"
                " FROM pg_stat_xact_user_tables"
                " WHERE schemaname || '.' || relname = ANY(%s)",
                [self.tables],
            )
            return cursor.fetchone()[0]

    def sees(self) -> dict[str, tuple[int, str]]:
        """Every table, its rows and their hash."""
        with connection.cursor() as cursor:
            cursor.execute(self.statement)
            return {name: (count, content) for name, count, content in cursor.fetchall()}

    def sees_instances(self) -> set[int]:
        """The instances that the tenant's rows mean."""
        with connection.cursor() as cursor:
            cursor.execute(self.referring)
            return {number for (number,) in cursor.fetchall()}


def _only_its_own(table: str, column: str, number: int) -> str:
    if table == KnownSession._meta.db_table:
        return f" WHERE user_agent <> '{WALKERS}'"
    return f" WHERE {column} = {number}" if column else ""


# Who knocks


def session_of(tenant: Tenant | None, user: User) -> SessionStore:
    """A new session as signing in makes it."""
    store = SessionStore()
    with _within(tenant):
        store[SESSION_KEY] = str(user.pk)
        store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        store[HASH_SESSION_KEY] = user.get_session_auth_hash()
        request = RequestFactory(headers={"user-agent": WALKERS}).get("/")
        request.session = store
        bind(request, user)
        # A moment ago, or pages that matter would ask for the password once more.
        record_authentication(request, user, "password", reauthenticated=True)
        store.save()
    return store


def kept(store: SessionStore, *tenants: Tenant | None) -> Callable[[], None]:
    """Puts a session, whatever became of it, into these tenants' tables again.

    Also into those it was never made in: a stolen row must not be worth more than its cookie.
    """
    row = [store.session_key, store.encode(dict(store.items())), store.get_expiry_date()]
    known = [store[KNOWN_KEY], WALKERS, store[SESSION_KEY]]
    version = [store[VERSION_KEY], store[SESSION_KEY], store[VERSION_KEY]]

    def put() -> None:
        with connection.cursor() as cursor:
            for tenant in tenants:
                schema = context.schema_of(tenant.number) if tenant else "public"
                cursor.execute(
                    f'UPDATE "{schema}".accounts_user SET token_version = %s'
                    " WHERE id = %s AND token_version <> %s",
                    version,
                )
                cursor.execute(
                    f'INSERT INTO "{schema}".accounts_knownsession'
                    " (id, user_agent, user_id, created_at, last_used_at)"
                    f' SELECT %s, %s, id, now(), now() FROM "{schema}".accounts_user'
                    " WHERE id = %s ON CONFLICT (id) DO NOTHING",
                    known,
                )
                cursor.execute(
                    f'INSERT INTO "{schema}".django_session'
                    " (session_key, session_data, expire_date) VALUES (%s, %s, %s)"
                    " ON CONFLICT (session_key) DO UPDATE SET session_data = excluded.session_data",
                    row,
                )

    return put


def through_host(tenant: Tenant, **headers: str) -> dict[str, str]:
    return {"host": host_of(tenant), **headers}


def through_header(tenant: Tenant, **headers: str) -> dict[str, str]:
    return {"host": "localhost", "x-tenant": tenant.slug, **headers}


def cookie(store: SessionStore) -> str:
    return f"{settings.SESSION_COOKIE_NAME}={store.session_key}"


def _within(tenant: Tenant | None):
    return context.entered(tenant) if tenant else context.entered_public()
