"""What is easily forgotten: migrations and translations."""

from django.core.management import call_command


def test_migrations_are_complete(db):
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_translations_are_complete():
    call_command("translations", check=True)
