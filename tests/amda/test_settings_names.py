"""Every variable the settings read is documented, and nothing else is."""

import ast
import io
import re

import pytest
from django.conf import settings
from django.core.management import call_command

ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]*)` \| (.+?) \|", re.MULTILINE)


def _text(path):
    return (settings.BASE_DIR / path).read_text(encoding="utf-8")


def _variables():
    """The names that the settings read, and whether each has a default."""
    found = {}
    for call in ast.walk(ast.parse(_text("amda/settings.py"))):
        if not isinstance(call, ast.Call):
            continue
        reader = ast.unparse(call.func)
        if reader == "_read":
            name, defaults = call.args[1], [*call.args[2:], *call.keywords]
        elif reader == "os.environ.get":
            name, defaults = call.args[0], [None]
        elif reader.startswith("env.") and call.args:
            name, defaults = call.args[0], [*call.args[1:], *call.keywords]
        else:
            continue
        if isinstance(name, ast.Constant):
            found[name.value] = found.get(name.value, False) or bool(defaults)
    return found


def _documented():
    """The rows of both parts of the page: (name, what its second column says)."""
    ours, theirs = _text("docs/settings.md").split("\n## Coming from the replaced systems\n")
    return ROW.findall(ours), ROW.findall(theirs)


def _systems():
    """The names of each replaced system, in the order of the page."""
    theirs = _text("docs/settings.md").split("\n## Coming from the replaced systems\n")[1]
    return [[name for name, _ in ROW.findall(part)] for part in theirs.split("\n### ")[1:]]


def test_the_parser_sees_each_way_of_reading():
    assert {"AMDA_DATA_DIR", "DEBUG", "SECRET_KEY", "EMAIL_URL", "SENTRY_DSN"} <= set(_variables())


def test_the_page_lists_exactly_what_is_read():
    assert sorted(name for name, _ in _documented()[0]) == sorted(_variables())


def test_the_example_lists_exactly_what_is_read():
    listed = re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=", _text(".env.example"), re.MULTILINE)

    assert sorted(listed) == sorted(_variables())


def test_required_is_what_has_no_default_and_what_generate_secrets_prints():
    required = {name for name, has_default in _variables().items() if not has_default}
    output = io.StringIO()

    call_command("generate_secrets", stdout=output)

    assert {name for name, default in _documented()[0] if default == "required"} == required
    always, with_compose = output.getvalue().split("# Only with compose.yaml")
    assert _set_in(always) == required
    asked = set(re.findall(r"\$\{(\w+):\?", _text("compose.yaml")))
    assert _set_in(with_compose) == asked | {"DATABASE_URL"}


def _set_in(text):
    return set(re.findall(r"^([A-Z_]+)=", text, re.MULTILINE))


def test_every_replaced_name_stands_once():
    names = [name for name, _ in _documented()[1]]

    assert names
    assert len(names) == len(set(names))


def test_replaced_names_are_in_alphabetical_order():
    for names in _systems():
        assert names == sorted(names)


@pytest.mark.parametrize(("name", "answer"), _documented()[1])
def test_what_became_of_a_replaced_name_is_true(name, answer):
    read = set(_variables())
    if answer.startswith("*same*"):
        assert name in read
    elif answer.startswith("renamed to "):
        assert re.match(r"renamed to `(\w+)`", answer)[1] in read - {name}
    elif answer.startswith(("not needed because ", "not read by this version: ")):
        assert name not in read
    else:
        assert answer.startswith("per tenant now: ")
