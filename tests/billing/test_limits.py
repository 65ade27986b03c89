"""What a plan allows, asked where rows are made, and how it is refused."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.utils import timezone, translation

from billing import entitling, telling, usage
from billing.models import Plan, Subscription
from messaging import connecting, delivering, media, outbox
from messaging.models import Message, MessageFile
from tenants import context, directory, limits
from tenants.accounts.models import User
from tenants.limits import Kind, LimitReached
from tenants.models import Allowance, ProviderInstance, Tenant, UsageCounter
from tests import factories
from tests.conftest import PASSWORD

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def give(tenant, **facts) -> Plan:
    """Give a tenant a plan with these limits, by hand."""
    plan, _new = Plan.objects.update_or_create(
        code="given", defaults={"name_fr": "Donné", "name_en": "Given", **facts}
    )
    row, _new = Subscription.objects.of(tenant).get_or_create(tenant_id=tenant.number)
    row.plan_by_hand = plan
    row.save()
    entitling.write(row)
    directory.forget()
    return plan


def close(tenant, reason: str) -> None:
    """The tenant may only read, for this reason."""
    give(tenant)
    Allowance.objects.of(tenant).update(closed_reason=reason)
    directory.forget()


@pytest.fixture
def conversation(inside):
    return factories.make_conversation(inside)


def test_without_billing_nothing_is_limited(tenant, settings):
    assert settings.STRIPE_SECRET_KEY == ""
    assert limits.allowance_of(tenant.number) is limits.UNLIMITED


def test_with_billing_everybody_has_the_free_plan_until_they_buy(stripe, tenant, team_plan):
    free = Plan.objects.get(is_free=True)

    assert limits.allowance_of(tenant.number).messages == free.max_messages
    row = Subscription(tenant=tenant, plan=team_plan, status="active")
    row.save()
    entitling.write(row)
    directory.forget()

    assert limits.allowance_of(tenant.number).messages == team_plan.max_messages


def test_plan_by_hand_counts_before_what_was_bought(stripe, tenant, bought):
    give(tenant, max_messages=5)
    assert limits.allowance_of(tenant.number).messages == 5

    bought.refresh_from_db()
    bought.plan_by_hand = None
    bought.save()
    entitling.write(bought)
    directory.forget()

    assert limits.allowance_of(tenant.number).messages == bought.plan.max_messages


def test_what_was_bought_does_not_count_once_billing_is_gone(stripe, tenant, bought, settings):
    settings.STRIPE_SECRET_KEY = ""

    assert limits.allowance_of(tenant.number) is limits.UNLIMITED


def test_changed_plan_counts_at_once_for_whoever_has_it(stripe, tenant, bought, team_plan):
    team_plan.max_messages = 7
    team_plan.save()
    entitling.write_all_of(team_plan)
    directory.forget()

    assert limits.allowance_of(tenant.number).messages == 7


def test_message_over_the_limit_is_refused_with_the_numbers(conversation, inside, other_tenant):
    give(inside, max_messages=2)
    give_other = UsageCounter(tenant=other_tenant, kind="messages", period="2026-11", used=99)
    give_other.save()
    for text in ("1", "2"):
        outbox.queue(conversation, text, origin="person", now=NOON)

    with pytest.raises(LimitReached) as refusal, translation.override("en"):
        outbox.queue(conversation, "3", origin="api", now=NOON)

    facts = refusal.value.facts
    assert (refusal.value.code, facts["limit"], facts["used"], facts["left"]) == (
        "limit_messages", 2, 2, 0,
    )  # fmt: skip
    assert facts["reset_at"].isoformat() == "2026-12-01T00:00:00+01:00"
    assert refusal.value.message == (
        "Your plan has 2 messages a month: 2 used, 0 left. It starts again on Dec. 1, 2026."
        " The owner can change the plan under Subscription."
    )
    assert Message.objects.filter(direction="out").count() == 2


def test_repeated_message_counts_once(conversation, inside):
    give(inside, max_messages=1)
    reference = "7b0c1b7e-2f0a-4a53-9d2b-0d8f3b5a9c11"

    first = outbox.queue(conversation, "1", origin="api", reference=reference)

    assert outbox.queue(conversation, "1", origin="api", reference=reference) == first


def test_rolled_back_message_does_not_count(conversation, inside):
    with pytest.raises(RuntimeError), transaction.atomic():
        outbox.queue(conversation, "1", origin="person")
        raise RuntimeError

    assert limits.meter(inside.number, Kind.MESSAGES).used == 0


def test_month_begins_again_in_the_tenants_time_zone(tenant):
    just_before = datetime(2026, 11, 30, 22, 59, tzinfo=UTC)

    assert limits.period_of(tenant.number, Kind.MESSAGES, just_before) == "2026-11"
    after = just_before + timedelta(minutes=2)
    assert limits.period_of(tenant.number, Kind.MESSAGES, after) == "2026-12"


@pytest.mark.parametrize(
    ("origin", "feature"), [("automation", "automation"), ("campaign", "campaigns")]
)
def test_feature_that_is_not_in_the_plan_is_refused(conversation, inside, origin, feature):
    give(inside, features=[])

    with pytest.raises(LimitReached) as refusal:
        outbox.queue(conversation, "1", origin=origin)

    assert (refusal.value.code, refusal.value.facts) == ("feature_missing", {"feature": feature})
    assert outbox.queue(conversation, "1", origin="person").status == "queued"


def test_one_more_person_than_the_plan_has_room_for_is_refused(inside):
    give(inside, max_users=5)
    User.objects.create_user("fifth@vendor-001.test", PASSWORD)

    with pytest.raises(LimitReached) as refusal:
        User.objects.create_user("sixth@vendor-001.test", PASSWORD)

    assert (refusal.value.code, refusal.value.facts["used"]) == ("limit_users", 5)
    assert User.objects.create_user("off@vendor-001.test", PASSWORD, is_active=False).pk
    assert User.objects.filter(is_active=True).count() == 5


def test_staff_are_not_counted(db):
    assert User.objects.create_superuser("more@amda.test", PASSWORD).pk


def test_one_more_number_than_the_plan_has_room_for_is_refused(tenant, instance):
    give(tenant, max_instances=1)
    values = {"api_key": "k", "webhook_secret": "s", "session_id": "new"}

    with pytest.raises(LimitReached) as refusal:
        connecting.connect_instance(tenant, "wasender", address="+221700000009", values=values)

    assert refusal.value.code == "limit_instances"
    assert ProviderInstance.objects.of(tenant).count() == 1
    same = connecting.connect_instance(tenant, "wasender", address=instance.address, values=values)
    assert same.pk == instance.pk


def upload(content: bytes):
    return SimpleUploadedFile("a.txt", content, "text/plain")


def test_file_over_the_limit_is_refused_and_keeps_no_row(inside, agent):
    give(inside, max_storage_mb=1)
    media.take(upload(b"a" * 600_000), by=agent)

    with pytest.raises(LimitReached) as refusal:
        media.take(upload(b"b" * 600_000), by=agent)

    assert (refusal.value.code, refusal.value.facts["used"]) == ("limit_storage", 600_000)
    assert MessageFile.objects.count() == 1


def test_same_file_takes_its_room_once_and_gives_it_back(inside, agent):
    first = media.take(upload(b"a" * 1000), by=agent)
    second = media.take(upload(b"a" * 1000), by=agent)
    assert limits.meter(inside.number, Kind.STORAGE).used == 1000

    for file in (first, second):
        file.refresh_from_db()
        path = file.path
        media.drop(file)
    media.discard([path])

    assert limits.meter(inside.number, Kind.STORAGE).used == 0


CLOSING = ["past_due", "unpaid", "canceled", "paused"]


@pytest.mark.parametrize("reason", CLOSING)
def test_closed_tenant_neither_sends_nor_adds(conversation, inside, agent, reason):
    close(inside, reason)
    attempts = [
        lambda: outbox.queue(conversation, "1", origin="person"),
        lambda: outbox.queue(conversation, "1", origin="automation"),
        lambda: outbox.start("+221701112233", "1", origin="api"),
        lambda: media.take(upload(b"a"), by=agent),
        lambda: User.objects.create_user("new@vendor-001.test", PASSWORD),
        lambda: connecting.connect_instance(
            inside,
            "wasender",
            address="+221700000009",
            values={"api_key": "k", "webhook_secret": "s", "session_id": "new"},
        ),
    ]

    for attempt in attempts:
        with pytest.raises(LimitReached) as refusal:
            attempt()
        assert refusal.value.code == f"subscription_{reason}"
        assert refusal.value.message == limits.CLOSED[reason]
    assert Message.objects.filter(direction="out").count() == 0


def test_closing_waits_for_the_days_of_grace(tenant):
    give(tenant)
    later = timezone.now() + timedelta(days=3)
    Allowance.objects.of(tenant).update(closed_reason="past_due", closed_from=later)
    directory.forget()

    assert limits.closed_reason(tenant.number) == ""
    assert limits.closed_reason(tenant.number, later) == "past_due"
    assert limits.closes_at(tenant.number) == later


def test_what_waited_when_a_tenant_was_closed_fails_and_says_so(conversation, inside, monkeypatch):
    monkeypatch.setattr(delivering, "open_via", None)
    message = outbox.queue(conversation, "1", origin="person")
    close(inside, "unpaid")

    delivering.drain(inside.number, conversation.instance_id)

    message.refresh_from_db()
    assert (message.status, message.error_code) == ("failed", "subscription_unpaid")
    Allowance.objects.of(inside).update(closed_reason="")
    directory.forget()
    assert outbox.retry(message).status == "queued"


def test_suspended_tenant_is_closed_whatever_it_bought(conversation, inside):
    Tenant.objects.filter(pk=inside.pk).update(state=Tenant.State.SUSPENDED)
    directory.changed()

    with pytest.raises(LimitReached) as refusal:
        outbox.queue(conversation, "1", origin="person")

    assert refusal.value.code == "tenant_suspended"


@pytest.mark.parametrize("reason", CLOSING)
def test_closed_tenant_still_takes_everything_in(conversation, inside, reason):
    from messaging import inbox
    from tests.messaging.test_ingest import deliver, received

    close(inside, reason)

    deliver(inside, received(text="Encore là ?"))
    inbox.drain(inside.number)

    assert Message.objects.filter(direction="in", text="Encore là ?").count() == 1


def jobs() -> list[dict]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT args FROM public.procrastinate_jobs WHERE task_name = 'amda.tell_usage'"
            " ORDER BY id"
        )
        return [json.loads(args) for (args,) in cursor.fetchall()]


def test_owners_are_told_at_80_and_at_100_percent(conversation, inside, other_tenant):
    give(inside, max_messages=10)
    for number in range(10):
        outbox.queue(conversation, str(number), origin="person")
    told = jobs()

    for each in [*told, *told]:
        telling.send_usage(each["tenant"], each["kind"], each["period"], each["percent"])

    assert [each["percent"] for each in told] == [80, 100]
    assert [(each.to, each.subject) for each in mail.outbox] == [
        (["owner@vendor-001.test"], "Shop vendor_001 : 80 % de « Messages ce mois-ci » utilisés"),
        (["owner@vendor-001.test"], "Shop vendor_001 : 100 % de « Messages ce mois-ci » utilisés"),
    ]
    assert "http://vendor-001.localhost:8000/billing/" in mail.outbox[0].body


def test_forecast_says_when_nothing_will_be_left():
    reset = datetime(2026, 12, 1, tzinfo=UTC)
    meter = limits.Meter(Kind.MESSAGES, 600, 1000, reset)
    tenth = datetime(2026, 11, 16, tzinfo=UTC)

    found = usage.forecast(meter, tenth)

    assert (found.expected, found.reached_at) == (1200, datetime(2026, 11, 26, tzinfo=UTC))
    assert usage.forecast(limits.Meter(Kind.MESSAGES, 400, 1000, reset), tenth).reached_at is None
    assert usage.forecast(meter, datetime(2026, 11, 1, 6, tzinfo=UTC)) is None
    assert usage.forecast(limits.Meter(Kind.USERS, 3, 5), tenth) is None


def test_rights_of_another_tenant_are_not_touched(tenant, other_tenant):
    give(tenant, max_messages=1)

    assert limits.allowance_of(other_tenant.number) is limits.UNLIMITED
    with context.entered(other_tenant):
        assert User.objects.create_user("more@vendor-002.test", PASSWORD).pk
