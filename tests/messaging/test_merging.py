"""Two leads are one, and two again: every row is with the lead it belongs to."""

from datetime import timedelta

import pytest
from django.utils import timezone

from messaging import addressing, folding, merging, outbox
from messaging.models import Conversation, Lead, LeadIdentity, LeadMerge, Message
from tenants import context
from tests import factories
from tests.messaging.test_ingest import T0, deliver, drain, received

LID = "555@lid"
PHONE = "221701112233"
OTHER_PHONE = "221702223344"


def by_lid(key, text, at=T0):
    """A message whose sender's number the provider does not tell."""
    body = received(key, text, at, remoteJid=LID, senderLid=LID)
    del body["data"]["messages"]["key"]["cleanedSenderPn"]
    return body


def by_both(key, text, at=T0):
    return received(key, text, at, senderLid=LID)


def said_in(conversation) -> list[str]:
    return list(conversation.messages.order_by("sent_at", "id").values_list("text", flat=True))


def texts_of(lead) -> set[str]:
    return set(Message.objects.filter(lead=lead).values_list("text", flat=True))


def lead_at(address) -> Lead:
    return LeadIdentity.objects.select_related("lead").get(value=address).lead


@pytest.fixture
def two(tenant):
    """A lead known by its number and one known by its LID, each with a conversation."""
    deliver(tenant, received("P1", "by phone", T0))
    deliver(tenant, by_lid("L1", "by lid", T0 + timedelta(minutes=1)))
    drain(tenant)
    with context.entered(tenant):
        return lead_at(f"+{PHONE}"), lead_at(LID)


def test_lid_and_number_of_one_person_become_one_conversation(tenant, other_tenant, two):
    phone, lid = two

    deliver(tenant, by_both("B1", "by both", T0 + timedelta(minutes=2)))
    drain(tenant)

    with context.entered(tenant):
        shown = Conversation.objects.get(folded_into=None)
        assert (shown.lead, shown.peer) == (phone, f"+{PHONE}")
        assert said_in(shown) == ["by phone", "by lid", "by both"]
        assert (shown.unread_count, shown.last_message_snippet) == (3, "by both")
        folded = Conversation.objects.get(folded_into=shown)
        assert (folded.lead, folded.last_message_at, folded.unread_count) == (lid, None, 0)
        assert folding.current(folded) == shown
        assert texts_of(phone) == {"by phone", "by lid", "by both"}
        assert LeadMerge.objects.get().by is None
    with context.entered(other_tenant):
        assert Message.objects.get().text == "leak me"


def test_address_of_a_folded_conversation_leads_to_the_other(tenant, two, client_for, agent):
    deliver(tenant, by_both("B1", "by both"))
    drain(tenant)
    with context.entered(tenant):
        shown = Conversation.objects.get(folded_into=None)
        folded = Conversation.objects.get(folded_into=shown)
    browser = client_for(tenant, agent)

    answer = browser.get(f"/inbox/{folded.pk}/")

    assert (answer.status_code, answer["Location"]) == (302, f"/inbox/{shown.pk}/")
    assert "by lid" in browser.get(f"/inbox/{folded.pk}/messages/").content.decode()
    assert browser.get(f"/inbox/{folded.pk}/row/").status_code == 204
    rows = browser.get("/inbox/rows/").content.decode()
    assert rows.count("data-conversation=") == 1


def test_separated_leads_get_back_what_is_theirs(tenant, two, owner):
    phone, lid = two
    with context.entered(tenant):
        before = {
            lead.pk: [(each.pk, each.peer, each.unread_count, said_in(each)) for each in found]
            for lead in two
            for found in [list(lead.conversations.order_by("pk"))]
        }
        record = merging.merge(phone, lid)

        merging.undo(record, by=owner, now=timezone.now())

        after = {
            lead.pk: [(each.pk, each.peer, each.unread_count, said_in(each)) for each in found]
            for lead in two
            for found in [list(lead.conversations.order_by("pk"))]
        }
        assert after == before
        assert (lead_at(f"+{PHONE}"), lead_at(LID)) == (phone, lid)
        record.refresh_from_db()
        assert record.undone_by == owner
        lid.refresh_from_db()
        assert lid.merged_into is None


