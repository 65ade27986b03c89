"""Reading what clients send."""

import json


def json_object(raw: bytes) -> dict:
    """The JSON object in a request body; `ValueError` says what else it is.

    Numbers that are none and halves of characters are refused here: they would be stored or
    posted on as something that no JSON reader accepts.
    """
    try:
        body = json.loads(raw, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("The body is nested too deeply.") from None
    except ValueError:
        raise ValueError("The body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise ValueError("The body must be an object.")
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("The body is not valid Unicode.") from None
    return body


def _refuse_constant(name: str):
    raise ValueError(f"{name} is not JSON")
