"""Events, sweep and a naive reading of the raw history agree, whatever happened in whatever order.

Histories run over weeks, weekends, holidays and changes of the clock in several time zones, in
milliseconds: time is an argument.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts import evaluate, thresholds
from messaging import followups, handling
from messaging.models import FollowUp, Stage
from tenants.accounts.models import Role, User
from tenants.hours import NINE_TO_SIX, OpeningHours
from tests.alerts import naive
from tests.alerts.conftest import History, open_alerts

# Mornings, in UTC, a week before clocks change in Paris, in New York and on Lord Howe.
STARTS = [
    datetime(2026, 3, 22, 7, tzinfo=UTC),
    datetime(2026, 10, 18, 7, tzinfo=UTC),
    datetime(2026, 3, 2, 13, tzinfo=UTC),
    datetime(2026, 9, 28, 20, tzinfo=UTC),
]
ZONES = ["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]
OPEN_STAGES = ["new", "qualified", "proposal"]

# In minutes: around every threshold, and in between.
GAPS = [0, 5, 10, 25, 30, 55, 60, 235, 240, 600, 1_320, 1_400, 1_435, 1_440, 2_000, 2_880,
        4_320, 5_760, 7_200, 8_640, 10_080, 12_000, 15_000, 20_160, 30_240]  # fmt: skip
BY_PERSON = ["person", "person", "person", "phone", "api", "crm", "automation", "campaign"]
STATUSES = ["sent", "delivered", "delivered", "delivered", "failed"]

gaps = st.sampled_from(GAPS)
says = st.tuples(st.just("says"), gaps)
hears = st.tuples(st.just("hears"), gaps, st.sampled_from(BY_PERSON), st.sampled_from(STATUSES))
events = st.one_of(
    says, hears, says, hears, says, hears,
    st.tuples(st.just("plans"), gaps, gaps),
    st.tuples(st.just("finishes"), gaps),
    st.tuples(st.just("moves"), gaps, st.sampled_from([*OPEN_STAGES, *OPEN_STAGES, "won"])),
    st.tuples(st.just("gives"), gaps, st.booleans()),
)  # fmt: skip


@st.composite
def histories(draw):
    """Where, when from, on which days off, what happened, in which order it was heard."""
    start = draw(st.sampled_from(STARTS))
    days_off = draw(st.frozensets(st.integers(0, 25), max_size=4))
    clock, told = start, []
    for name, gap, *facts in draw(st.lists(events, min_size=3, max_size=10)):
        clock += timedelta(minutes=gap)
        told.append((name, clock, *facts))
    looks = draw(st.lists(gaps, min_size=3, max_size=3))
    return {
        "zone": ZoneInfo(draw(st.sampled_from(ZONES))),
        "start": start,
        "holidays": frozenset(start.date() + timedelta(days=each) for each in days_off),
        # What people do has its time; what was said is heard whenever it arrives.
        "told": draw(st.permutations(told)) if draw(st.booleans()) else told,
        "looks": [clock + timedelta(minutes=sum(looks[: each + 1])) for each in range(3)],
    }


def play(tenant, story, phone, on_event) -> History:
    """Let it happen to a new lead; `on_event(history, moment)` after each."""
    start = story["start"]
    history = History(tenant, at=start, phone=phone)
    clock = start
    for name, at, *facts in story["told"]:
        clock = max(clock, at)
        match name:
            case "says":
                history.says(at)
                _open_window(history, at)
            case "hears":
                history.hears(at, origin=facts[0], status=facts[1])
            case "plans":
                due_at = at + timedelta(minutes=facts[0])
                followups.plan(
                    history.lead, what="Rappeler", due_at=due_at, who=None, by=None, now=clock
                )
            case "finishes":
                for each in FollowUp.objects.filter(lead=history.lead, closed_at=None):
                    followups.close(each, outcome="done", by=None, now=clock)
            case "moves":
                handling.move(history.lead, to=Stage.objects.get(code=facts[0]), by=None, now=clock)
            case "gives":
                to = User.objects.get(role=Role.AGENT) if facts[0] else None
                handling.give(history.lead, to=to, by=None, now=clock)
        on_event(history, clock)
    return history


def _open_window(history: History, said_at: datetime) -> None:
    """As on an official number: free words for a day from their last message on."""
    known = history.conversation.window_ends_at
    history.conversation.window_ends_at = max(filter(None, [known, said_at + naive.WINDOW]))
    history.conversation.save(update_fields=["window_ends_at"])


@pytest.fixture
def hours(monkeypatch):
    """The tenant's opening hours, as a history sets them."""
    kept = {}
    monkeypatch.setattr(thresholds, "opening_hours_of", lambda tenant: kept["hours"])
    return kept


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(story=histories())
def test_events_sweep_and_a_naive_reading_agree(inside, other_tenant, hours, story):
    week = (*(NINE_TO_SIX for _day in range(5)), (), ())
    hours["hours"] = OpeningHours(story["zone"], week, story["holidays"])

    with transaction.atomic():
        watched = play(inside, story, "+221701111111", lambda history, moment: history.at(moment))
        swept = play(inside, story, "+221702222222", lambda history, moment: None)
        seen, should = [], []
        for moment in story["looks"]:
            by_events = watched.at(moment)
            evaluate.sweep(inside, now=moment)
            seen.append((by_events, open_alerts(watched.lead), open_alerts(swept.lead)))
            facts = (moment, story["zone"], story["holidays"])
            one, other = (naive.expected(each.lead, *facts) for each in (watched, swept))
            should.append((one, one, other))
        transaction.set_rollback(True)

    assert seen == should


def test_opening_hours_cross_a_change_of_the_clock():
    hours = OpeningHours(ZoneInfo("Europe/Paris"), tuple(((time(0), time.max),) for _ in range(7)))
    night = datetime(2026, 3, 29, 0, tzinfo=ZoneInfo("Europe/Paris"))

    passed = hours.between(night, night.replace(hour=6))

    assert passed == timedelta(hours=5)
    assert hours.before(night.replace(hour=6), timedelta(hours=5)) == night


def test_opening_hours_count_backwards_what_they_count_forwards():
    week = (*(NINE_TO_SIX for _day in range(5)), (), ())
    hours = OpeningHours(ZoneInfo("Europe/Paris"), week, frozenset({date(2026, 6, 2)}))
    wednesday = datetime(2026, 6, 3, 10, tzinfo=ZoneInfo("Europe/Paris"))

    began = hours.before(wednesday, timedelta(hours=2))

    assert began == datetime(2026, 6, 1, 17, tzinfo=ZoneInfo("Europe/Paris"))
    assert hours.between(began, wednesday) == timedelta(hours=2)
    assert not hours.is_open(datetime(2026, 6, 2, 10, tzinfo=ZoneInfo("Europe/Paris")))


def test_who_never_opens_is_never_late():
    hours = OpeningHours(ZoneInfo("UTC"), ((),) * 7)

    assert hours.before(datetime(2026, 6, 3, tzinfo=UTC), timedelta(minutes=1)) is None