HANDLED = ("state", "closed_at", "assignee_id")


@pytest.fixture
def handled(tenant, two, agent, owner):
    """The same two: one closed and nobody's, the other open and the agent's; what they were."""
    with context.entered(tenant):
        phone, lid = (lead.conversations for lead in two)
        phone.update(state="closed", closed_at=T0 + timedelta(hours=1), assignee=None)
        lid.update(state="open", assignee=agent)
    return handling_of(tenant, two)


def handling_of(tenant, leads) -> list[tuple]:
    """Whose the leads' conversations are, and whether they are open."""
    with context.entered(tenant):
        return [lead.conversations.values_list(*HANDLED).get() for lead in leads]


def test_separated_leads_are_whose_they_were_and_open_or_closed_as_before(
    tenant, two, handled, agent, owner
):
    phone, lid = two
    assert handled == [("closed", T0 + timedelta(hours=1), None), ("open", None, agent.pk)]

    with context.entered(tenant):
        record = merging.merge(phone, lid)
        shown = Conversation.objects.get(folded_into=None)
        assert (shown.state, shown.assignee_id) == ("open", agent.pk)
        merging.undo(record, by=owner, now=timezone.now())

    assert handling_of(tenant, two) == handled


def test_separated_lead_keeps_what_was_changed_since(tenant, two, handled, agent, owner):
    phone, lid = two
    with context.entered(tenant):
        record = merging.merge(phone, lid)
        phone.conversations.update(assignee=owner)

        merging.undo(record, by=owner, now=timezone.now())

    assert handling_of(tenant, two) == [
        ("closed", T0 + timedelta(hours=1), owner.pk),
        ("open", None, agent.pk),
    ]


def test_separated_conversation_in_which_somebody_wrote_since_is_open(tenant, two, handled, owner):
    phone, lid = two
    with context.entered(tenant):
        record = merging.merge(phone, lid)
    deliver(tenant, received("P2", "later by phone", T0 + timedelta(hours=2)))
    drain(tenant)

    with context.entered(tenant):
        merging.undo(record, by=owner, now=timezone.now())

    assert [state for state, _closed_at, _assignee in handling_of(tenant, two)] == ["open", "open"]


def test_merge_that_was_closed_since_stays_closed_when_it_is_separated(tenant, two, handled, owner):
    phone, lid = two
    closed_at = T0 + timedelta(hours=3)
    with context.entered(tenant):
        record = merging.merge(phone, lid)
    deliver(tenant, received("P2", "later by phone", T0 + timedelta(hours=2)))
    drain(tenant)
    with context.entered(tenant):
        phone.conversations.filter(folded_into=None).update(state="closed", closed_at=closed_at)

        merging.undo(record, by=owner, now=timezone.now())

    assert [each[:2] for each in handling_of(tenant, two)] == [
        ("closed", closed_at),
        ("open", None),
    ]


def test_what_came_after_the_merge_goes_where_it_came_by(tenant, two, owner):
    phone, lid = two
    with context.entered(tenant):
        record = merging.merge(phone, lid)
    deliver(tenant, by_lid("L2", "later by lid", T0 + timedelta(minutes=5)))
    deliver(tenant, received("P2", "later by phone", T0 + timedelta(minutes=6)))
    drain(tenant)
    with context.entered(tenant):
        shown = Conversation.objects.get(folded_into=None)
        outbox.queue(shown, "our answer", origin="person", by=owner)
        assert len(said_in(shown)) == 5

        merging.undo(record, by=owner, now=timezone.now())

        assert texts_of(phone) == {"by phone", "later by phone", "our answer"}
        assert texts_of(lid) == {"by lid", "later by lid"}
        for lead in two:
            conversation = lead.conversations.get()
            assert set(said_in(conversation)) == texts_of(lead)
            last = conversation.messages.order_by("-sent_at", "-id").first()
            assert conversation.last_message_id == last.pk
            assert conversation.last_message_snippet == last.text


