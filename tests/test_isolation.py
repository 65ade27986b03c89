"""Another tenant's object is a 404, everywhere: every address, method and field, walked.

The walk finds the addresses by itself (`tests/walking.py`); here stands who knocks, with what,
and which doors are open to everybody, with the reason.
"""

# ruff: noqa: S608  schemas and tables are named by ourselves

import asyncio
import io
import json
import sys
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from types import ModuleType

import pytest
from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from channels.testing import WebsocketCommunicator
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.db import connection
from django.http import HttpResponse, JsonResponse
from django.urls import include, path
from django.utils import timezone
from PIL import Image

import alerts.forms
import billing.forms
import messaging.forms
import messaging.settings_forms
import tenants.accounts.forms
import tenants.forms
from alerts import resolving
from alerts.models import Alert
from billing.models import BillingEvent, Invoice, Plan, Subscription
from messaging import followups, links, merging, noting, realtime
from messaging.models import (
    CannedReply,
    Conversation,
    EspoPush,
    EspoRecord,
    Lead,
    Message,
    MessageFile,
    MessageTemplate,
    Stage,
    Tag,
)
from tenants import audit, context, directory, logos, onboarding
from tenants import secrets as sealing
from tenants.accounts import invitations, new_email
from tenants.accounts.models import Invitation, KnownSession, Role, User
from tenants.api import tokens
from tenants.models import CrmLink, ProviderInstance, Tenant, Undertaking, WebhookDelivery
from tests import factories, walking
from tests.conftest import PASSWORD, address, host_of, user_of
from tests.walking import PUBLIC, TENANT, Actor, Exemption, Rules

VICTIM_PHONE = "+33199000099"
CONTENT = ("Leaky Lead", "leak me", "leak this note", VICTIM_PHONE, VICTIM_PHONE[1:])
FAR_AWAY = 900_000
CLOSED = {"type": "websocket.close"}
QUIET_SECONDS = 0.5
ARRIVES_SECONDS = 5


def _open(reason: str, *statuses: int) -> Exemption:
    return Exemption(reason, frozenset(statuses))


EXEMPT = {
    "landing": _open("the public host's first page, the same for everybody", 200),
    "pricing": _open("the plans, the same for everybody", 200),
    "favicon": _open("leads to the icon, the same for everybody", 301),
    "set_language": _open("sets a cookie of the visitor's own browser", 302, 204),
    "account_login": _open("signing in; 429 once too many tried", 200, 429),
    "account_signup": _open("says that nobody signs up", 200),
    "account_inactive": _open("a sentence, the same for everybody", 200),
    "account_reset_password": _open("asks for a link; answers all alike", 200, 302, 429),
    "account_reset_password_done": _open("a sentence, the same for everybody", 200),
    "account_reset_password_from_key": _open("says that the key is not good here", 200),
    "account_reset_password_from_key_done": _open("a sentence, the same for everybody", 200),
    "account_email_confirm": _open("says that the link is not good here", 410),
    "join": _open("says that the invitation is not good here", 410),
    "account_logout": _open("asks whoever is there to sign in again", 302),
    "admin:login": _open("leads to signing in", 302),
    "admin:logout": _open("signs nobody out", 302),
    "api-login": _open("signing in; answers 400 to what is no sign-in", 400, 429),
    "api-refresh": _open("takes a token only; answers 400 to a request without one", 400),
    "api-schema": _open("the API's description, the same for everybody", 200),
    "api-docs": _open("the API's description, the same for everybody", 200),
}


# What is in links, each good for one person or address of one tenant.
LINKS = ("user_base36", "reset_key", "email_key", "join_key", "file_token")
# Addresses that hold such links; another tenant's is good nowhere else, whatever the ids.
HOLD_LINKS = {
    "account_reset_password_from_key",
    "account_email_confirm",
    "join",
    "file-content",
    "settings-logo",
}
# Addresses of rows that all tenants keep in one table, where ids never coincide.
OF_SHARED_TABLES = {"billing:invoice", "messaging:code_of_number"}


