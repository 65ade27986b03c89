"""The page on which a tenant links its EspoCRM, sees how it stands and ends the link."""

import io

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command

from messaging import activities, recognising
from messaging.espo import linking, turns
from messaging.models import EspoPush, EspoRecord, Lead
from tenants import context, exporting
from tenants.accounts.models import AuditEntry, Role
from tenants.models import CrmLink
from tests import factories
from tests.conftest import user_of
from tests.fakes import espo
from tests.messaging.espo.conftest import PHONE, lead_named, say

PAGE = "/settings/crm/"


@pytest.fixture(autouse=True)
def _no_attempts_so_far(db):
    cache.clear()


class Browser:
    """A browser after whose requests the test is where it was before."""

    def __init__(self, sign_in) -> None:
        self._client = self._back(sign_in)

    def get(self, *args, **kwargs):
        return self._back(lambda: self._client.get(*args, **kwargs))

    def post(self, *args, **kwargs):
        return self._back(lambda: self._client.post(*args, **kwargs))

    def _back(self, act):
        before = context.connection.tenant
        try:
            return act()
        finally:
            context.connection.set_tenant(before)


@pytest.fixture
def browser(tenant, owner, client_for):
    return Browser(lambda: client_for(tenant, owner))


def acts() -> list[tuple[str, str]]:
    entries = AuditEntry.objects.filter(act__startswith="crm.").order_by("pk")
    return list(entries.values_list("act", "door"))


def test_link_is_made_on_its_page_and_the_key_never_shown_again(crm, tenant, browser, other_tenant):
    browser.post(PAGE, {"url": f"{crm.url}/api/v1/", "api_key": espo.KEY})

    shown = browser.get(PAGE).content.decode()
    link = CrmLink.objects.of(tenant).get()
    assert (link.url, link.key, link.statuses) == (crm.url, espo.KEY, espo.STATUSES)
    assert crm.url in shown
    assert espo.KEY not in shown
    assert espo.KEY.encode() not in bytes(link.sealed_key)
    with context.entered(tenant):
        assert acts() == [("crm.linked", "page")]
        assert espo.KEY not in str(list(AuditEntry.objects.values()))
    assert not CrmLink.objects.of(other_tenant).exists()


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"api_key": "another"}, "EspoCRM ne connaît pas cette clé."),
        ({"api_key": ""}, "Indiquez la clé"),
        ({"api_key": "clé"}, "caractères"),
        ({"url": "http://10.0.0.1/"}, "https://"),
        ({"url": "ftp://crm.example.com"}, "https://"),
        ({"url": "https://me:secret@crm.example.com"}, "https://crm.example.com"),
        ({"url": "http://127.0.0.1:9"}, "Personne ne répond à cette adresse."),
    ],
    ids=["wrong_key", "no_key", "odd_key", "private", "no_http", "with_password", "nobody"],
)
def test_wrong_link_is_refused_at_its_field(crm, tenant, browser, typed, says):
    answer = browser.post(PAGE, {"url": crm.url, "api_key": espo.KEY, **typed})

    assert answer.status_code == 400
    assert says in answer.content.decode()
    assert not CrmLink.objects.of(tenant).exists()


def test_link_without_the_right_to_read_is_refused_and_lesser_rights_are_told(crm, tenant, browser):
    crm.state.rights["Lead"]["read"] = "no"
    refused = browser.post(PAGE, {"url": crm.url, "api_key": espo.KEY})
    crm.state.rights["Lead"] |= {"read": "all", "stream": "no"}
    browser.post(PAGE, {"url": crm.url, "api_key": espo.KEY})
    shown = browser.get(PAGE).content.decode()

    assert "ne peut pas lire les leads" in refused.content.decode()
    assert "n’y sont pas notés" in shown


def test_page_says_how_it_stands(linked, tenant, browser):
    key = linked.state.add_lead("Awa", phone=PHONE)
    linked.run()
    linked.pass_time(minutes=1)
    conversation = factories.open_conversation(tenant, lead_named("Awa"), peer=PHONE)
    linked.state.forbids = ["POST Note"]
    said = say(linked, conversation, "Secret words")
    linked.run()
    linked.state.away = True
    say(linked, conversation, "More words")
    linked.run()

    shown = browser.get(PAGE).content.decode()
    assert "EspoCRM est en maintenance." in shown
    assert "Le rôle de l’utilisateur d’API ne le permet pas." in shown
    assert "Secret words" not in shown
    assert "Synchroniser maintenant" in shown
    linked.state.away, linked.state.forbids = False, []
    browser.post(f"{PAGE}retry/")
    linked.run()
    assert [post.split("\n")[1] for post in linked.state.posts(key)] == [
        "More words",
        "Secret words",
    ] or len(linked.state.posts(key)) == 2
    assert EspoPush.objects.get(message=said).state == "done"
    assert "crm.retried" in {act for act, _door in acts()}


def test_connection_is_tested_with_words(linked, browser):
    good = browser.post(f"{PAGE}test/", follow=True).content.decode()
    linked.state.key = "changed"
    bad = browser.post(f"{PAGE}test/", follow=True).content.decode()

    assert "EspoCRM répond, et la clé est bonne." in good
    assert "EspoCRM ne connaît pas cette clé." in bad


