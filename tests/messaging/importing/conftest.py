"""Files to take in, and the commands that do."""

import io
from contextlib import closing

import pytest
from django.core.management import CommandError, call_command


@pytest.fixture
def write(tmp_path):
    """A file of these lines."""

    def written(*lines, ends="\n", encoding="utf-8", name="rows.csv"):
        path = tmp_path / name
        path.write_bytes((ends.join(lines) + ends).encode(encoding))
        return path

    return written


@pytest.fixture
def load(db):
    """What a command printed without its time, and the error it ended with, if any."""

    def loaded(command, path, *options, slug="vendor_001"):
        with closing(io.StringIO()) as printed:
            error = ""
            try:
                call_command(command, slug, str(path), *options, stdout=printed, stderr=printed)
            except CommandError as exc:
                error = str(exc)
            return [line.partition(";")[0] for line in printed.getvalue().splitlines()], error

    return loaded