class World:
    """Two tenants as alike as they can be; one is robbed, the other one does it."""

    def __init__(self, *, ids_coincide: bool) -> None:
        self.ids_coincide = ids_coincide
        self.thief = _make_tenant("thief_shop")
        self.victim = _make_tenant("victim_shop")
        if not ids_coincide:
            _advance_ids(self.victim)
        self.own = _plant(self.thief, "Own Lead", "+221701234567", "own words", "own note")
        self.stolen = _plant(self.victim, "Leaky Lead", VICTIM_PHONE, "leak me", "leak this note")
        self.staff = User.objects.get(role=Role.STAFF)
        self._make_passwords_equal()
        self.people = {each: user_of(each, Role.OWNER) for each in (self.thief, self.victim)}
        self.own.update(_keys_of(self.thief))
        self.stolen.update(_keys_of(self.victim))

    def rules(self) -> Rules:
        instance = ProviderInstance.objects.of(self.victim).get()
        team = [address(role, self.victim.slug) for role in ("owner", "admin", "agent", "invited")]
        return Rules(
            markers=(*CONTENT, *team, instance.address, instance.reference, _crm_of(self.victim)),
            victim=self.victim,
            attacker=self.thief,
            exempt=EXEMPT,
            foreign_instances=(instance.pk,),
            ids_coincide=self.ids_coincide,
        )

    def actors(self) -> list[Actor]:
        return [
            *self.thief_at_home(),
            *self.strangers_at_the_victims(),
            *self.strangers_at_the_public_host(),
        ]

    def thief_at_home(self) -> list[Actor]:
        """This tenant's own people, who name the other tenant's things."""
        facts = {"ids": self.stolen, "at_home": True, "own_ids": self.own}
        pair = self._tokens(self.thief)
        bearer = f"Bearer {pair['access']}"
        signed_in = walking.session_of(self.thief, self.people[self.thief])
        return [
            self._actor(
                "the thief's session at home",
                TENANT,
                walking.through_host(self.thief, cookie=walking.cookie(signed_in)),
                before=walking.kept(signed_in, self.thief),
                **facts,
            ),
            self._actor(
                "the thief's access token at home",
                TENANT,
                walking.through_host(self.thief, authorization=bearer),
                **facts,
            ),
            self._actor(
                "the thief's access token, X-Tenant: the thief's",
                TENANT,
                walking.through_header(self.thief, authorization=bearer),
                **facts,
            ),
        ]

    def strangers_at_the_victims(self) -> list[Actor]:
        """Everybody who is somebody elsewhere, at the other tenant's doors."""
        actors = []
        for label, tenant in (("the thief's", self.thief), ("staff's", None)):
            user = self.people[tenant] if tenant else self.staff
            pair = self._tokens(tenant)
            session = walking.session_of(tenant, user)
            put = walking.kept(session, tenant, self.victim)
            for door in (walking.through_host, walking.through_header):
                where = f"at the victim's by {door.__name__.removeprefix('through_')}"
                signed = {"cookie": walking.cookie(session)}
                actors.append(
                    self._actor(
                        f"{label} session {where}", TENANT, door(self.victim, **signed), before=put
                    )
                )
                for kind, token in pair.items():
                    bearer = {"authorization": f"Bearer {token}"}
                    actors.append(
                        self._actor(
                            f"{label} {kind} token {where}",
                            TENANT,
                            door(self.victim, **bearer),
                            refresh=pair["refresh"],
                        )
                    )
        nobody = [
            self._actor("nobody at the victim's", TENANT, walking.through_host(self.victim)),
            self._actor("nobody, X-Tenant", TENANT, walking.through_header(self.victim)),
        ]
        # A key that is good here is the victim's own; a stranger brings the one they have.
        keys = {name: self.own[name] for name in LINKS}
        return [replace(each, ids={**self.stolen, **keys}) for each in (*actors, *nobody)]

    def strangers_at_the_public_host(self) -> list[Actor]:
        """A tenant's people where only staff are somebody."""
        session = walking.session_of(self.thief, self.people[self.thief])
        host = {"host": "localhost"}
        actors = [
            self._actor(
                "the thief's session at the public host",
                PUBLIC,
                {**host, "cookie": walking.cookie(session)},
                before=walking.kept(session, self.thief, None),
            ),
            self._actor("nobody at the public host", PUBLIC, host),
        ]
        pair = self._tokens(self.thief)
        for kind, token in pair.items():
            actors.append(
                self._actor(
                    f"the thief's {kind} token at the public host",
                    PUBLIC,
                    {**host, "authorization": f"Bearer {token}"},
                    refresh=pair["refresh"],
                )
            )
        return actors

    def _actor(self, label, where, headers, *, ids=None, refresh="", **facts) -> Actor:
        return Actor(
            label,
            where,
            headers,
            ids or self.stolen,
            refresh=refresh or self._tokens(self.thief)["refresh"],
            email=address("owner", self.thief.slug),
            **facts,
        )

    def _tokens(self, tenant: Tenant | None) -> dict[str, str]:
        if tenant is None:
            return tokens.pair_for(self.staff)
        with context.entered(tenant):
            return tokens.pair_for(self.people[tenant])

    def _make_passwords_equal(self) -> None:
        """Nothing but the tenant in a token or session may tell two users 1 apart."""
        same = self.staff.password
        for tenant in (self.thief, self.victim):
            with context.entered(tenant):
                User.objects.update(password=same)


