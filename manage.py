#!/usr/bin/env python
"""Django's command line, on the embedded PostgreSQL where no other is configured."""

import os
import sys

# The doctor brings it up itself, to say what is wrong where it does not come.
WITHOUT_DATABASE = {
    "help", "version", "--help", "--version", "translations", "collectstatic", "doctor",
}  # fmt: skip


def main() -> None:
    """Run one management command; the database is up before it starts."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "amda.settings")
    from django.core.management import execute_from_command_line

    from amda import database

    if sys.argv[1:2] == ["generate_secrets"]:
        # Its answer is what the settings cannot do without.
        from amda.management.commands.generate_secrets import Command

        Command().run_from_argv(sys.argv)
        return
    if len(sys.argv) > 1 and sys.argv[1] not in WITHOUT_DATABASE:
        database.bring_up()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
