"""What the one-command run says in the terminal it was started in."""

import os
import shlex
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TAIL_LINES = 15
LABELS = {"dashboard", "admin", "sandbox", "mail", "api"}  # addresses we have a word for

TEXTS = {
    "fr": {
        "bad_port": "{name} doit être un nombre entre 1 et 65535, pas « {value} ».",
        "port_taken": "Le port {port} est déjà pris : libérez-le, ou choisissez-en un autre "
        "avec {name}={other}.",
        "port_refused": "Le port {port} est refusé à cet utilisateur ({reason}) : "
        "choisissez-en un autre avec {name}={other}.",
        "running": "AMDA tourne déjà (ou s’arrête encore) sur {data_dir} : arrêtez-le, ou "
        "choisissez un autre dossier avec AMDA_DATA_DIR.",
        "unusable": "Le dossier {data_dir} n’est pas utilisable ({reason}) : choisissez-en un "
        "autre avec AMDA_DATA_DIR.",
        "preparing": "Préparation de la base…",
        "failed": "« {command} » a échoué ; ses dernières lignes (suite dans {log}) :\n{tail}",
        "stillborn": "{name} ne démarre pas ; ses dernières lignes (suite dans {log}) :\n{tail}",
        "silent": "Le serveur ne répond pas encore après {seconds} s : voyez {log}.",
        "died": "{name} s’est arrêté ({how}) ; nouveau départ dans {pause} s, voyez {log}.",
        "code": "code {number}",
        "signal": "signal {number}",
        "database_back": "PostgreSQL s’était arrêté ; il tourne de nouveau.",
        "more": "{name}: {count} lignes de plus dans {log}.",
        "stopping": "Arrêt…",
        "stopped": "Tout est arrêté.",
        "ready": "AMDA est prêt",
        "sign_in": "Connexion",
        "forgotten": "Mots de passe déjà donnés. Pour en faire de nouveaux :",
        "once": "Ces mots de passe ne seront plus affichés.",
        "quit": "Ctrl-C arrête tout. Journaux : {logs}",
        "dashboard": "Tableau de bord",
        "admin": "Administration",
        "sandbox": "Téléphone d’essai",
        "mail": "Courriels envoyés",
        "api": "API",
    },
    "en": {
        "bad_port": "{name} must be a number between 1 and 65535, not “{value}”.",
        "port_taken": "Port {port} is already taken: free it, or choose another with "
        "{name}={other}.",
        "port_refused": "Port {port} is refused to this user ({reason}): choose another with "
        "{name}={other}.",
        "running": "AMDA already runs (or is still stopping) on {data_dir}: stop it, or choose "
        "another folder with AMDA_DATA_DIR.",
        "unusable": "The folder {data_dir} cannot be used ({reason}): choose another with "
        "AMDA_DATA_DIR.",
        "preparing": "Preparing the database…",
        "failed": "“{command}” failed; its last lines (more in {log}):\n{tail}",
        "stillborn": "{name} does not start; its last lines (more in {log}):\n{tail}",
        "silent": "The server does not answer yet after {seconds} s: see {log}.",
        "died": "{name} stopped ({how}); it starts again in {pause} s, see {log}.",
        "code": "code {number}",
        "signal": "signal {number}",
        "database_back": "PostgreSQL had stopped; it runs again.",
        "more": "{name}: {count} more lines in {log}.",
        "stopping": "Stopping…",
        "stopped": "Everything is stopped.",
        "ready": "AMDA is ready",
        "sign_in": "Sign in",
        "forgotten": "Passwords were given before. To make new ones:",
        "once": "These passwords will not be shown again.",
        "quit": "Ctrl-C stops everything. Logs: {logs}",
        "dashboard": "Dashboard",
        "admin": "Admin",
        "sandbox": "Test phone",
        "mail": "Mail sent",
        "api": "API",
    },
}


def say(key: str, **facts: Any) -> str:
    """One of our sentences, in English where the terminal is English, else in French."""
    chosen = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    language = "en" if next(filter(None, chosen), "").startswith("en") else "fr"
    return TEXTS[language][key].format(**facts)


def tell(text: object) -> None:
    """Print to whoever started us, should they still be there to read it."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError:
        # The terminal or pipe is gone. The run is not: a signal ends it, not a lost reader.
        sys.stdout = open(os.devnull, "w")


def last_lines(text: str) -> str:
    """The last lines of what a program said, set in."""
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines()[-TAIL_LINES:])


def summary(made: dict[str, Any], data_dir: Path) -> str:
    """That all is ready: the addresses, and who signs in with what."""
    addresses = {_label(key): address for key, address in made["addresses"].items()}
    sign_ins = [
        [entry["who"], entry["email"], entry.get("password") or "", entry["url"]]
        for entry in made["sign_ins"]
    ]
    lines = ["", f"  {say('ready')}", ""]
    lines += _columns([[label, address] for label, address in addresses.items()])
    lines += ["", f"  {say('sign_in')}", *_columns(sign_ins), ""]
    if any(entry.get("password") for entry in made["sign_ins"]):
        lines += [f"  {say('once')}"]
    else:
        lines += [f"  {say('forgotten')}", f"    {_new_passwords_command(data_dir)}"]
    lines += [f"  {say('quit', logs=data_dir / 'logs')}", ""]
    return "\n".join(lines)


def _label(key: str) -> str:
    return say(key) if key in LABELS else key


def _columns(rows: list[list[str]]) -> list[str]:
    rows = [[cell for cell, used in zip(row, _used(rows), strict=True) if used] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["    " + "   ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _used(rows: list[list[str]]) -> list[bool]:
    return [any(column) for column in zip(*rows, strict=True)]


def _new_passwords_command(data_dir: Path) -> str:
    python = os.path.relpath(sys.executable, ROOT)
    command = f"{shlex.quote(python)} manage.py prepare_demo --new-passwords"
    return f"AMDA_DATA_DIR={shlex.quote(str(data_dir))} {command}"
