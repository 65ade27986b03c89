"""Each kind of alert, from one table: opens, not yet, rises, closes, is held back, is not seen
by another tenant."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from alerts import evaluate, resolving
from alerts.models import Alert, AlertRule
from alerts.rules import LEAD_RULES
from messaging import activities, addressing, followups, handling, optouts
from messaging.models import Conversation, FollowUp, Lead, Message, Stage
from tenants import context
from tests.alerts.conftest import MONDAY, History, after, open_alerts

NEXT_MONDAY = MONDAY + timedelta(days=7)


@dataclass(frozen=True)
class Case:
    """A kind of alert: what makes it true, when it gets how bad, what ends it."""

    code: str
    begins: Callable[[History], object]
    not_yet: datetime
    rises: dict[str, datetime]
    ends: Callable[[History, datetime], object]
    held_back: tuple[Callable[[History], object], ...] = field(default=())

    def __str__(self) -> str:
        return self.code


def plans(history: History, due_at: datetime | None = None):
    due_at = due_at or after(days=60)
    return followups.plan(
        history.lead, what="Rappeler", due_at=due_at, who=None, by=None, now=MONDAY
    )


def in_a_window(history: History):
    history.says(MONDAY)
    Conversation.objects.update(window_ends_at=after(hours=24))


def is_opted_out(history: History):
    addresses = [addressing.Address("phone", "+221701111111")]
    optouts.change(addresses, opted_out=True, by="message", at=MONDAY)


def is_erased(history: History):
    history.change(erased_at=MONDAY)


def is_won(history: History):
    history.change(stage=Stage.objects.get(code="won"))


def is_lost(history: History):
    history.change(stage=Stage.objects.get(code="lost"))


def is_a_group(history: History):
    history.conversation.is_group = True
    history.conversation.save()
    activities.touched([history.lead.pk])


def fails(history: History):
    history.hears(MONDAY, status="failed")


def hears_from_a_machine(history: History):
    history.hears(after(minutes=1), origin="automation")
    history.hears(after(minutes=1), origin="campaign")


def finish(history: History, at: datetime):
    follow_up = FollowUp.objects.get(lead=history.lead)
    followups.close(follow_up, outcome="done", by=None, now=at)


def move(history: History, at: datetime):
    stage = Stage.objects.get(code="proposal")
    handling.move(history.lead, to=stage, by=None, now=at)


def take(history: History, at: datetime):
    handling.give(history.lead, to=history.owner, by=None, now=at)


def lose_owner(history: History):
    history.owner = history.lead.owner
    history.change(owner=None, owner_since=MONDAY)


CASES = [
    Case(
        "NoContact7d",
        lambda history: history.says(MONDAY) and history.hears(after(seconds=1)),
        not_yet=after(days=7),
        rises={"medium": after(days=7, seconds=1), "high": after(days=14, seconds=1)},
        ends=lambda history, at: history.says(at),
        held_back=(plans,),
    ),
    Case(
        "NoReply3d",
        lambda history: history.hears(MONDAY),
        not_yet=after(days=3, seconds=-1),
        rises={"low": after(days=3), "medium": after(days=5), "high": after(days=7)},
        ends=lambda history, at: history.says(at),
    ),
    Case(
        "CustomerWaiting",
        lambda history: history.says(MONDAY),
        not_yet=after(minutes=30, seconds=-1),
        # Monday from ten to six in Paris is eight hours, Tuesday and Wednesday nine each.
        rises={
            "medium": after(minutes=30),
            "high": after(hours=4),
            "critical": after(days=2, hours=6),
        },
        ends=lambda history, at: history.hears(at),
    ),
    Case(
        "FirstReplyOverdue",
        lambda history: history.says(MONDAY),
        not_yet=after(minutes=5, seconds=-1),
        rises={"medium": after(minutes=5), "high": after(minutes=60)},
        ends=lambda history, at: history.hears(at),
    ),
    Case(
        "WindowClosing",
        in_a_window,
        not_yet=after(hours=22, seconds=-1),
        rises={"high": after(hours=22)},
        ends=lambda history, at: history.hears(at),
    ),
    Case(
        "LeadUnassigned",
        lose_owner,
        not_yet=after(minutes=15, seconds=-1),
        rises={"medium": after(minutes=15), "high": after(hours=2)},
        ends=take,
    ),
    Case(
        "FollowUpOverdue",
        lambda history: plans(history, after(days=1)),
        not_yet=after(days=1, seconds=-1),
        rises={"medium": after(days=1), "high": after(days=2)},
        ends=finish,
    ),
    Case(
        "NoNextStep",
        lambda history: history.says(MONDAY),
        not_yet=after(days=1, seconds=-1),
        rises={"low": after(days=1), "medium": after(days=7)},
        ends=lambda history, at: plans(history, at + timedelta(days=1)),
        held_back=(plans,),
    ),
    Case(
        "StageStale",
        lambda history: history.says(MONDAY),
        not_yet=after(days=14, seconds=-1),
        rises={"medium": after(days=14), "high": after(days=21)},
        ends=move,
        held_back=(plans,),
    ),
    Case(
        "DeliveryFailed",
        lambda history: history.hears(MONDAY, status="sent"),
        not_yet=after(days=1, seconds=-1),
        rises={"high": after(days=1)},
        ends=lambda history, at: history.hears(at),
    ),
]
NOBODYS = (is_opted_out, is_erased, is_won, is_lost, is_a_group)


def test_every_kind_about_leads_has_its_row():
    assert {case.code for case in CASES} == {rule.code for rule in LEAD_RULES}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kind_opens_rises_and_closes(history, case):
    case.begins(history)

    assert case.code not in history.at(case.not_yet)
    for severity, moment in case.rises.items():
        assert history.at(moment).get(case.code) == severity
    assert Alert.objects.filter(type=case.code).count() == 1

    case.ends(history, moment)

    assert case.code not in history.at(moment)
    closed = Alert.objects.get(type=case.code)
    assert (closed.resolved_at, closed.resolution) == (moment, "itself")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_sweep_finds_what_events_find(history, other_tenant, case):
    case.begins(history)
    moment = list(case.rises.values())[-1]

    evaluate.sweep(history.tenant, now=moment)

    assert case.code in open_alerts(history.lead)
    context.connection.set_tenant(other_tenant)
    assert open_alerts() == {}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kind_that_is_switched_off_is_superseded_and_opens_no_more(history, case):
    case.begins(history)
    moment = list(case.rises.values())[-1]
    assert case.code in history.at(moment)
    AlertRule.objects.create(code=case.code, is_on=False)

    assert case.code not in history.at(moment)
    assert Alert.objects.get(type=case.code).resolution == "superseded"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kind_resolved_by_hand_stays_quiet_for_a_day(history, case):
    case.begins(history)
    moment = list(case.rises.values())[-1]
    history.at(moment)
    alert = Alert.objects.get(type=case.code)
    # As often as somebody looks, by event and by sweep.
    resolving.resolve(alert, by=None, now=moment)

    assert case.code not in history.at(moment + timedelta(seconds=1))
    evaluate.sweep(history.tenant, now=moment + timedelta(hours=12))
    assert case.code not in open_alerts(history.lead)
    if case.code == "WindowClosing":
        return  # two hours later there is no window any more
    assert case.code in history.at(moment + timedelta(hours=24))
    assert Alert.objects.filter(type=case.code).count() == 2


@pytest.mark.parametrize("nobodys", NOBODYS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_lead_that_is_nobodys_business_has_no_alerts(history, case, nobodys):
    case.begins(history)
    moment = list(case.rises.values())[-1]
    assert case.code in history.at(moment)

    nobodys(history)

    assert history.at(moment) == {}


@pytest.mark.parametrize(
    ("case", "held_back"),
    [(case, each) for case in CASES for each in case.held_back],
    ids=lambda each: getattr(each, "code", getattr(each, "__name__", "")),
)
def test_planned_follow_up_holds_back(history, case, held_back):
    case.begins(history)
    held_back(history)

    assert case.code not in history.at(list(case.rises.values())[-1])


@pytest.mark.parametrize("code", ["CustomerWaiting", "FirstReplyOverdue", "NoContact7d"])
def test_what_machines_send_is_no_contact(history, code):
    case = next(each for each in CASES if each.code == code)
    history.says(MONDAY)
    hears_from_a_machine(history)

    assert code in history.at(list(case.rises.values())[-1])


def test_unanswered_lead_who_ever_wrote_is_one_step_worse(history):
    history.says(MONDAY - timedelta(days=1))
    history.hears(MONDAY)

    seen = [history.at(after(days=days)).get("NoReply3d") for days in (2, 3, 5, 7)]

    assert seen == [None, "medium", "high", "critical"]


def test_customer_waits_in_opening_hours_only(history):
    friday_evening = MONDAY + timedelta(days=4, hours=7, minutes=45)
    history.says(friday_evening)

    assert "CustomerWaiting" not in history.at(NEXT_MONDAY - timedelta(hours=1))
    assert "CustomerWaiting" not in history.at(NEXT_MONDAY - timedelta(minutes=46))
    assert history.at(NEXT_MONDAY - timedelta(minutes=45))["CustomerWaiting"] == "medium"


def test_customer_waits_since_the_first_unanswered_message(history):
    history.says(MONDAY)
    history.says(after(minutes=29))

    assert history.at(after(minutes=30))["CustomerWaiting"] == "medium"
    assert Alert.objects.get(type="CustomerWaiting").since == MONDAY


def test_providers_times_count_not_arrival(history):
    history.hears(after(minutes=10))
    history.says(MONDAY)

    assert "CustomerWaiting" not in history.at(after(hours=5))


def test_message_that_failed_at_once_is_told_at_once(history):
    fails(history)

    assert history.at(MONDAY)["DeliveryFailed"] == "high"


def test_failed_answer_is_no_answer(history):
    history.says(MONDAY)
    history.hears(after(minutes=1), status="failed")

    assert history.at(after(minutes=30)).keys() >= {"CustomerWaiting", "DeliveryFailed"}


def test_mail_that_nobody_confirms_is_not_undelivered(history):
    history.hears(MONDAY, status="sent", medium="email")

    assert "DeliveryFailed" not in history.at(after(days=2))


def test_call_answered_is_contact_both_ways(history):
    history.says(MONDAY)
    activities.record(
        history.lead, channel="call", direction="out", status="replied", now=after(minutes=1)
    )

    assert history.at(after(days=6)).keys().isdisjoint({"CustomerWaiting", "NoReply3d"})


def test_call_nobody_answered_is_no_contact(history):
    history.says(MONDAY)
    activities.record(
        history.lead, channel="call", direction="out", status="no_answer", now=after(minutes=1)
    )

    assert "CustomerWaiting" in history.at(after(minutes=30))


def test_stage_has_its_own_patience(history):
    Stage.objects.filter(code="qualified").update(stale_after_days=2)
    stage = Stage.objects.get(code="qualified")
    handling.move(history.lead, to=stage, by=None, now=MONDAY)

    seen = [history.at(after(days=days)).get("StageStale") for days in (1, 2, 3)]

    assert seen == [None, "medium", "high"]


def test_lead_that_was_merged_away_has_no_alerts(history):
    from messaging import merging

    other = History(history.tenant, phone="+221702222222")
    other.says(MONDAY)
    assert "CustomerWaiting" in other.at(after(hours=1))

    merging.merge(history.lead, other.lead)

    assert other.at(after(hours=1)) == {}
    theirs = Alert.objects.filter(subject_id=other.lead.pk)
    assert set(theirs.values_list("resolution", flat=True)) == {"superseded"}
    assert "CustomerWaiting" in history.at(after(hours=1))
    assert Message.objects.get().lead == Lead.objects.get(pk=history.lead.pk)
