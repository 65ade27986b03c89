"""Who looks at the alerts: counted by person and day, so that a team knows whether it helps."""

from datetime import date, timedelta

from alerts.models import Watching
from tenants.accounts.models import Role, User

SELLERS = (Role.OWNER, Role.ADMIN, Role.AGENT)


def seen(user, day: date) -> None:
    """This person looked at the alerts today."""
    Watching.objects.bulk_create([Watching(user=user, day=day)], ignore_conflicts=True)


def rate(last: date, days: int = 7) -> tuple[int, int]:
    """How many of the team looked in the days up to this one, and how many there are."""
    sellers = User.objects.filter(is_active=True, role__in=SELLERS)
    looked = Watching.objects.filter(user__in=sellers, day__gt=last - timedelta(days=days))
    looked = looked.filter(day__lte=last)
    return looked.values("user").distinct().count(), sellers.count()
