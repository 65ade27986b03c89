"""Lists that grow, page by page: never a count, never an offset."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from tenants.api.parsing import LARGEST_ID

PAGE = 30
LARGEST_PAGE = 100


class PageAsked(serializers.Serializer):
    """How much of a list is wanted."""

    limit = serializers.IntegerField(default=PAGE, min_value=1, max_value=LARGEST_PAGE)


class PageById(PageAsked):
    """The same, for lists in the order of ids: `after` is the last id of the page before."""

    after = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)


def page(request: Request, results: Iterable[Any], parameter: str, cursor: Any) -> Response:
    """One page; `next` is the address of the one after it, null at the end."""
    following = None
    if cursor is not None:
        following = replace_query_param(request.build_absolute_uri(), parameter, str(cursor))
    return Response({"results": results, "next": following})


def rows_by_id(rows: QuerySet, after: int | None, limit: int) -> tuple[list[Any], int | None]:
    """The rows after an id, oldest first, and the id that the next page starts after."""
    ordered = rows.order_by("pk")
    if after is not None:
        ordered = ordered.filter(pk__gt=after)
    found = list(ordered[: limit + 1])
    return found[:limit], found[limit - 1].pk if len(found) > limit else None