def _make_tenant(slug: str) -> Tenant:
    tenant = onboarding.create_tenant(
        slug, name=slug, owner_email=address("owner", slug), owner_password=PASSWORD
    )
    factories.make_instance(tenant)
    return tenant


def _advance_ids(tenant: Tenant) -> None:
    """No id of this tenant is an id of another one."""
    schema = context.schema_of(tenant.number)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(format('%%I.%%I', schemaname, sequencename)::regclass, %s)"
            " FROM pg_sequences WHERE schemaname = %s",
            [FAR_AWAY, schema],
        )
    with context.entered(tenant):
        User.objects.update(id=FAR_AWAY)


def _plant(tenant: Tenant, name: str, phone: str, text: str, note: str) -> dict:
    """The same things in any tenant, and their ids."""
    instance = ProviderInstance.objects.of(tenant).get()
    with context.entered(tenant):
        for role in (Role.ADMIN, Role.AGENT):
            User.objects.create_user(address(role, tenant.slug), PASSWORD, role=role)
        owner = User.objects.get(role=Role.OWNER)
        conversation = factories.make_conversation(
            tenant, name=name, phone=phone, text=text, assignee=owner
        )
        Lead.objects.update(note=note, owner=owner, external_id=f"crm-{tenant.slug}")
        message = Message.objects.get()
        template = MessageTemplate.objects.create(
            provider=instance.provider, name=name, language="fr", status="approved", body=text,
            changed_at=timezone.now(),
        )  # fmt: skip
        # Failed, so that trying it again would change it.
        Message.objects.update(status="failed", direction="out", error_code="rejected")
        stage = Stage.objects.create(name=name, position=9)
        tag = Tag.objects.create(name=name)
        reply = CannedReply.objects.create(shortcut="leak", text=text)
        alert, follow_up = _plant_alert(conversation.lead, text)
        file = MessageFile.objects.create(
            message=message, kind="document", path="files/leak.pdf", state="stored", size=7
        )
        team_note = noting.write(conversation, text, by=owner, named=[owner], now=timezone.now())
        invitation = invitations.invite(address("invited", tenant.slug), Role.AGENT, by=owner)
        authenticator = factories.make_passkey(owner, f"{name} key")
        known = KnownSession.objects.create(user=owner, user_agent=f"{name} browser")
        _plant_crm(tenant, conversation.lead, message)
    with context.entered_public():
        entry = audit.record("tenant.changed", by=None, tenant=tenant)
    return {
        "alert": alert.pk,
        "app_label": "tenants",
        "audit_entry": entry.pk,
        "stage": stage.pk,
        "tag": tag.pk,
        "reply": reply.pk,
        "logo_digest": _plant_logo(tenant),
        "authenticator": authenticator.pk,
        "file": file.pk,
        "invitation": invitation.pk,
        "known_session": known.pk,
        "content_type": ContentType.objects.get_for_model(User).pk,
        "crm_id": f"crm-{tenant.slug}",
        "conversation": conversation.pk,
        "delivery": _plant_delivery(tenant, instance),
        "undertaking": _plant_undertaking(tenant),
        "external_id": message.external_id,
        "follow_up": follow_up.pk,
        "instance": instance.pk,
        "job": 1,
        "lead": conversation.lead_id,
        "merge": _plant_merge(tenant, conversation.lead_id),
        "message": message.pk,
        "nowhere": "nowhere",
        "reference": str(message.reference),
        "template": template.pk,
        "team_note": team_note.pk,
        "slug": tenant.slug,
        "provider": "wasender",
        "tenant": tenant.pk,
        "user": owner.pk,
        **_plant_billing(tenant, name),
    }


