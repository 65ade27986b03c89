"""Tags: which there are, and which a lead carries."""

from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from messaging.models import Lead, LeadTag, Tag
from tenants import audit

MOST_TAGS = 200


class WrongTag(Exception):
    """A tag that cannot be: why, in the reader's language."""

    def __init__(self, message: Any) -> None:
        super().__init__(str(message))
        self.message = message


def add(name: str, colour: str = "", *, by) -> Tag:
    """A new tag."""
    if Tag.objects.count() >= MOST_TAGS:
        raise WrongTag(_("There are as many tags as there can be."))
    with transaction.atomic():
        tag = _saved(Tag(name=name, colour=colour))
        audit.record("tag.added", by=by, subject=tag, after=_facts(tag))
    return tag


def change(tag: Tag, name: str, colour: str, *, by) -> Tag:
    """Call a tag otherwise, wherever it stands."""
    with transaction.atomic():
        before = _facts(Tag.objects.get(pk=tag.pk))
        tag.name, tag.colour = name, colour
        _saved(tag)
        old, new = audit.difference(before, _facts(tag))
        if new:
            audit.record("tag.changed", by=by, subject=tag, before=old, after=new)
    return tag


@transaction.atomic
def remove(tag: Tag, *, by) -> None:
    """Take a tag away from every lead, and away altogether."""
    audit.record("tag.removed", by=by, subject=tag, before=_facts(tag))
    tag.delete()


@transaction.atomic
def put_on(lead: Lead, tags: Iterable[Tag]) -> None:
    """The lead carries these tags and no others."""
    wanted = {tag.pk for tag in tags}
    mine = LeadTag.objects.filter(lead=lead)
    mine.exclude(tag__in=wanted).delete()
    rows = [LeadTag(lead=lead, tag_id=pk) for pk in sorted(wanted)]
    LeadTag.objects.bulk_create(rows, ignore_conflicts=True)


def go_along(source: Lead, target: Lead) -> list[int]:
    """Give a lead's tags to the one it is merged into; which rows moved."""
    has = LeadTag.objects.filter(lead=target).values("tag")
    moving = LeadTag.objects.filter(lead=source).exclude(tag__in=has)
    ids = list(moving.order_by("pk").values_list("pk", flat=True))
    LeadTag.objects.filter(pk__in=ids).update(lead=target)
    return ids


def come_back(source: Lead, target: Lead, moved: Iterable[int]) -> None:
    """Undo `go_along`, as far as those tags are still there."""
    LeadTag.objects.filter(pk__in=list(moved), lead=target).update(lead=source)


def _saved(tag: Tag) -> Tag:
    try:
        with transaction.atomic():
            tag.save()
    except IntegrityError as exc:
        raise WrongTag(_("There is a tag of this name already.")) from exc
    return tag


def _facts(tag: Tag) -> dict[str, Any]:
    return {"name": tag.name, "colour": tag.colour}
