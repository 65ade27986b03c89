"""Where the database is, for the parts that speak to it without Django's ORM."""

import logging
import sys

import psycopg
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection

from amda import embedded

logger = logging.getLogger(__name__)


def bring_up() -> None:
    """Hold the embedded PostgreSQL for this process, where no DATABASE_URL names another.

    Ends the process with one sentence when it, or a setting, is wrong.
    """
    try:
        if not settings.DATABASE_URL:
            embedded.hold(settings.DATA_DIR)
    except (embedded.EmbeddedError, ImproperlyConfigured) as exc:
        sys.exit(str(exc))


def require_whole_schemas() -> None:
    """End the process with one sentence when a tenant's schema lacks a table.

    While the database is away nobody can be answered wrongly either: the process starts, and
    answers 503 until it is back.
    """
    from tenants import schema

    try:
        schema.require_whole()
    except schema.Incomplete as exc:
        sys.exit(str(exc))
    except DatabaseError as exc:
        logger.warning("the schemas could not be looked at: %s", type(exc).__name__)
    finally:
        connection.close()


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
