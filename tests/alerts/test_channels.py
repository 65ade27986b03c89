"""A number that is cut off: after five minutes, at once where it is blocked, and where it is
silent against its habit."""

from datetime import timedelta

import pytest

from alerts import evaluate
from alerts.models import Alert, AlertRule
from messaging.models import InstanceDay
from tenants import context
from tenants.models import ProviderInstance
from tests.alerts.conftest import MONDAY, after, open_alerts

State = ProviderInstance.State
DOWN = {"ChannelDown": "critical"}
# Two weeks have ninety opening hours: a message for each of them is an hour's usual gap.
HOURLY = 90


@pytest.fixture
def number(inside, other_tenant) -> ProviderInstance:
    """The tenant's number, connected and written to a moment ago; the other's is cut off."""
    theirs = ProviderInstance.objects.of(other_tenant)
    theirs.update(state=State.BLOCKED, state_changed_at=MONDAY - timedelta(days=1))
    instance = ProviderInstance.objects.of(inside).get()
    _now(instance, state_changed_at=MONDAY - timedelta(days=30), last_event_at=MONDAY)
    return instance


def _now(instance: ProviderInstance, **facts) -> None:
    ProviderInstance.objects.of(instance.tenant).filter(pk=instance.pk).update(**facts)


def _at(tenant, moment) -> dict[str, str]:
    evaluate.instances(tenant, now=moment)
    return open_alerts()


@pytest.mark.parametrize("state", [State.DISCONNECTED, State.PENDING, State.CONFLICT])
def test_number_that_is_not_connected_is_cut_off_after_five_minutes(inside, number, state):
    _now(number, state=state, state_changed_at=MONDAY)

    assert _at(inside, after(minutes=5, seconds=-1)) == {}
    assert _at(inside, after(minutes=5)) == DOWN
    assert _at(inside, after(hours=9)) == DOWN
    alert = Alert.objects.get()
    assert (alert.subject_kind, alert.subject_id, alert.lead_id) == ("instance", number.pk, None)
    assert (alert.since, alert.facts["reason"]) == (MONDAY, state)


def test_blocked_number_is_cut_off_at_once(inside, number):
    _now(number, state=State.BLOCKED, state_changed_at=MONDAY)

    assert _at(inside, MONDAY) == DOWN


def test_number_that_is_back_closes_its_alert(inside, number):
    _now(number, state=State.BLOCKED, state_changed_at=MONDAY)
    _at(inside, MONDAY)
    _now(number, state=State.CONNECTED, state_changed_at=after(hours=1))

    assert _at(inside, after(hours=1)) == {}
    alert = Alert.objects.get()
    assert (alert.resolved_at, alert.resolution) == (after(hours=1), "itself")


def test_number_that_asks_again_and_again_to_be_scanned_is_cut_off_all_the_same(inside, number):
    for minute in range(6):
        state = State.PENDING if minute % 2 else State.DISCONNECTED
        _now(number, state=state, state_changed_at=after(minutes=minute))
        opened = _at(inside, after(minutes=minute))
        assert opened == (DOWN if minute == 5 else {})

    assert Alert.objects.get().since == MONDAY


def test_number_silent_three_times_its_usual_gap_is_cut_off(inside, number):
    _received(number, HOURLY)

    assert _at(inside, after(hours=3, seconds=-1)) == {}
    assert _at(inside, after(hours=3)) == DOWN
    assert Alert.objects.get().facts["reason"] == "silent"


def test_nights_and_weekends_are_no_silence(inside, number):
    _received(number, HOURLY)
    friday_at_five = MONDAY + timedelta(days=4, hours=7)
    _now(number, last_event_at=friday_at_five)

    # An hour of Friday, then nothing until Monday at nine in Paris.
    assert _at(inside, MONDAY + timedelta(days=7, hours=0, minutes=59)) == {}
    assert _at(inside, MONDAY + timedelta(days=7, hours=1)) == DOWN


def test_number_without_a_habit_is_never_silent(inside, number):
    _received(number, 27)

    assert _at(inside, after(days=20)) == {}


def test_tenant_that_switched_it_off_hears_of_no_number(inside, number):
    _now(number, state=State.BLOCKED, state_changed_at=MONDAY)
    _at(inside, MONDAY)
    AlertRule.objects.create(code="ChannelDown", is_on=False)

    assert _at(inside, after(hours=1)) == {}
    assert Alert.objects.get().resolution == "superseded"


def test_sweep_finds_the_tenants_own_number_and_no_other(inside, number, other_tenant):
    evaluate.sweep(inside, now=MONDAY)
    assert "ChannelDown" not in open_alerts()

    context.connection.set_tenant(other_tenant)
    evaluate.sweep(other_tenant, now=MONDAY)

    theirs = ProviderInstance.objects.of(other_tenant).get()
    assert Alert.objects.get(type="ChannelDown").subject_id == theirs.pk


def _received(instance: ProviderInstance, count: int) -> None:
    InstanceDay.objects.create(
        instance_id=instance.pk, day=(MONDAY - timedelta(days=3)).date(), received=count
    )