def _plant_crm(tenant: Tenant, lead: Lead, message: Message) -> None:
    """A CRM that is linked and refused a note; nobody can be called at its address."""
    now = timezone.now()
    crm = CrmLink(
        tenant=tenant,
        url=_crm_of(tenant),
        statuses=["New"],
        linked_at=now,
        state_since=now,
        pull_at=now + timedelta(days=1),
    )
    crm.key = "leak me"
    crm.save()
    times = {"notes_since": now, "seen_at": now, "created_at": now}
    record = EspoRecord.objects.create(record_id="6571d3", lead=lead, **times)
    EspoPush.objects.create(
        record=record, kind="note", message=message, state="failed", created_at=now
    )


def _crm_of(tenant: Tenant) -> str:
    return f"https://127.0.0.2/espo-{tenant.slug}"


def _plant_billing(tenant: Tenant, name: str) -> dict:
    """A plan that was bought, its invoice, and what was told of it."""
    plan = Plan.objects.get(code="team")
    number = tenant.number
    subscription = Subscription.objects.of(tenant).create(
        tenant=tenant,
        plan=plan,
        status="active",
        customer=f"cus_{number}",
        billing_name=name,
    )
    invoice = Invoice.objects.of(tenant).create(
        tenant=tenant,
        external_id=f"in_{number}",
        number=f"{name} 1",
        status="paid",
        currency="EUR",
        total=2900,
        amount_due=2900,
        amount_paid=2900,
        created_at=timezone.now(),
    )
    event = BillingEvent.objects.of(tenant).create(
        tenant=tenant,
        stripe_id=f"evt_{number}",
        body=sealing.seal(b"leak me"),
        received_at=timezone.now(),
    )
    return {
        "billing_event": event.pk,
        "invoice": invoice.pk,
        "plan": plan.pk,
        "subscription": subscription.pk,
    }


def _plant_alert(lead: Lead, text: str):
    """An alert, a follow-up and a line of history that quote what was said."""
    now = timezone.now()
    follow_up = followups.plan(lead, what=text, due_at=now, who=lead.owner, by=None, now=now)
    alert = resolving.make(
        type="By hand", severity="high", message=text, action={}, lead=lead, by=None, now=now
    )
    # One that was never contacted, which the page of a folded card lists.
    never = {"last_in_at": None, "last_out_at": None}
    Alert.objects.create(type="NoContact7d", lead=lead, is_manual=False, facts=never)
    return alert, follow_up


def _plant_merge(tenant: Tenant, kept: int) -> int:
    with context.entered(tenant):
        return merging.merge(Lead.objects.get(pk=kept), Lead.objects.create(name="Namesake")).pk


def _plant_logo(tenant: Tenant) -> str:
    drawn = io.BytesIO()
    Image.new("RGB", (tenant.number, 8), "green").save(drawn, "PNG")
    path = logos.keep(tenant.number, drawn, 8)
    Tenant.objects.filter(pk=tenant.pk).update(logo=path)
    directory.changed()
    return path.rpartition("/")[2].removesuffix(".png")


def _plant_undertaking(tenant: Tenant) -> int:
    return Undertaking.objects.create(
        kind=Undertaking.Kind.EXPORT, tenant_number=tenant.number, slug=tenant.slug
    ).pk


def _plant_delivery(tenant: Tenant, instance: ProviderInstance) -> int:
    delivery = WebhookDelivery(
        tenant=tenant,
        instance=instance,
        provider="wasender",
        body=sealing.seal(b"leak me"),
        size=7,
        received_at=timezone.now(),
    )
    delivery.save()
    return delivery.pk


