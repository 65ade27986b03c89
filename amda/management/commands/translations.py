"""Brings the catalogues in line with what the code says, without gettext's programs."""

import io
from pathlib import Path

import polib
from babel.messages.extract import extract_python
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation.template import templatize

PYTHON_FOLDERS = ("amda", "tenants", "messaging", "alerts", "billing")
KEYWORDS = {
    "gettext": (1,),
    "gettext_lazy": (1,),
    "_": (1,),
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
COMMENT_TAGS = ("Translators",)
HEADER = {
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Transfer-Encoding": "8bit",
    "MIME-Version": "1.0",
    "Plural-Forms": "nplurals=2; plural=(n > 1);",
}


class Command(BaseCommand):
    help = "Update every language's catalogue from the code and compile it; --check only looks."

    def add_arguments(self, parser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="Change nothing; fail and name what is missing, fuzzy, unused or not compiled.",
        )

    def handle(self, *args, check: bool, **options) -> None:
        said = found_in_code(settings.BASE_DIR)
        for catalogue_path in catalogues():
            if check:
                self._check(catalogue_path, said)
            else:
                self._update(catalogue_path, said)

    def _check(self, path: Path, said: dict) -> None:
        problems = problems_of(path, said)
        if problems:
            raise CommandError("\n".join([f"{path.relative_to(settings.BASE_DIR)}:", *problems]))
        self.stdout.write(f"{path.parent.parent.name}: {len(said)} entries, all translated")

    def _update(self, path: Path, said: dict) -> None:
        catalogue = updated(path, said)
        catalogue.save(str(path))
        path.with_suffix(".mo").write_bytes(catalogue.to_binary())
        missing = len(catalogue.untranslated_entries()) + len(catalogue.fuzzy_entries())
        self.stdout.write(f"{path.parent.parent.name}: {len(catalogue)} entries, {missing} to do")


def catalogues() -> list[Path]:
    """One catalogue for each language but English, which the code itself speaks."""
    return [
        Path(folder) / code / "LC_MESSAGES" / "django.po"
        for folder in settings.LOCALE_PATHS
        for code, _ in settings.LANGUAGES
        if code != "en"
    ]


def found_in_code(root: Path) -> dict[tuple, polib.POEntry]:
    """Every sentence that Python and the templates mark, by (context, text)."""
    said: dict[tuple, polib.POEntry] = {}
    for path in _sources(root):
        source = path.read_text()
        if path.suffix != ".py":
            source = _as_python(templatize(source, origin=str(path)))
        for line, function, message, comments in extract_python(
            io.BytesIO(source.encode()), KEYWORDS, COMMENT_TAGS, {"encoding": "utf-8"}
        ):
            _add(said, function, message, comments, (str(path.relative_to(root)), str(line)))
    return said


def updated(path: Path, said: dict) -> polib.POFile:
    """The catalogue with what the code says now, translations that exist kept."""
    known = {_key(entry): entry for entry in _read(path)}
    catalogue = polib.POFile(wrapwidth=96)
    catalogue.metadata = {**HEADER, "Language": path.parent.parent.name}
    for key in sorted(said, key=lambda key: (said[key].occurrences[0], key[1])):
        entry = said[key]
        if key in known:
            entry.msgstr = known[key].msgstr
            entry.msgstr_plural = known[key].msgstr_plural
            entry.flags += [flag for flag in known[key].flags if flag == "fuzzy"]
        # Without line numbers, so that a moved line is not a changed catalogue.
        entry.occurrences = sorted({(file, "") for file, _ in entry.occurrences})
        catalogue.append(entry)
    return catalogue


def problems_of(path: Path, said: dict) -> list[str]:
    """What stands between a catalogue and being whole, a line each."""
    known = {_key(entry): entry for entry in _read(path)}
    problems = [f"not extracted: {key[1]!r}" for key in said if key not in known]
    problems += [f"no longer used: {key[1]!r}" for key in known if key not in said]
    for entry in known.values():
        if entry.fuzzy:
            problems.append(f"fuzzy: {entry.msgid!r}")
        elif not entry.translated():
            problems.append(f"not translated: {entry.msgid!r}")
    compiled = path.with_suffix(".mo")
    if not compiled.exists() or compiled.read_bytes() != _read(path).to_binary():
        problems.append("the compiled file is older than the catalogue: run `translations`")
    return problems


def _sources(root: Path) -> list[Path]:
    python = [path for folder in PYTHON_FOLDERS for path in (root / folder).rglob("*.py")]
    templates = [path for path in (root / "templates").rglob("*.*") if path.is_file()]
    inner = [
        path for folder in PYTHON_FOLDERS for path in (root / folder).rglob("templates/**/*.*")
    ]
    kept = {path for path in (*python, *templates, *inner) if "migrations" not in path.parts}
    return sorted(path for path in kept if path.suffix in {".py", ".html", ".txt", ".subject"})


def _as_python(templatized: str) -> str:
    # Indentation means nothing in a template and everything to Python's tokenizer.
    return "\n".join(line.strip() for line in templatized.split("\n"))


def _read(path: Path) -> polib.POFile:
    return polib.pofile(str(path), wrapwidth=96) if path.exists() else polib.POFile(wrapwidth=96)


def _key(entry: polib.POEntry) -> tuple:
    return entry.msgctxt, entry.msgid


def _add(said: dict, function: str, message, comments, occurrence) -> None:
    spec = KEYWORDS[function]
    parts = message if isinstance(message, tuple) else (message,)
    if not isinstance(parts[0], str):
        return
    context, texts = None, list(parts)
    if isinstance(spec[0], tuple):
        context, texts = texts[0], texts[1:]
    plural = texts[1] if len(spec) - bool(context) > 1 else ""
    entry = said.setdefault(
        (context, texts[0]),
        polib.POEntry(
            msgctxt=context,
            msgid=texts[0],
            msgid_plural=plural,
            msgstr_plural={0: "", 1: ""} if plural else {},
            comment="\n".join(comments),
            flags=["python-format"] if "%(" in texts[0] else [],
        ),
    )
    entry.occurrences.append(occurrence)
