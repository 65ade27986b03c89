"""Who is in the team, and as what; the last owner stays one."""

from allauth.mfa.models import Authenticator
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenants import audit, directory
from tenants.accounts.models import Role, User, person_removed, tell_rights_changed
from tenants.models import Tenant
from tenants.permissions import Action, may

MANAGED = (Role.ADMIN, Role.AGENT, Role.ASSISTANT)


class NotAllowed(Exception):
    """Why something about the team may not be done, in a sentence for people."""

    def __init__(self, message) -> None:
        super().__init__(message)
        self.message = message


def roles_for(by: User) -> list[Role]:
    """The roles this person may give: only owners make owners."""
    return [Role.OWNER, *MANAGED] if may(by, Action.MAKE_OWNERS) else list(MANAGED)


def rename(person: User, name: str) -> None:
    """Have a person called otherwise, at their own wish."""
    with transaction.atomic():
        rows = User.objects.select_for_update().filter(pk=person.pk)
        before = rows.values_list("name", flat=True).get()
        if before == name:
            return
        person.name = name
        person.save(update_fields=["name"])
        audit.record(
            "person.changed",
            by=person,
            subject=person,
            before={"name": before},
            after={"name": name},
        )


def change_role(person_id: int, role: str, *, by: User) -> User:
    """Give a person another role, or `NotAllowed`."""
    with transaction.atomic():
        person = _person_to_change(person_id, by)
        if role not in roles_for(by):
            raise NotAllowed(_("Only an owner can make somebody an owner."))
        if role != Role.OWNER:
            _keep_an_owner(person)
        before, person.role = person.role, role
        person.save(update_fields=["role"])
        audit.record(
            "person.role_changed",
            by=by,
            subject=person,
            before={"role": before},
            after={"role": role},
        )
        tell_rights_changed(person.pk)
    return person


def deactivate(person_id: int, *, by: User) -> User:
    """Close a person's access and end every token, session and open page at once."""
    with transaction.atomic():
        person = _person_to_change(person_id, by)
        if person.pk == by.pk:
            raise NotAllowed(_("You cannot close your own access: ask another owner."))
        _keep_an_owner(person)
        person.is_active = False
        person.save(update_fields=["is_active"])
        person.end_all_sign_ins()
        audit.record("person.deactivated", by=by, subject=person)
    return person


def reactivate(person_id: int, *, by: User) -> User:
    """Open a person's access again; they sign in anew. `LimitReached` where there is no room."""
    with transaction.atomic():
        person = _person_to_change(person_id, by)
        if not person.is_active:
            User.objects.require_room()
        person.is_active = True
        person.save(update_fields=["is_active"])
        audit.record("person.reactivated", by=by, subject=person)
    return person


def remove(person_id: int, *, by: User) -> User:
    """Take a person out of the team for good; what they did keeps their name.

    Their row stays without address and password, so that the address can be invited again.
    What they looked after is nobody's.
    """
    if not may(by, Action.REMOVE_PEOPLE):
        raise NotAllowed(_("Only an owner can remove somebody."))
    with transaction.atomic():
        person = _person_to_change(person_id, by)
        if person.pk == by.pk:
            raise NotAllowed(_("You cannot remove yourself: ask another owner."))
        _keep_an_owner(person)
        facts = {"email": person.email, "role": person.role}
        person_removed.send(User, user_id=person.pk)
        person.name, person.email = str(person), f"removed-{person.pk}@removed.invalid"
        person.is_active, person.removed_at = False, timezone.now()
        person.set_unusable_password()
        person.save(update_fields=["name", "email", "is_active", "removed_at", "password"])
        Authenticator.objects.filter(user=person).delete()
        person.end_all_sign_ins()
        audit.record("person.removed", by=by, subject=person, before=facts)
    return person


def require_second_step(number: int, required: bool, *, by: User) -> None:
    """Ask everybody of the tenant for a second step, or no longer; owners only."""
    if not may(by, Action.REQUIRE_SECOND_STEP):
        raise NotAllowed(_("Only an owner can decide this."))
    with transaction.atomic():
        tenant = Tenant.objects.select_for_update().get(number=number)
        before, tenant.requires_mfa = tenant.requires_mfa, required
        tenant.save(update_fields=["requires_mfa"])
        directory.changed()
        audit.record(
            "tenant.second_step_required",
            by=by,
            subject=tenant,
            before={"requires_mfa": before},
            after={"requires_mfa": required},
        )
    directory.forget()


def _person_to_change(person_id: int, by: User) -> User:
    """The person, with every owner locked: two owners must not remove each other at once."""
    owners = User.objects.select_for_update().filter(role=Role.OWNER).order_by("pk")
    owner_ids = {owner.pk for owner in owners}
    person = User.objects.select_for_update().get(pk=person_id, removed_at=None)
    if person.pk in owner_ids and not may(by, Action.MAKE_OWNERS):
        raise NotAllowed(_("Only an owner can change another owner."))
    return person


def _keep_an_owner(person: User) -> None:
    if person.role != Role.OWNER or not person.is_active:
        return
    if not User.objects.filter(role=Role.OWNER, is_active=True).exclude(pk=person.pk).exists():
        raise NotAllowed(_("A team keeps at least one owner: make somebody else an owner first."))
