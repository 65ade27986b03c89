"""Where the sandbox listens and keeps its state, from the environment only."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

# Not configurable: a simulation that other machines can reach would be mistaken for the real thing.
HOST = "127.0.0.1"


class BadConfig(Exception):
    """A setting has a value nobody can work with; the message names it."""


@dataclass(frozen=True)
class Config:
    port: int
    data_dir: Path
    personal_token: str

    @property
    def database(self) -> Path:
        return self.data_dir / "sandbox.sqlite3"


def from_environment(environ=os.environ) -> Config:
    """Read the configuration, making the data folder and the personal token when they are new."""
    data_dir = Path(environ.get("SANDBOX_DATA_DIR") or "./var/sandbox").resolve()
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Config(
        port=_port(environ.get("SANDBOX_PORT") or "8001"),
        data_dir=data_dir,
        personal_token=environ.get("SANDBOX_PERSONAL_TOKEN") or _kept_token(data_dir),
    )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise BadConfig(f"SANDBOX_PORT must be a port number from 1 to 65535, not {text!r}.")
    return int(text)


def _kept_token(data_dir: Path) -> str:
    path = data_dir / "personal_token"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_token(path)
    token = secrets.token_urlsafe(32)
    with os.fdopen(descriptor, "w") as file:
        file.write(token)
    return token


def _read_token(path: Path) -> str:
    token = path.read_text().strip()
    if not token:
        raise BadConfig(f"{path} is empty: delete it or set SANDBOX_PERSONAL_TOKEN.")
    return token