def test_key_is_replaced_and_another_address_is_another_crm(linked, make_crm, browser, owner):
    linked.state.add_lead("Awa", phone=PHONE)
    linked.run()
    linked.state.key = "second-key"
    browser.post(PAGE, {"url": linked.url, "api_key": "second-key"})
    assert (turns.mine().key, EspoRecord.objects.count()) == ("second-key", 1)

    elsewhere = make_crm()
    elsewhere.state.key = "second-key"
    browser.post(PAGE, {"url": elsewhere.url, "api_key": ""})
    assert (turns.mine().url, turns.mine().key) == (elsewhere.url, "second-key")
    assert EspoRecord.objects.count() == 0
    assert [act for act, _door in acts()] == ["crm.linked", "crm.changed", "crm.linked"]


def test_stages_are_chosen_and_recorded(linked, browser):
    won = linking.Stage.objects.get(code="won")
    posted = {f"status-{place}": "" for place in range(len(espo.STATUSES))}
    browser.post(f"{PAGE}stages/", {**posted, "status-1": won.pk})
    refused = browser.post(f"{PAGE}stages/", {**posted, "status-1": "999999"})

    assert turns.mine().stages == {"Assigned": won.pk}
    assert refused.status_code == 400
    entry = AuditEntry.objects.get(act="crm.stages_chosen")
    assert (entry.before["New"], entry.after) == ("Nouveau", {"Assigned": "Gagné"})


def test_unlinking_keeps_leads(linked, browser):
    linked.state.add_lead("Awa", phone=PHONE)
    linked.run()
    browser.post(f"{PAGE}unlink/")

    assert (turns.mine(), EspoRecord.objects.count()) == (None, 0)
    assert Lead.objects.get().name == "Awa"
    assert "Lier EspoCRM" in browser.get(PAGE).content.decode()


def test_only_who_manages_settings_may_see_or_touch_the_link(linked, tenant, client_for):
    statuses = {}
    for role in (Role.ADMIN, Role.AGENT, Role.ASSISTANT):
        user = user_of(tenant, role)
        theirs = Browser(lambda user=user: client_for(tenant, user))
        statuses[role] = {
            theirs.get(PAGE).status_code,
            *(
                theirs.post(f"{PAGE}{act}/").status_code
                for act in ("test", "stages", "synchronise", "retry", "unlink")
            ),
        }
        if role == Role.ADMIN:
            linking.link(linked.url, espo.KEY, by=None)

    assert statuses[Role.AGENT] == statuses[Role.ASSISTANT] == {403}
    assert statuses[Role.ADMIN] <= {200, 302, 400}


def test_export_holds_the_link_without_its_key(linked, tenant):
    [row] = list(exporting._rows(tenant, "public", "tenants_crmlink"))

    assert linked.url in row
    assert "sealed_key" not in row


def test_correlation_rate_counts_who_was_known_when_they_wrote(
    linked, tenant, browser, other_tenant
):
    linked.state.add_lead("Awa", phone=PHONE)
    linked.run()
    known = factories.open_conversation(tenant, lead_named("Awa"), peer=PHONE)
    unknown = factories.open_conversation(
        tenant, factories.make_lead("", "+221770000009"), peer="+221770000009"
    )
    for text in ("One", "Two"):
        say(linked, known, text)
    late = say(linked, unknown, "Who")
    say(linked, known, "Ours", direction="out", status="sent", origin="person")
    activities.keep([late.pk], now=linked.now)
    recognising.keep(unknown.lead, now=linked.now)

    found = recognising.correlation(linked.now)
    assert (found.received, found.known, found.percent) == (3, 2, 66)
    for address in (PAGE, "/leads/unknown/"):
        assert "Taux de corrélation 66 %" in browser.get(address).content.decode()
    linked.pass_time(days=31)
    assert recognising.correlation(linked.now).received == 0


def test_old_env_links_its_crm_and_prints_no_key(crm, tenant, other_tenant, tmp_path):
    path, printed = tmp_path / "old.env", io.StringIO()
    path.write_text(f"ESPO_URL={crm.url}/\nESPO_API_KEY={espo.KEY}\nPORT=3005\n")

    call_command("import_env", tenant.slug, str(path), "--dry-run", stdout=printed)
    assert not CrmLink.objects.of(tenant).exists()
    call_command("import_env", tenant.slug, str(path), stdout=printed)

    assert CrmLink.objects.of(tenant).get().url == crm.url
    assert not CrmLink.objects.of(other_tenant).exists()
    assert "delete from the file: ESPO_API_KEY, ESPO_URL" in printed.getvalue()
    assert espo.KEY not in printed.getvalue()
    with context.entered(tenant):
        assert acts() == [("crm.linked", "import_env")]


def test_old_env_with_a_wrong_key_names_its_variable(crm, tenant, tmp_path):
    path, printed = tmp_path / "old.env", io.StringIO()
    path.write_text(f"ESPO_URL={crm.url}\nESPO_API_KEY=not-this-one\n")

    with pytest.raises(CommandError, match="1 of 1"):
        call_command("import_env", tenant.slug, str(path), stdout=printed)

    assert printed.getvalue() == "espocrm: ESPO_API_KEY: EspoCRM does not know this key.\n"