def test_leads_a_person_separated_are_not_merged_by_news(tenant, two, owner):
    phone, lid = two
    with context.entered(tenant):
        merging.undo(merging.merge(phone, lid), by=owner, now=timezone.now())

    deliver(tenant, by_both("B1", "by both"))
    drain(tenant)

    with context.entered(tenant):
        assert Lead.objects.filter(merged_into=None).count() == 2
        assert Message.objects.get(text="by both").lead == phone


def test_identity_told_beside_a_returning_one_returns_with_it(tenant, owner):
    deliver(tenant, received("P1", "by phone"))
    deliver(tenant, received("Q1", "by the other phone", phone=OTHER_PHONE))
    drain(tenant)
    with context.entered(tenant):
        kept, other = lead_at(f"+{PHONE}"), lead_at(f"+{OTHER_PHONE}")
        record = merging.merge(kept, other)
    deliver(tenant, received("Q2", "with its lid", phone=OTHER_PHONE, senderLid="777@lid"))
    drain(tenant)

    with context.entered(tenant):
        merging.undo(record, by=owner, now=timezone.now())

        assert lead_at("777@lid") == other
        assert texts_of(other) == {"by the other phone", "with its lid"}


def test_conversation_at_another_number_moves_whole_and_is_parted_when_undone(tenant, owner):
    first = factories.make_instance(tenant)
    with context.entered(tenant):
        here = factories.make_conversation(tenant, name="Awa", phone=f"+{PHONE}", text="here")
        there = factories.make_conversation(tenant, name="", phone=f"+{OTHER_PHONE}", text="there")
        for rows in (Conversation.objects.filter(pk=there.pk), there.messages.all()):
            rows.update(instance_id=first.pk)
        kept, other = here.lead, there.lead
        record = merging.merge(kept, other)
        there.refresh_from_db()
        assert (there.lead, there.folded_into) == (kept, None)
    body = deliver(tenant, received("P2", "kept's, at the other number"))
    body.instance_id = first.pk
    body.save()
    drain(tenant)

    with context.entered(tenant):
        assert "kept's, at the other number" in said_in(there)
        merging.undo(record, by=owner, now=timezone.now())

        assert texts_of(kept) == {"here", "kept's, at the other number"}
        assert texts_of(other) == {"there"}
        there.refresh_from_db()
        assert (there.lead, said_in(there)) == (other, ["there"])
        opened = kept.conversations.get(instance_id=first.pk)
        assert (opened.peer, said_in(opened)) == (f"+{PHONE}", ["kept's, at the other number"])


def test_facts_are_joined_and_given_back_unless_somebody_changed_them(tenant, owner, agent):
    with context.entered(tenant):
        kept = factories.make_lead("", f"+{PHONE}", note="prefers the morning")
        other = factories.make_lead("Awa Diop", f"+{OTHER_PHONE}", note="size 38", owner=agent)

        record = merging.merge(kept, other, by=owner)

        kept.refresh_from_db()
        assert (kept.name, kept.owner) == ("Awa Diop", agent)
        assert kept.note == "prefers the morning\n\nsize 38"
        kept.note = "somebody wrote this since"
        kept.save()
        merging.undo(record, by=owner, now=timezone.now())
        kept.refresh_from_db()
        assert (kept.name, kept.owner) == ("", None)
        assert kept.note == "somebody wrote this since"


