"""`prepare_demo` makes what a development run shows: staff, a demo vendor, its test number."""

import json
import os
import secrets
import subprocess
import sys
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from messaging import connecting
from tenants import context, directory, onboarding
from tenants.accounts.models import Role, User
from tenants.models import ProviderInstance

SLUG = "demo"
NAME = "Démo"
PHONE = "+33199000001"  # from the range that is kept for fiction
STAFF_EMAIL = "staff@amda.example"
OWNER_EMAIL = "owner@demo.example"
AGENT_EMAIL = "agent@demo.example"


class Command(BaseCommand):
    help = "Makes staff, a demo vendor and its test number, and prints where and how to sign in."

    def add_arguments(self, parser):
        parser.add_argument(
            "--new-passwords", action="store_true", help="give everybody here a new password"
        )

    def handle(self, new_passwords=False, **options):
        if not settings.DEBUG:
            raise CommandError("This is for development runs: it prints passwords. DEBUG is off.")
        call_command("createcachetable", verbosity=0)
        sign_ins = [_staff(new_passwords), *_team(new_passwords)]
        if settings.SANDBOX_ENABLED:
            _connect_sandbox(directory.tenant_of_slug(SLUG))
        made = {"addresses": _addresses(), "sign_ins": sign_ins}
        self.stdout.write(json.dumps(made, ensure_ascii=False))


def _staff(new_passwords):
    password = _password_of(STAFF_EMAIL, Role.STAFF, new_passwords)
    return _sign_in("staff", STAFF_EMAIL, password, f"{settings.PUBLIC_URL}/admin/")


def _team(new_passwords):
    """The demo vendor's owner and agent, and the vendor where it is new."""
    tenant = directory.tenant_of_slug(SLUG)
    owner_password = ""
    if tenant is None:
        owner_password = _new_password()
        tenant = onboarding.create_tenant(
            SLUG, name=NAME, owner_email=OWNER_EMAIL, owner_password=owner_password
        )
    with context.entered(tenant):
        owner_password = owner_password or _password_of(OWNER_EMAIL, Role.OWNER, new_passwords)
        agent_password = _password_of(AGENT_EMAIL, Role.AGENT, new_passwords)
    url = f"{onboarding.home_url(tenant)}/"
    return [
        _sign_in("owner", OWNER_EMAIL, owner_password, url),
        _sign_in("agent", AGENT_EMAIL, agent_password, url),
    ]


def _password_of(email, role, renew):
    """The person's password where it was just made, else nothing: it is not kept anywhere."""
    user = User.objects.filter(email=email).first()
    if user and not renew:
        return ""
    password = _new_password()
    if user is None:
        User.objects.create_user(email, password, role=role)
    else:
        user.set_password(password)
        user.save(update_fields=["password"])
        user.end_all_sign_ins()
    return password


def _new_password():
    return secrets.token_urlsafe(12)


def _sign_in(who, email, password, url):
    return {"who": who, "email": email, "password": password or None, "url": url}


def _connect_sandbox(tenant):
    """An ordinary instance whose provider is the sandbox, on whichever port it now has."""
    hook = connecting.webhook_url_of(tenant, "wasender")
    session = _sandbox_session(_by_address(hook))
    instance = connecting.connect_instance(
        tenant,
        "wasender",
        address=PHONE,
        label="WhatsApp",
        values={
            "api_key": session["api_key"],
            "webhook_secret": session["webhook_secret"],
            "personal_token": session["personal_token"],
            "session_id": str(session["id"]),
            "api_url": session["api_url"],
            "signature": session["signature"],
        },
    )
    instance.state = ProviderInstance.State.CONNECTED
    instance.state_reason = ""
    instance.save(update_fields=["state", "state_reason"])
    directory.changed()


def _sandbox_session(hook):
    """Make or update the session in the sandbox's own state, through its command line."""
    folder = os.environ.get("SANDBOX_DATA_DIR") or str(settings.DATA_DIR / "sandbox")
    command = ["-m", "messaging.sandbox", "create-session", "--name", NAME, "--phone", PHONE]
    ran = subprocess.run(
        [sys.executable, *command, "--webhook-url", hook],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "SANDBOX_DATA_DIR": folder,
            "SANDBOX_PORT": str(settings.SANDBOX_PORT),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise CommandError(f"The sandbox could not make its session: {ran.stderr.strip()[-500:]}")
    return json.loads(ran.stdout)


def _by_address(url):
    # Not every machine knows the name localhost, and the run listens on this address only.
    parts = urlsplit(url)
    if parts.hostname != "localhost":
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace("localhost", "127.0.0.1", 1)))


def _addresses():
    addresses = {
        "dashboard": f"{onboarding.home_url(directory.tenant_of_slug(SLUG))}/",
        "admin": f"{settings.PUBLIC_URL}/admin/",
    }
    if settings.SANDBOX_ENABLED:
        addresses["sandbox"] = f"http://127.0.0.1:{settings.SANDBOX_PORT}/phone"
    if not settings.EMAIL_URL:
        addresses["mail"] = f"{settings.PUBLIC_URL}/mail/"
    return {**addresses, "api": f"{settings.PUBLIC_URL}/api/docs/"}
