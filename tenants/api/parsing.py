"""Reading what callers send: UTF-8 JSON, and fields that take their own JSON type only."""

import json
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

LARGEST_ID = 2**63 - 1


class JSONBody(BaseParser):
    """JSON as RFC 8259 has it: always UTF-8, no NaN, within the size limit of a request."""

    media_type = "application/json"

    def parse(self, stream, media_type=None, parser_context=None):
        # Read through the request: it enforces the size limit and keeps the bytes, which a
        # write with an Idempotency-Key is recognised by.
        raw = parser_context["request"].body
        try:
            return json.loads(raw.decode(), parse_constant=_refuse)
        except (ValueError, RecursionError) as exc:
            raise ParseError() from exc


class Text(serializers.CharField):
    """A JSON string; numbers and booleans are not taken for one."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Id(serializers.IntegerField):
    """The id of something, as a JSON number."""

    def __init__(self, **facts):
        super().__init__(min_value=1, max_value=LARGEST_ID, **facts)

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


def asked(serializer: type[serializers.Serializer], data: Any, **facts: Any) -> dict[str, Any]:
    """What a caller asked for, validated; the first thing wrong is the answer otherwise."""
    reader = serializer(data=data, **facts)
    reader.is_valid(raise_exception=True)
    return reader.validated_data


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