def _keys_of(tenant: Tenant) -> dict:
    """What is in good links of the tenant's."""
    user = user_of(tenant, Role.OWNER)
    with context.entered(tenant):
        return {
            "email_key": new_email.key_for(user, address("new", tenant.slug)),
            "join_key": invitations.key_of(Invitation.objects.get()),
            "file_token": links.signed(MessageFile.objects.get(), user).split("/")[-2],
            "user_base36": user_pk_to_url_str(user),
            "reset_key": default_token_generator.make_token(user),
        }


@pytest.fixture
def make_world(db):
    """Makes the two tenants."""
    cache.clear()
    return World


def report(walked: walking.Walk, actors: list[Actor]) -> None:
    """Say what was walked, for whoever reads along."""
    places = Counter(where for where, _shown in walked.routes)
    print(f"\n{walked.requests} requests by {len(actors)} actors; routes: {dict(places)}")
    for each in actors:
        print(f"  actor: {each.label}")
    for where, shown in sorted(walked.routes):
        print(f"  {where}: {shown}")
    for name, exemption in EXEMPT.items():
        print(f"  open to anybody: {name}: {exemption.reason}")


def told(walked: walking.Walk) -> str:
    return "\n".join(dict.fromkeys(map(str, walked.findings)))


@pytest.mark.parametrize("ids_coincide", [False, True], ids=["other_ids", "same_ids"])
def test_walk_through_every_route_finds_no_leak(make_world, ids_coincide):
    world = make_world(ids_coincide=ids_coincide)
    actors = world.actors()

    walked = walking.walk(actors, world.rules())

    report(walked, actors)
    assert not walked.findings, told(walked)
    assert {shown for _where, shown in walked.routes} == {
        each.shown for where in walking.URLCONFS for each in walking.routes(where)
    }


def test_walk_with_the_same_ids_reaches_every_object_of_ones_own(make_world):
    world = make_world(ids_coincide=True)
    [session, token, _header] = world.thief_at_home()
    with_id = [
        each
        for each in walking.routes(TENANT)
        if each.parameters and each.name not in HOLD_LINKS | OF_SHARED_TABLES
    ]

    reading = [each for each in with_id if "GET" in each.methods]
    read = {each.label: walking.walk_reading(each, world.rules()) for each in (session, token)}

    assert [each for each in walking.CONTENT_KINDS if world.own[each] != world.stolen[each]] == []
    for route in reading:
        label = token.label if route.is_api else session.label
        # A file's address leads on to a link of its reader's own.
        good = {302} if route.name == "messaging:file" else {200, 204}
        assert read[label].statuses[label, "GET", route.shown] <= good, route.shown


def test_walk_of_staff_at_home_shows_no_content(make_world, client_for):
    world = make_world(ids_coincide=False)
    staff = world._actor(
        "staff at home",
        PUBLIC,
        {"host": "localhost", "cookie": walking.cookie(walking.session_of(None, world.staff))},
    )
    rules = replace(world.rules(), markers=CONTENT)

    walked = walking.walk_reading(staff, rules)

    assert not walked.findings, told(walked)
    assert walked.statuses[staff.label, "GET", "/admin/"] == {200}


@pytest.mark.parametrize(
    "module",
    [
        alerts.forms,
        billing.forms,
        messaging.forms,
        messaging.settings_forms,
        tenants.accounts.forms,
        tenants.forms,
    ],
)
def test_every_field_of_a_form_is_known_to_the_walk(module):
    assert walking.untaught_form_fields(module) == set()


def test_every_exemption_names_a_route():
    names = {each.exemption_key for where in walking.URLCONFS for each in walking.routes(where)}

    assert set(EXEMPT) <= names


# What the walk must not miss


def across_schemas(request, pk):
    """A leak: whoever's message has this id."""
    found = []
    for tenant in Tenant.objects.all():
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT text FROM {context.schema_of(tenant.number)}.messaging_message"
                " WHERE id = %s",
                [pk],
            )
            found += [text for (text,) in cursor.fetchall()]
    return JsonResponse({"texts": found})


def without_tenant(request):
    """A leak: everybody's instances."""
    rows = ProviderInstance.objects.across_tenants()
    return JsonResponse({"rows": [each.address for each in rows]})


def writes_across_schemas(request, pk):
    """A leak that shows nothing and changes another tenant's row."""
    if request.method == "POST":
        for tenant in Tenant.objects.all():
            schema = context.schema_of(tenant.number)
            with connection.cursor() as cursor:
                cursor.execute(
                    f"UPDATE {schema}.messaging_lead SET name = 'Taken' WHERE id = %s", [pk]
                )
    return HttpResponse(status=404)


