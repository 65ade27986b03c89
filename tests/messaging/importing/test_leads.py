"""Leads from a file: made once, completed, never replaced, and left to sleep."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from alerts import evaluate
from alerts.models import Alert
from messaging import handling, standing, tagging
from messaging.importing import leads
from messaging.importing.rows import Result, Row
from messaging.models import Lead, LeadIdentity, Stage, Tag
from tenants import context
from tenants.accounts.models import AuditEntry
from tests import factories

HEADER = "id,name,phone,email,owner,stage,tags,note,opted_out,created_at"
AWA = "c-1,Awa Ndiaye,70 111 11 11,Awa@Client.test,{owner},qualified,vip|Dakar,Aime le chêne,,"


def take_in(tenant, *rows, **options):
    importer = leads.Importer(tenant, timezone.now(), **options)
    return [(each.line, each.result) for batch in importer.take_in(rows) for each in batch]


def row(line, **values):
    return Row(line, values)


def test_file_becomes_leads_with_all_it_says(tenant, other_tenant, owner, write, load):
    path = write(
        HEADER,
        AWA.format(owner=owner.email.upper()),
        "c-2,Koffi,+225 07 01 02 03 04,,,,VIP,,oui,31/05/2021 09:00",
    )

    assert load("import_leads", path) == (["2 rows: 2 new"], "")

    with context.entered(tenant):
        awa, koffi = Lead.objects.order_by("pk")
        assert (awa.name, awa.external_id, awa.owner, awa.note) == (
            "Awa Ndiaye", "c-1", owner, "Aime le chêne",
        )  # fmt: skip
        assert awa.stage.code == "qualified"
        # The vendor is at home in Senegal.
        assert set(awa.identities.values_list("kind", "value")) == {
            ("phone", "+221701111111"),
            ("email", "awa@client.test"),
        }
        assert {tag.name for tag in awa.tags.all()} == {"vip", "Dakar"}
        assert [tag.name for tag in koffi.tags.all()] == ["vip"]
        assert koffi.identities.get().opted_out
        assert koffi.identities.get().consent_changed_by == "import"
        assert koffi.created_at == datetime(2021, 5, 31, 7, 0, tzinfo=UTC)
        assert awa.recognised_at is not None
        entry = AuditEntry.objects.get(act="leads.imported")
        assert entry.after == {"new": 2}
    with context.entered(other_tenant):
        assert not Lead.objects.filter(external_id="c-1").exists()
        assert not Tag.objects.exists()


def test_second_run_adds_nothing(tenant, owner, write, load):
    path = write(HEADER, AWA.format(owner=owner.email), "c-1,Awa again,+221701111111,,,,,,,")

    assert load("import_leads", path) == (["2 rows: 1 new, 1 known already"], "")
    assert load("import_leads", path, "--dry-run")[0] == [
        "dry run, nothing written: 2 rows: 2 known already"
    ]
    assert load("import_leads", path) == (["2 rows: 2 known already"], "")

    with context.entered(tenant):
        assert Lead.objects.get().name == "Awa Ndiaye"
        assert LeadIdentity.objects.count() == 2


def test_lead_that_is_there_is_completed_and_never_replaced(inside, owner):
    known = factories.make_lead("Awa", "+221701111111", note="À rappeler")

    results = take_in(
        inside,
        row(2, phone="+221701111111", name="Other", note="Other", email="awa@client.test"),
        row(3, email="awa@client.test", owner=owner.email, id="c-1"),
    )

    assert results == [(2, Result.COMPLETED), (3, Result.COMPLETED)]
    known.refresh_from_db()
    assert (known.name, known.note, known.owner, known.external_id) == (
        "Awa", "À rappeler", owner, "c-1",
    )  # fmt: skip
    # One that was here before goes on being looked after.
    assert known.imported_at is None


def test_number_in_another_form_is_the_same_lead(inside):
    factories.make_lead("Awa", "+22501020304")

    assert take_in(inside, row(2, phone="+2250101020304"))[0][1] is Result.COMPLETED
    assert Lead.objects.count() == 1


def test_dry_run_writes_nothing(tenant, write, load):
    path = write(HEADER, AWA.format(owner=""), "c-2,Koffi,12,,,,,,,")

    printed, error = load("import_leads", path, "--dry-run")

    assert printed == [
        "line 3: phone: 12 is no address",
        "dry run, nothing written: 2 rows: 1 new, 1 failed",
    ]
    assert error == "1 rows failed."
    with context.entered(tenant):
        assert not Lead.objects.exists()
        assert not Tag.objects.exists()


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"name": "Nobody"}, "phone: missing, and so are email and id"),
        ({"phone": "+33612345678", "owner": "x@y.test"}, "owner: 'x@y.test': nobody of the team"),
        ({"phone": "+33612345678", "stage": "Rêve"}, "stage: 'Rêve': there are"),
        ({"phone": "+33612345678", "opted_out": "maybe"}, "opted_out: 'maybe' is neither"),
        ({"phone": "+33612345678", "tags": "t" * 41}, "tags: longer than 40 characters"),
        ({"email": "no address"}, "email: no address is no address"),
        ({"phone": "+221701111111", "email": "b@c.test"}, "phone: its addresses belong to several"),
    ],
)
def test_row_fails_alone_and_names_its_column(inside, values, complaint):
    factories.make_lead("Awa", "+221701111111")
    other = factories.make_lead("Bintou", "+221702222222")
    LeadIdentity.objects.create(lead=other, kind="email", value="b@c.test")
    importer = leads.Importer(inside, timezone.now())

    [[bad, good]] = importer.take_in([row(2, **values), row(3, phone="+33612345679")])

    assert bad.result is Result.FAILED
    assert bad.reason.startswith(complaint)
    assert good.result is Result.NEW


def test_tags_stop_where_there_are_as_many_as_there_can_be(inside, monkeypatch):
    monkeypatch.setattr(tagging, "MOST_TAGS", 1)

    results = take_in(
        inside, row(2, phone="+33612345678", tags="a"), row(3, phone="+33612345679", tags="b")
    )

    assert [result for _line, result in results] == [Result.NEW, Result.FAILED]


def test_imported_leads_sleep_until_something_happens(inside, owner):
    take_in(inside, row(2, phone="+33612345678", name="Awa"), row(3, phone="+33612345679"))
    later = timezone.now() + timedelta(days=30)

    evaluate.sweep(inside, now=later)
    assert not Alert.objects.exists()

    awa = Lead.objects.get(name="Awa")
    handling.move(awa, to=Stage.objects.get(code="qualified"), by=owner, now=timezone.now())
    evaluate.sweep(inside, now=later)

    assert set(Alert.objects.values_list("lead", flat=True)) == {awa.pk}


def test_lead_that_somebody_takes_is_awake(inside, owner):
    take_in(inside, row(2, phone="+33612345678", owner=owner.email))
    lead = Lead.objects.get()
    assert not lead.standing.is_watched

    handling.give(lead, to=None, by=owner, now=timezone.now())
    handling.give(lead, to=owner, by=owner, now=timezone.now())

    lead.standing.refresh_from_db()
    assert lead.standing.is_watched
    standing.refresh_all(now=timezone.now())
    lead.standing.refresh_from_db()
    assert lead.standing.is_watched


def test_thousand_rows_cost_a_few_statements(inside, django_assert_max_num_queries):
    rows = [row(n, phone=f"+3361234{n:04d}", name=f"Lead {n}", tags="all") for n in range(400)]
    importer = leads.Importer(inside, timezone.now())

    with django_assert_max_num_queries(30):
        [outcomes] = importer.take_in(rows)

    assert {each.result for each in outcomes} == {Result.NEW}
