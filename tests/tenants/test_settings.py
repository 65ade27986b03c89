"""A tenant's settings: kept once, checked, recorded, shown in the header and in the API."""

import io
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.cache import cache
from django.core.files.storage import default_storage
from PIL import Image

from tenants import context, directory, settling
from tenants.accounts.models import AuditEntry, Role
from tenants.hours import opening_hours_of
from tenants.models import Tenant
from tenants.settling import WrongSetting
from tests.conftest import user_of

NAMED = {
    "name": "Maison Awa",
    "language": "en",
    "time_zone": "Africa/Dakar",
    "default_country": "SN",
    "colour": "indigo",
}


@pytest.fixture(autouse=True)
def _no_attempts_so_far(db):
    cache.clear()


@pytest.fixture
def browser(tenant, owner, client_for):
    return client_for(tenant, owner)


def drawn(form="PNG", size=(600, 300)):
    written = io.BytesIO()
    Image.new("RGB", size, "red").save(written, form)
    written.seek(0)
    written.name = "logo.html"
    return written


def settings_of(tenant):
    return Tenant.objects.get(pk=tenant.pk)


def test_organisation_is_kept_recorded_and_the_other_one_untouched(browser, tenant, other_tenant):
    before = settings_of(other_tenant)

    answer = browser.post("/settings/", NAMED)

    kept = settings_of(tenant)
    assert (answer.status_code, kept.name, kept.default_country) == (302, "Maison Awa", "SN")
    with context.entered(tenant):
        entry = AuditEntry.objects.latest("id")
    assert (entry.act, entry.after["name"], "language" in entry.after) == (
        "tenant.changed",
        "Maison Awa",
        True,
    )
    other = settings_of(other_tenant)
    assert (other.name, other.colour) == (before.name, before.colour)


def test_colour_and_logo_stand_on_every_page(browser, tenant):
    browser.post("/settings/", {**NAMED, "picture": drawn()})

    path = settings_of(tenant).logo
    digest = path.rpartition("/")[2].removesuffix(".png")
    page = browser.get("/leads/").content.decode()
    answer = browser.get(f"/settings/logo/{digest}/")
    shown = Image.open(io.BytesIO(answer.content))

    assert 'data-colour="indigo"' in page
    assert f"/settings/logo/{digest}/" in page
    assert (answer["Content-Type"], shown.format, shown.size) == ("image/png", "PNG", (256, 128))
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert path.startswith(f"{context.folder_of(tenant.number)}/logo/")


def test_new_logo_takes_the_former_ones_place(browser, tenant):
    browser.post("/settings/", {**NAMED, "picture": drawn()})
    former = settings_of(tenant).logo
    browser.post("/settings/", {**NAMED, "picture": drawn("JPEG", (90, 90))})
    present = settings_of(tenant).logo
    browser.post("/settings/", {**NAMED, "without_picture": "on"})

    assert former != present
    assert settings_of(tenant).logo == ""
    assert not default_storage.exists(former)
    assert not default_storage.exists(present)


@pytest.mark.parametrize(
    "content",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"",
        b"\x89PNG\r\n",
    ],
)
def test_logo_that_is_no_picture_is_refused(browser, tenant, content):
    upload = io.BytesIO(content)
    upload.name = "logo.png"

    answer = browser.post("/settings/", {**NAMED, "picture": upload})

    assert answer.status_code == 400
    assert settings_of(tenant).logo == ""
    assert settings_of(tenant).name == tenant.name


def test_logo_of_another_tenant_is_not_there(browser, tenant, other_tenant, client_for):
    theirs = client_for(other_tenant, user_of(other_tenant, Role.OWNER))
    theirs.post("/settings/", {**NAMED, "picture": drawn()})
    digest = settings_of(other_tenant).logo.rpartition("/")[2].removesuffix(".png")

    assert theirs.get(f"/settings/logo/{digest}/").status_code == 200
    assert browser.get(f"/settings/logo/{digest}/").status_code == 404


def typed_hours(**changes):
    days = {f"day{day}_0_from": "09:00" for day in range(5)}
    days |= {f"day{day}_0_to": "12:00" for day in range(5)}
    return {**days, "day0_1_from": "14:00", "day0_1_to": "00:00", **changes}