def takes_any_instance(request):
    """A leak: a conversation of one's own through somebody else's number."""
    if request.method == "POST" and request.POST.get("instance"):
        Conversation.objects.update(instance_id=int(request.POST["instance"]))
    return HttpResponse(status=404)


def asks_nobody_in(request):
    """A leak of nothing yet: a page that never asks who is there."""
    return HttpResponse("Hello")


LEAKS = [
    ("leak/messages/<int:pk>/", across_schemas, "showed 'leak me'"),
    ("leak/instances/", without_tenant, "showed '+2217011"),
    ("leak/leads/<int:pk>/", writes_across_schemas, "changed the other tenant's"),
    ("leak/start/", takes_any_instance, "means the other tenant's instance"),
    ("leak/hello/", asks_nobody_in, "answered 200 to a stranger"),
]


@pytest.fixture
def planted(settings, monkeypatch):
    """Adds one more address to every tenant's host."""

    def plant(pattern: str, view) -> None:
        module = ModuleType("tests.planted_urls")
        module.urlpatterns = [path(pattern, view), path("", include(settings.ROOT_URLCONF))]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        settings.ROOT_URLCONF = module.__name__

    return plant


@pytest.mark.parametrize(("pattern", "view", "said"), LEAKS)
def test_walk_finds_a_planted_leak(make_world, planted, monkeypatch, pattern, view, said):
    world = make_world(ids_coincide=False)
    planted(pattern, view)
    only = lambda routes: [each for each in routes if each.shown.startswith("/leak/")]  # noqa: E731
    all_routes = walking.routes
    monkeypatch.setattr(walking, "routes", lambda where: only(all_routes(where)))

    walked = walking.walk(world.actors(), world.rules())

    assert said in told(walked)


@pytest.mark.parametrize(
    ("take", "expected"),
    [(lambda fields: fields.get("lead"), (2, 1)), (lambda fields: fields.copy(), (2, 2))],
)
def test_walk_names_by_themselves_only_what_a_page_asks_for(
    make_world, planted, monkeypatch, take, expected
):
    bodies = []

    def takes(request):
        if request.method == "POST":
            bodies.append(set(request.POST))
            take(request.POST)
        return HttpResponse(status=404)

    world = make_world(ids_coincide=False)
    planted("leak/taking/", takes)
    all_routes = walking.routes
    monkeypatch.setattr(
        walking,
        "routes",
        lambda where: [each for each in all_routes(where) if each.shown == "/leak/taking/"],
    )

    walking.walk(world.thief_at_home()[:1], world.rules())

    assert tuple(sum(name in body for body in bodies) for name in ("lead", "tags")) == expected


UNBOUND = [
    ("tenants.api.tokens.bound_to", "the thief's access token at the victim's by header"),
    ("tenants.context.bound_to", "the thief's session at the victim's by host"),
]


@pytest.mark.parametrize(("binding", "label"), UNBOUND)
def test_walk_finds_that_tokens_or_sessions_are_bound_to_no_tenant(
    make_world, monkeypatch, binding, label
):
    monkeypatch.setattr(binding, lambda: 1)
    world = make_world(ids_coincide=True)
    [stranger] = [each for each in world.strangers_at_the_victims() if each.label == label]

    walked = walking.walk([stranger], world.rules())

    assert "showed 'Leaky Lead'" in told(walked)
    assert "changed the other tenant's" in told(walked)


def test_walk_asks_to_be_taught_an_unknown_parameter(make_world, planted):
    world = make_world(ids_coincide=False)
    planted("files/<int:file>/", asks_nobody_in)

    with pytest.raises(walking.Untaught, match=r"teach tests/walking\.py whose id .*'file'"):
        walking.walk(world.actors(), world.rules())


def test_walk_asks_to_be_taught_where_an_id_leads(make_world, planted):
    world = make_world(ids_coincide=False)
    planted("ledgers/<int:pk>/", asks_nobody_in)

    with pytest.raises(walking.Untaught, match="whose id the parameter 'pk'"):
        walking.walk(world.actors(), world.rules())


