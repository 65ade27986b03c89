"""An erased vendor is found nowhere: a marker in all it had, looked for in everything there is."""

from django.core.cache import cache

from tenants import audit, context, onboarding
from tenants.accounts.models import AuditEntry, User
from tenants.models import Undertaking, WebhookDelivery
from tests.amda.test_undertakings import act, deliver, files, fill, run_ordered
from tests.messaging.test_erasing import Search

__all__ = ["files"]

MARKER = "Zanzibar 4711 at noon"
State = WebhookDelivery.State


def test_erased_vendor_is_found_nowhere_and_the_certificate_says_what_there_was(
    files, committed, client_for
):
    tenant = committed("leaving_shop", country="FR")
    staff = User.objects.get(role="staff")
    as_staff = client_for(None, staff)
    page = f"/admin/tenants/tenant/{tenant.pk}/change/"
    facts = {"name": MARKER, "language": "fr", "time_zone": "Europe/Paris", "default_country": "FR"}
    assert as_staff.post(page, facts).status_code == 302
    as_staff.post(act(tenant, "suspend"), {"reason": MARKER})
    fill(tenant, MARKER)
    deliver(tenant, State.DONE, MARKER.encode())
    with context.entered(tenant):
        cache.set("key", MARKER)
        audit.record("tenant.changed", by=None, after={"name": MARKER})
    as_staff.post(act(tenant, "export"), {"reason": MARKER})
    run_ordered()
    everywhere = Search(MARKER, files)
    assert everywhere.finds() >= {"dump, as text", "a stored delivery", "a file"}

    answer = as_staff.post(act(tenant, "erase"), {"slug": "leaving_shop", "reason": MARKER})
    assert run_ordered() == 1

    assert everywhere.finds() == set()
    made = Undertaking.objects.get(tenant_number=tenant.number)
    assert made.state == Undertaking.State.DONE
    removed = made.outcome["removed"]
    assert removed["schema"]["messaging_message"] == 1
    assert removed["shared"]["tenants_webhookdelivery"] == 1
    assert removed["files"] == 2
    assert made.outcome["left"] == onboarding.leftovers(tenant.number) == []
    certificate = as_staff.get(answer.url).content.decode()
    assert "leaving_shop" in certificate
    assert "messaging_message" in certificate
    acts = AuditEntry.objects.filter(tenant_number=tenant.number).values_list("act", flat=True)
    assert "tenant.erasure_ordered" in acts
    Undertaking.objects.all().delete()
