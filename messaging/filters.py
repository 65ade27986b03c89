"""What a list of conversations is narrowed to, as the address of the page says it."""

from dataclasses import dataclass, replace
from urllib.parse import urlencode

from django.http import QueryDict

VIEWS = ("mine", "unassigned", "all", "closed")
LONGEST_SEARCH = 100
_LONGEST_ID = 18


@dataclass(frozen=True)
class Filters:
    """A view, and within it one number, one person's, leads of one stage or with one tag, VIPs,
    the unread ones, or what is looked for."""

    view: str = "all"
    number: int | None = None
    person: int | None = None
    stage: int | None = None
    tag: int | None = None
    vip: bool = False
    unread: bool = False
    text: str = ""

    @classmethod
    def read(cls, asked: QueryDict) -> "Filters":
        """The filters in an address; what makes no sense there narrows nothing."""
        view = asked.get("view", "all")
        return cls(
            view=view if view in VIEWS else "all",
            number=_id(asked.get("number")),
            person=_id(asked.get("person")),
            stage=_id(asked.get("stage")),
            tag=_id(asked.get("tag")),
            vip=asked.get("vip") == "1",
            unread=asked.get("unread") == "1",
            text=asked.get("q", "").strip()[:LONGEST_SEARCH],
        )

    @property
    def address(self) -> str:
        """These filters in an address, whatever is not asked for left out."""
        said = {
            "view": self.view if self.view != "all" else None,
            "number": self.number,
            "person": self.person,
            "stage": self.stage,
            "tag": self.tag,
            "vip": "1" if self.vip else None,
            "unread": "1" if self.unread else None,
            "q": self.text or None,
        }
        return urlencode({name: value for name, value in said.items() if value is not None})

    @property
    def address_of_any_number(self) -> str:
        return replace(self, number=None).address

    @property
    def address_of_anybody(self) -> str:
        return replace(self, person=None).address

    @property
    def address_of_any_stage(self) -> str:
        return replace(self, stage=None).address

    @property
    def address_of_any_tag(self) -> str:
        return replace(self, tag=None).address

    @property
    def address_of_others_too(self) -> str:
        return replace(self, vip=False).address

    @property
    def address_of_read_too(self) -> str:
        return replace(self, unread=False).address

    @property
    def address_of_view(self) -> str:
        """The view and what is looked for alone."""
        return replace(NO_FILTERS, view=self.view, text=self.text).address

    @property
    def address_among_leads(self) -> str:
        """As much of it as the list of leads can be narrowed to."""
        return replace(self, view="all", number=None, person=None, unread=False).address

    @property
    def narrows(self) -> bool:
        """Whether more than a view is asked for."""
        return self.address_of_view != self.address


NO_FILTERS = Filters()


def _id(text: str | None) -> int | None:
    known = text and text.isdecimal() and len(text) <= _LONGEST_ID
    return int(text) if known else None