# Sockets


@pytest.fixture
def two_shops(committed):
    return committed("listening_shop"), committed("speaking_shop")


def socket_headers(tenant: Tenant | None, cookie: str = "", origin: str | None = None) -> list:
    host = host_of(tenant) if tenant else "localhost"
    headers = [(b"host", host.encode()), (b"origin", (origin or f"http://{host}").encode())]
    return [*headers, (b"cookie", cookie.encode())] if cookie else headers


def publish(number: int) -> None:
    """An event of a tenant; its `message` is the tenant's number."""
    try:
        realtime.publish_now(number, "message", message=number)
    finally:
        # This thread ends now, and its connection belongs to the pool.
        connection.close()


async def heard(application, path: str, headers: list, numbers: tuple[int, ...]) -> list[dict]:
    """What a socket is told while these tenants have an event each, or that it was closed."""
    socket = WebsocketCommunicator(application, path, headers=headers)
    connected, _protocol = await socket.connect(timeout=ARRIVES_SECONDS)
    if not connected:
        return [CLOSED]
    for number in numbers:
        await asyncio.to_thread(publish, number)
    outputs = [await socket.receive_output(timeout=ARRIVES_SECONDS)]
    while outputs[-1]["type"] != "websocket.close":
        try:
            outputs.append(await socket.receive_output(timeout=QUIET_SECONDS))
        except TimeoutError:
            break
    return [_told_by(each) for each in outputs]


def _told_by(output: dict) -> dict:
    return CLOSED if output["type"] == "websocket.close" else json.loads(output["text"])


def listen(headers: list, *tenants: Tenant) -> list[list[dict]]:
    """The same at every websocket route there is."""
    # Importing it looks at the database.
    from amda.asgi import application

    paths = walking.websocket_paths(application)
    numbers = tuple(each.number for each in tenants)
    assert "/ws/live/" in paths
    return [asyncio.run(heard(application, each, headers, numbers)) for each in paths]


def test_socket_hears_its_own_tenants_events_only(two_shops):
    thief, victim = two_shops
    cookie = walking.cookie(walking.session_of(thief, user_of(thief, Role.OWNER)))

    told_to = listen(socket_headers(thief, cookie), victim, thief)

    assert [[each["message"] for each in told] for told in told_to] == [
        [thief.number] for _each in told_to
    ]


@pytest.mark.parametrize("who", ["thief", "staff", "nobody", "invented"])
def test_socket_refuses_who_is_not_signed_in_there(two_shops, who):
    thief, victim = two_shops
    cookies = {
        "thief": lambda: _cookie_in_every_table(thief, user_of(thief, Role.OWNER), victim),
        "staff": lambda: _cookie_in_every_table(None, User.objects.get(role=Role.STAFF), victim),
        "nobody": str,
        "invented": lambda: "amda_session=abcdefghijklmnopqrstuvwxyz012345",
    }

    told_to = listen(socket_headers(victim, cookies[who]()), victim)

    assert told_to == [[CLOSED] for _each in told_to]


def test_socket_refuses_a_page_of_another_site(two_shops):
    thief, victim = two_shops
    cookie = walking.cookie(walking.session_of(victim, user_of(victim, Role.OWNER)))
    origins = [f"http://{host_of(thief)}", "http://localhost", "https://evil.test", "null"]

    told_to = [
        outputs
        for origin in origins
        for outputs in listen(socket_headers(victim, cookie, origin), victim)
    ]

    assert told_to == [[CLOSED] for _each in told_to]


def test_socket_refuses_a_tenants_person_at_the_public_host(two_shops):
    _thief, victim = two_shops
    cookie = walking.cookie(walking.session_of(victim, user_of(victim, Role.OWNER)))

    told_to = listen(socket_headers(None, cookie), victim)

    assert told_to == [[CLOSED] for _each in told_to]


def _cookie_in_every_table(tenant: Tenant | None, user: User, victim: Tenant) -> str:
    """A session that is also in the victim's table, of a person with the victim's password."""
    directory.changed()
    with context.entered(victim):
        User.objects.filter(role=Role.OWNER).update(password=user.password)
    session = walking.session_of(tenant, user)
    walking.kept(session, tenant, victim)()
    return walking.cookie(session)
