"""The first page of a PDF as a picture, drawn by a process of its own.

Whoever writes to a vendor can send any PDF, and those who draw them have had faults before. So it
is drawn where there is nothing to take: without our settings, keys and connections, with bounded
memory and time. This file is that program, too, and knows nothing of the product.
"""

import io
import resource
import subprocess
import sys
import threading
from typing import IO

LONGEST_SIDE = 1024
QUALITY = 85
MOST_BYTES = 32 * 1024 * 1024
_SECONDS = 10
_MEMORY = 1024 * 1024 * 1024
# Each may take all of its memory: of many that come together one is drawn after the other.
_turn = threading.Lock()


class NotDrawn(Exception):
    """A PDF that is broken, locked, too large, takes too long, or comes with too many others."""


def of(file: IO[bytes], size: int) -> bytes:
    """A JPEG of the first page, at most LONGEST_SIDE pixels wide and high; or `NotDrawn`."""
    if size > MOST_BYTES:
        raise NotDrawn("too large")
    if not _turn.acquire(timeout=_SECONDS):
        raise NotDrawn("too many at once")
    try:
        return _drawn_elsewhere(file)
    except subprocess.TimeoutExpired as exc:
        raise NotDrawn("took too long") from exc
    except subprocess.CalledProcessError as exc:
        raise NotDrawn(f"ended with {exc.returncode}") from exc
    finally:
        _turn.release()


def _drawn_elsewhere(file: IO[bytes]) -> bytes:
    file.seek(0)
    return subprocess.run(
        [sys.executable, "-I", __file__],
        input=file.read(),
        capture_output=True,
        timeout=_SECONDS,
        env={},
        check=True,
    ).stdout


def _draw(content: bytes) -> bytes:
    import pypdfium2

    page = pypdfium2.PdfDocument(content)[0]
    picture = page.render(scale=LONGEST_SIDE / max(page.get_size())).to_pil()
    written = io.BytesIO()
    picture.convert("RGB").save(written, "JPEG", quality=QUALITY, optimize=True)
    return written.getvalue()


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    sys.stdout.buffer.write(_draw(sys.stdin.buffer.read()))


if __name__ == "__main__":
    _main()
