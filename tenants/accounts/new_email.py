"""Another e-mail address: it counts once its owner opened the link sent to it."""

from datetime import timedelta

from django.core import signing
from django.db import IntegrityError, transaction

from tenants import audit, context
from tenants.accounts.models import User

SALT = "tenants.accounts.new_email"
GOOD_FOR = timedelta(hours=24)


def key_for(user: User, email: str) -> str:
    """What the link to a new address carries; it ends with every other sign-in of the person."""
    facts = [context.bound_to(), user.pk, user.token_version, user.email, email]
    return signing.dumps(facts, salt=SALT)


def named_by(key: str, user: User) -> str | None:
    """The new address a link of this person's is for; None for any other link."""
    try:
        *bound, email = signing.loads(key, salt=SALT, max_age=GOOD_FOR)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    here = [context.bound_to(), user.pk, user.token_version, user.email]
    return email if bound == here else None


def change(user: User, email: str) -> bool:
    """Have the person sign in with this address; False if somebody else does already."""
    before = user.email
    try:
        with transaction.atomic():
            user.email = email
            user.save(update_fields=["email"])
            audit.record(
                "person.email_changed",
                by=user,
                subject=user,
                before={"email": before},
                after={"email": email},
            )
    except IntegrityError:
        user.email = before
        return False
    return True
