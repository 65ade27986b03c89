"""Who is in the team, and as what; the last owner stays one."""

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from tenants import context, directory
from tenants.accounts.models import Role, User
from tenants.models import Tenant

MANAGED = (Role.ADMIN, Role.AGENT, Role.ASSISTANT)


class NotAllowed(Exception):
    """Why something about the team may not be done, in a sentence for people."""

    def __init__(self, message) -> None:
        super().__init__(message)
        self.message = message


def roles_for(by: User) -> list[Role]:
    """The roles this person may give: only owners make owners."""
    return [Role.OWNER, *MANAGED] if by.role == Role.OWNER else list(MANAGED)


def change_role(person_id: int, role: str, *, by: User) -> User:
    """Give a person another role, or `NotAllowed`."""
    with transaction.atomic():
        person = _person_to_change(person_id, by)
        if role not in roles_for(by):
            raise NotAllowed(_("Only an owner can make somebody an owner."))
        if role != Role.OWNER:
            _keep_an_owner(person)
        person.role = role
        person.save(update_fields=["role"])
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
    return person


def reactivate(person_id: int, *, by: User) -> User:
    """Open a person's access again; they sign in anew. `LimitReached` where there is no room."""
    with transaction.atomic():
        person = _person_to_change(person_id, by)
        if not person.is_active:
            User.objects.require_room()
        person.is_active = True
        person.save(update_fields=["is_active"])
    return person


def require_second_step(number: int, required: bool, *, by: User) -> None:
    """Ask everybody of the tenant for a second step, or no longer; owners only."""
    if by.role != Role.OWNER:
        raise NotAllowed(_("Only an owner can decide this."))
    with context.entered_public():
        Tenant.objects.filter(number=number).update(requires_mfa=required)
        directory.changed()


def _person_to_change(person_id: int, by: User) -> User:
    """The person, with every owner locked: two owners must not remove each other at once."""
    owners = User.objects.select_for_update().filter(role=Role.OWNER).order_by("pk")
    owner_ids = {owner.pk for owner in owners}
    person = User.objects.select_for_update().get(pk=person_id)
    if person.pk in owner_ids and by.pk not in owner_ids:
        raise NotAllowed(_("Only an owner can change another owner."))
    return person


def _keep_an_owner(person: User) -> None:
    if person.role != Role.OWNER or not person.is_active:
        return
    if not User.objects.filter(role=Role.OWNER, is_active=True).exclude(pk=person.pk).exists():
        raise NotAllowed(_("A team keeps at least one owner: make somebody else an owner first."))
