"""The environment of a test run, set before Django reads its settings.

Each worker process gets an embedded PostgreSQL of its own in a folder of its own.
"""

import atexit
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet

from amda import embedded


def own_data_dir() -> Path:
    """A new folder that PostgreSQL's user can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="amda-test-"))
    folder.chmod(0o755)
    return folder


def _prepare() -> None:
    folder = own_data_dir()
    os.environ.update(
        AMDA_DATA_DIR=str(folder),
        DEBUG="true",
        ENVIRONMENT="test",
        SECRET_KEY=secrets.token_urlsafe(60),
        FIELD_KEYS=Fernet.generate_key().decode(),
        LOG_LEVEL="info",
    )
    os.environ.pop("DATABASE_URL", None)
    atexit.register(_clean_up, folder)
    embedded.hold(folder)


def _clean_up(folder: Path) -> None:
    embedded.release()
    shutil.rmtree(folder, ignore_errors=True)


if "AMDA_TEST_OWNER" not in os.environ or os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["AMDA_TEST_OWNER"] = str(os.getpid())
    _prepare()
