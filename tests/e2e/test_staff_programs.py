"""The examples of `docs/vendors.md`, run as they stand against the running product."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import PASSWORD
from tests.fakes import wasender
from tests.fakes.serving import running
from tests.processes import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.processes]

EMAIL = "programs@amda.example"
PREPARE = f"""
from tenants.accounts.models import Role, User
User.objects.create_user('{EMAIL}', '{PASSWORD}', role=Role.STAFF)
"""
EXAMPLES = dict(
    re.findall(
        r"^```(sh|js|python)\n(.*?)^```", (ROOT / "docs" / "vendors.md").read_text(), re.M | re.S
    )
)


@pytest.fixture(scope="module")
def facts(product):
    """What the examples are told, as environment variables."""
    product.manage("shell", "--no-imports", "-c", PREPARE)
    with running("tests.fakes.wasender") as fake:
        fake.set(sessions={"instance_1": {**wasender.session(1), "api_key": "the-key"}})
        yield {
            "AMDA": f"http://localhost:{product.port}",
            "EMAIL": EMAIL,
            "PASSWORD": PASSWORD,
            "WASENDER": f"{fake.url}/api",
        }


def run(command: list[str], facts: dict[str, str]) -> str:
    environment = {"PATH": os.environ["PATH"], **facts}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl_example_connects_a_vendor(facts):
    facts = {**facts, "SLUG": "by_curl", "PHONE": "+221709911001"}

    printed = run(["bash", "-c", EXAMPLES["sh"]], facts)

    last = json.loads(printed[printed.rindex("{") :])
    assert (last["status"], last["phoneNumber"]) == ("connected", "+221709911001")


def test_python_example_connects_a_vendor(facts):
    facts = {**facts, "SLUG": "by_python", "PHONE": "+221709911002"}

    printed = run([sys.executable, "-c", EXAMPLES["python"]], facts)

    assert json.loads(printed) | {"instance": 0} == {
        "status": "connected",
        "phoneNumber": "+221709911002",
        "reason": "",
        "instance": 0,
    }


def test_javascript_example_connects_a_vendor(facts, context):
    facts = {**facts, "SLUG": "by_javascript", "PHONE": "+221709911003"}
    page = context.new_page()
    page.goto(f"{facts['AMDA']}/health")
    said = []
    page.on("console", lambda message: said.append(message.text))

    page.evaluate(
        "async ([env, code]) => { globalThis.process = { env };"
        " await (Object.getPrototypeOf(async () => {}).constructor)(code)(); }",
        [facts, EXAMPLES["js"]],
    )

    assert json.loads(said[-1])["phoneNumber"] == "+221709911003"
    assert json.loads(said[-1])["status"] == "connected"
