"""Every figure equals a count by SQL over the same history."""

import csv
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection

from alerts import adoption, evaluate, figures, resolving
from alerts.models import Alert, TeamHabits
from messaging import activities
from tenants.accounts.models import Role, User
from tests.alerts.conftest import MONDAY, History, after
from tests.conftest import at

LAST = after(days=9)
ENDS = ("hand", "action", "itself")

PER_DAY = """
SELECT day, count(*) FILTER (WHERE what = 'opened'), count(*) FILTER (WHERE what = 'action'),
       count(*) FILTER (WHERE what = 'hand'), count(*) FILTER (WHERE what = 'itself')
FROM (
    SELECT (opened_at AT TIME ZONE %(zone)s)::date AS day, 'opened' AS what FROM alerts_alert
    UNION ALL
    SELECT (resolved_at AT TIME ZONE %(zone)s)::date, resolution FROM alerts_alert
    WHERE resolved_at IS NOT NULL
) happened GROUP BY day ORDER BY day
"""
UNTIL_RESOLVED = """
SELECT percentile_disc(0.5) WITHIN GROUP (
    ORDER BY floor(extract(epoch FROM resolved_at - opened_at) / 60))
FROM alerts_alert WHERE resolution IN ('hand', 'action', 'itself')
"""
UNTIL_ANSWERED = """
SELECT percentile_disc(0.5) WITHIN GROUP (
    ORDER BY floor(extract(epoch FROM answered.at - wrote.at) / 60))
FROM (SELECT lead_id, min(at) AS at FROM messaging_activity WHERE heard GROUP BY 1) wrote
JOIN LATERAL (
    SELECT min(at) AS at FROM messaging_activity
    WHERE lead_id = wrote.lead_id AND spoke AND at >= wrote.at) answered ON answered.at IS NOT NULL
"""
LOOKED = "SELECT count(DISTINCT user_id) FROM alerts_watching WHERE day BETWEEN %s AND %s"


@pytest.fixture
def week(inside, other_tenant):
    """Leads who wrote at all hours; each alert ended by hand, by its action, or by itself."""
    agent = User.objects.get(role=Role.AGENT)
    TeamHabits.objects.create(figures_per_person_since=MONDAY)
    for number in range(9):
        wrote = after(days=number % 7, hours=number * 5 % 24, minutes=number * 7)
        history = History(inside, at=wrote, phone=f"+2217011{number:05d}", owner=agent)
        history.says(wrote)
        looked = wrote + timedelta(days=3, hours=number)
        history.at(looked)
        if ENDS[number % 3] == "hand":
            for alert in Alert.objects.filter(lead=history.lead, resolved_at=None):
                resolving.resolve(alert, by=agent, now=looked + timedelta(minutes=number))
        elif ENDS[number % 3] == "action":
            for alert in Alert.objects.filter(lead=history.lead, type="CustomerWaiting"):
                resolving.acted(alert, by=agent, now=looked)
        answered = looked + timedelta(minutes=11 * number)
        history.hears(answered, by=agent)
        history.at(answered)
    adoption.seen(agent, (LAST - timedelta(days=1)).date())
    adoption.seen(agent, (LAST - timedelta(days=2)).date())
    adoption.seen(User.objects.get(role=Role.OWNER), (LAST - timedelta(days=20)).date())
    return inside


def test_days_and_shares_equal_a_count(week):
    drawn = figures.days(LAST.date())
    counted = _rows(PER_DAY, zone=week.time_zone)

    told = [(each.day, each.opened, each.by_action, each.by_hand, each.by_itself) for each in drawn]
    assert [each for each in told if any(each[1:])] == counted
    ways = Counter()
    for _day, _opened, by_action, by_hand, by_itself in counted:
        ways.update(by_action=by_action, by_hand=by_hand, by_itself=by_itself)
    assert min(ways.values()) > 0
    total = sum(ways.values())
    assert figures.shares(drawn) == {way: round(100 * each / total) for way, each in ways.items()}


def test_medians_equal_a_count(week):
    agent = User.objects.get(role=Role.AGENT)
    [[until_resolved]] = _rows(UNTIL_RESOLVED)
    [[until_answered]] = _rows(UNTIL_ANSWERED)

    assert figures.median("resolved", LAST.date()) == until_resolved
    assert figures.median("answered", LAST.date(), user=agent.pk) == until_answered


def test_adoption_equals_a_count(week):
    last = LAST.date()
    [[looked]] = _rows(LOOKED, last - timedelta(days=6), last)

    assert adoption.rate(last) == (looked, 3)
    assert looked == 1


def test_csv_says_what_is_counted(week, owner, client_for):
    browser = client_for(week, owner)
    with at(LAST):
        answer = browser.get("/alerts/figures.csv")

    rows = list(csv.DictReader(answer.content.decode().splitlines()))
    connection.set_tenant(week)
    told = [
        (row["day"], *(int(row[name]) for name in
         ("opened", "resolved_by_action", "resolved_by_hand", "resolved_by_itself")))
        for row in rows
    ]  # fmt: skip
    counted = [(each[0].isoformat(), *each[1:]) for each in _rows(PER_DAY, zone=week.time_zone)]
    assert [each for each in told if any(each[1:])] == counted


def test_night_counts_what_no_event_told_of(inside, other_tenant):
    history = History(inside, owner=User.objects.get(role=Role.AGENT))
    history.says(MONDAY)
    evaluate.sweep(inside, now=after(hours=1))
    history.hears(after(hours=2))
    activities.touched([history.lead.pk])

    evaluate.sweep(inside, now=after(hours=3))
    evaluate.draw_again(inside, now=after(hours=3))
    evaluate.draw_again(inside, now=after(hours=4))

    [day] = _rows(PER_DAY, zone=inside.time_zone)
    [told] = [each for each in figures.days(MONDAY.date()) if each.opened]
    assert day == (told.day, told.opened, told.by_action, told.by_hand, told.by_itself)
    assert figures.median("answered", MONDAY.date()) == 120


def _rows(query: str, *values, **named) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(query, named or values)
        return cursor.fetchall()