def test_hours_and_holidays_are_typed_shown_and_used(browser, tenant):
    answer = browser.post(
        "/settings/hours/",
        typed_hours(holidays="25/12 Noël\n05/04/2027 Lundi de Pâques\n2027-05-01"),
    )

    assert answer.status_code == 302
    kept = settings_of(tenant)
    assert kept.opening_hours[:2] == [
        [["09:00", "12:00"], ["14:00", "00:00"]],
        [["09:00", "12:00"]],
    ]
    assert kept.opening_hours[5:] == [[], []]
    assert kept.holidays == [
        {"day": "12-25", "name": "Noël"},
        {"day": "2027-04-05", "name": "Lundi de Pâques"},
        {"day": "2027-05-01", "name": ""},
    ]
    shown = browser.get("/settings/hours/").content.decode()
    assert "25/12 Noël\n05/04/2027 Lundi de Pâques\n01/05/2027" in shown
    hours = opening_hours_of(kept)
    monday = datetime(2026, 3, 2, tzinfo=UTC)
    assert hours.between(monday, monday + timedelta(days=1)) == timedelta(hours=13)
    assert [date(year, 12, 25) in hours.holidays for year in (2026, 2031)] == [True, True]
    assert [date(year, 4, 5) in hours.holidays for year in (2026, 2027)] == [False, True]


@pytest.mark.parametrize(
    "changes",
    [
        {"day0_0_to": "08:00"},
        {"day0_1_from": "11:00"},
        {"day1_0_to": ""},
        {"holidays": "32/12 Noël"},
        {"holidays": "Noël"},
    ],
)
def test_wrong_hours_are_refused_with_what_was_typed(browser, tenant, changes):
    answer = browser.post("/settings/hours/", typed_hours(**changes))

    assert answer.status_code == 400
    assert settings_of(tenant).opening_hours == tenant.opening_hours
    assert 'role="alert"' in answer.content.decode()


def test_hours_page_keeps_as_many_ranges_as_a_day_may_have(browser, tenant, owner):
    day = [["08:00", "10:00"], ["11:00", "13:00"], ["15:00", "00:00"]]
    with context.entered(tenant):
        settling.change(tenant.number, {"opening_hours": [day] * 7}, by=owner)

    shown = browser.get("/settings/hours/").context["form"]
    browser.post("/settings/hours/", {**shown.initial, "holidays": "01/05"})

    kept = settings_of(tenant)
    assert (kept.opening_hours, kept.holidays) == ([day] * 7, [{"day": "05-01", "name": ""}])
    assert len(day) == settling.MOST_RANGES


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", " "),
        ("language", "xx"),
        ("time_zone", "Paris"),
        ("default_country", "XX"),
        ("colour", "#123456"),
        ("retention_days", 3),
        ("opening_hours", [[]]),
        ("opening_hours", [[["9", "10"]], [], [], [], [], [], []]),
        ("holidays", [{"day": "13-45"}]),
    ],
)
def test_setting_that_cannot_be_is_refused_by_name(tenant, owner, name, value):
    with context.entered(tenant):
        with pytest.raises(WrongSetting) as refusal:
            settling.change(tenant.number, {name: value}, by=owner)
        assert not AuditEntry.objects.exists()

    assert refusal.value.name == name


def test_settings_are_read_and_changed_in_the_api(browser, tenant, assistant, client_for):
    week = [[["08:00", "18:30"]]] * 6 + [[]]

    changed = browser.patch(
        "/api/settings/",
        {
            "opening_hours": week,
            "holidays": [{"day": "12-25", "name": "Noël"}],
            "shows_read": False,
        },
        content_type="application/json",
    )
    refused = browser.patch(
        "/api/settings/", {"time_zone": "Paris"}, content_type="application/json"
    )
    colleague = client_for(tenant, assistant)
    read = colleague.get("/api/settings/").json()

    assert changed.status_code == 200, changed.content
    assert (read["opening_hours"], read["shows_read"]) == (week, False)
    assert (read["holidays"], read["logo"]) == ([{"day": "12-25", "name": "Noël"}], None)
    assert refused.json()["error"]["field"] == "time_zone"
    body = {"name": "Mine"}
    assert (
        colleague.patch("/api/settings/", body, content_type="application/json").status_code == 403
    )


def test_other_people_do_not_reach_the_settings(tenant, agent, client_for):
    client = client_for(tenant, agent)

    assert [client.get(path).status_code for path in ("/settings/", "/settings/hours/")] == [
        403,
        403,
    ]


def test_changed_country_counts_at_once(tenant, owner):
    with context.entered(tenant):
        settling.change(tenant.number, {"default_country": "FR"}, by=owner)

    assert directory.tenant_numbered(tenant.number).default_country == "FR"
