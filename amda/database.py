"""Where the database is, for the parts that speak to it without Django's ORM."""

import sys

import psycopg
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from amda import embedded


def bring_up() -> None:
    """Hold the embedded PostgreSQL for this process, where no DATABASE_URL names another.

    Ends the process with one sentence when it, or a setting, is wrong.
    """
    try:
        if not settings.DATABASE_URL:
            embedded.hold(settings.DATA_DIR)
    except (embedded.EmbeddedError, ImproperlyConfigured) as exc:
        sys.exit(str(exc))


def dsn() -> str:
    """The connection string of the default database, for raw psycopg connections."""
    database = settings.DATABASES["default"]
    facts = {
        "host": database.get("HOST"),
        "port": database.get("PORT"),
        "dbname": database.get("NAME"),
        "user": database.get("USER"),
        "password": database.get("PASSWORD"),
    }
    return psycopg.conninfo.make_conninfo(
        application_name="amda",
        connect_timeout=5,
        **{key: value for key, value in facts.items() if value},
    )