def test_merges_are_undone_in_any_order_but_not_under_a_later_one(tenant, owner):
    with context.entered(tenant):
        conversations = [
            factories.make_conversation(tenant, name=name, phone=f"+22170111220{number}", text=name)
            for number, name in enumerate("ABCD")
        ]
        a, b, c, d = (each.lead for each in conversations)
        ab, ac = merging.merge(a, b), merging.merge(a, c)
        da = merging.merge(d, a)

        with pytest.raises(merging.NotMerged) as refusal:
            merging.undo(ab, by=owner, now=timezone.now())
        assert refusal.value.code == "merge_built_on"

        merging.undo(da, by=owner, now=timezone.now())
        assert texts_of(a) == {"A", "B", "C"}
        merging.undo(ab, by=owner, now=timezone.now())
        assert (texts_of(a), texts_of(b)) == ({"A", "C"}, {"B"})
        merging.undo(ac, by=owner, now=timezone.now())
        merging.undo(ac, by=owner, now=timezone.now())
        for lead, conversation in zip((a, b, c, d), conversations, strict=True):
            conversation.refresh_from_db()
            assert (conversation.lead, conversation.folded_into) == (lead, None)
            assert said_in(conversation) == [lead.name]


@pytest.mark.parametrize("code", ["lead_same", "lead_merged", "lead_group"])
def test_merge_that_makes_no_sense_is_refused_and_changes_nothing(tenant, code):
    with context.entered(tenant):
        kept = factories.make_conversation(tenant, phone=f"+{PHONE}").lead
        other = factories.make_lead("Other", f"+{OTHER_PHONE}")
        if code == "lead_same":
            other = kept
        if code == "lead_merged":
            third = factories.make_lead("Third", "+221703334455")
            merging.merge(third, other)
        if code == "lead_group":
            Conversation.objects.update(is_group=True)
        merges = LeadMerge.objects.count()

        with pytest.raises(merging.NotMerged) as refusal:
            merging.merge(kept, other)

        assert refusal.value.code == code
        assert LeadMerge.objects.count() == merges


def test_answer_written_while_its_conversation_was_folded_is_sent_in_the_other(tenant, two, owner):
    phone, lid = two
    with context.entered(tenant):
        stale = lid.conversations.get()
        merging.merge(phone, lid)

        message = outbox.queue(stale, "our answer", origin="person", by=owner)

        assert message.conversation == phone.conversations.get()
        assert (message.lead, message.peer) == (phone, f"+{PHONE}")


def test_preview_says_what_merging_does(tenant, two, agent):
    phone, lid = two
    with context.entered(tenant):
        Lead.objects.filter(pk=lid.pk).update(owner=agent, note="size 38")
        lid.refresh_from_db()

        shown = merging.preview(phone, lid)

        assert [each.value for each in shown.identities] == [LID]
        assert (shown.conversations, len(shown.folded), shown.messages) == ([], 1, 1)
        assert (shown.will_be["owner_id"], shown.will_be["note"]) == (agent.pk, "size 38")
        assert LeadMerge.objects.count() == 0


def test_two_forms_of_a_number_that_are_two_leads_become_one(tenant):
    with context.entered(tenant):
        older = factories.make_lead("Ana", "+5511987654321")
        newer = factories.make_lead("", "+551187654321")

    deliver(tenant, received("B1", "Oi", phone="551187654321"))
    drain(tenant)

    with context.entered(tenant):
        [left] = Lead.objects.filter(merged_into=None)
        assert {older, newer} == {left, *left.merged.all()}
        assert left.name == "Ana"
        assert addressing.leads_with([addressing.Address("phone", "+5511987654321")]) == [left]


# Nothing forgotten


def pointing_at(model) -> set[str]:
    """Every foreign key to a model, hidden ones too, as app.model.field."""
    return {
        f"{each.related_model._meta.label_lower}.{each.field.name}"
        for each in model._meta.get_fields(include_hidden=True)
        if each.auto_created and not each.concrete and (each.one_to_many or each.one_to_one)
    }


def test_every_table_that_points_at_a_lead_is_known_to_merging():
    assert pointing_at(Lead) == set(merging.MOVES), "say in merging.MOVES what becomes of its rows"


def test_every_table_that_points_at_a_conversation_is_known_to_folding():
    known = {"messaging.message.conversation", "messaging.conversation.folded_into"}

    assert pointing_at(Conversation) == known | set(folding.ALONG), "list it in folding.ALONG"
