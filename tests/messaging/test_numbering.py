"""One subscriber, whichever form of the number is written."""

import pytest

from messaging import addressing, numbering, optouts, outbox
from messaging.models import Conversation, Lead, LeadIdentity
from tenants import context
from tests import factories
from tests.messaging.test_ingest import T0, deliver, drain, received

PAIRS = [
    ("BR", "+5511987654321", "+551187654321"),
    ("MX", "+5215512345678", "+525512345678"),
    ("AR", "+5491123456789", "+541123456789"),
    ("CI", "+2250707123456", "+22507123456"),
    ("CI", "+2250545123456", "+22545123456"),
    ("CI", "+2250101234567", "+22501234567"),
    ("FR", "+33612345678", "+330612345678"),
    ("MA", "+212612345678", "+2120612345678"),
    ("SN", "+221770123456", "+2210770123456"),
    ("TN", "+21620123456", "+216020123456"),
]
IDS = [f"{country} {one}" for country, one, _other in PAIRS]


@pytest.mark.parametrize(("country", "one", "other"), PAIRS, ids=IDS)
def test_forms_lead_to_each_other(country, one, other):
    assert numbering.forms(one) == (one, other)
    assert numbering.forms(other) == (other, one)


@pytest.mark.parametrize(
    "number",
    [
        "+551133334444",  # a fixed line of São Paulo
        "+22521234567",  # an old fixed line of Abidjan
        "+14155550123",
        "+447700900123",
        "+221338001234567",
    ],
)
def test_number_of_one_form_has_no_other(number):
    assert [each for each in numbering.forms(number) if each != number] == []


@pytest.mark.parametrize(
    ("written", "country", "expected"),
    [
        ("07 12 34 56", "CI", "+2250707123456"),
        ("+52 1 55 1234 5678", "MX", "+525512345678"),
        ("11 8765-4321", "BR", "+5511987654321"),
        ("011 15 2345-6789", "AR", "+5491123456789"),
        ("+33 (0)6 12 34 56 78", "FR", "+33612345678"),
        ("06 12 34 56 78", "MA", "+212612345678"),
        ("20 123 456", "TN", "+21620123456"),
        ("+221 0 77 012 34 56", "SN", "+221770123456"),
    ],
)
def test_typed_number_becomes_the_form_that_is_dialled(written, country, expected):
    assert addressing.as_phone(written, country) == expected


@pytest.mark.parametrize(("country", "one", "other"), PAIRS, ids=IDS)
def test_same_person_is_found_by_either_form(tenant, country, one, other):
    with context.entered(tenant):
        lead = factories.make_lead("Awa", one)

    deliver(tenant, received(phone=other.removeprefix("+")))
    drain(tenant)

    with context.entered(tenant):
        assert Lead.objects.get() == lead
        known = set(LeadIdentity.objects.values_list("value", flat=True))
        assert known == {one, other}
        assert Conversation.objects.get().peer == other


def test_writing_first_in_one_form_and_hearing_the_other_is_one_conversation(tenant, agent):
    with context.entered(tenant):
        outbox.start("+55 11 98765-4321", "Bom dia", origin="person", by=agent)

    deliver(tenant, received(phone="551187654321", at=T0))
    drain(tenant)

    with context.entered(tenant):
        conversation = Conversation.objects.get()
        assert conversation.messages.count() == 2
        again = outbox.start("+55 11 98765-4321", "Tudo bem?", origin="person", by=agent)
        assert again.conversation == conversation
        assert (again.peer, conversation.lead.identities.count()) == ("+551187654321", 2)


def test_who_opts_out_in_one_form_is_not_written_to_in_the_other(tenant, agent):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, phone="+551187654321")
        told = [addressing.Address("phone", "+5511987654321")]
        optouts.change(told, opted_out=True, by=optouts.Source.MESSAGE, at=T0)

        with pytest.raises(outbox.Refused) as refusal:
            outbox.queue(conversation, "Bom dia", origin="person", by=agent)

    assert refusal.value.code == optouts.CODE
