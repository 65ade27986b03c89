"""Parts of stored files: which bytes a request asks for, and reading just those."""

import re
from collections.abc import Generator

from django.core.files.storage import default_storage

BLOCK = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Unsatisfiable(Exception):
    """A part that the file does not have."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def asked_range(request, size: int, etag: str) -> tuple[int, int]:
    """The first byte and the one after the last; the whole file unless one part is asked for."""
    asked = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    condition = request.headers.get("If-Range", etag)
    if asked is None or asked.group() == "bytes=-" or condition != etag:
        return 0, size
    first, last = asked.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    if start >= end:
        raise Unsatisfiable(size)
    return start, end


def content_of(path: str, start: int, end: int) -> Generator[bytes]:
    """The bytes of a stored file, block by block; FileNotFoundError before the first."""
    file = default_storage.open(path)
    # An object store would otherwise copy the whole object here for a few bytes of it.
    remote = getattr(file, "obj", None)
    return _remote(file, remote, start, end) if remote is not None else _local(file, start, end)


def _local(file, start: int, end: int) -> Generator[bytes]:
    with file:
        file.seek(start)
        left = end - start
        while left and (block := file.read(min(BLOCK, left))):
            left -= len(block)
            yield block


def _remote(file, remote, start: int, end: int) -> Generator[bytes]:
    file.close()
    body = remote.get(Range=f"bytes={start}-{end - 1}")["Body"]
    try:
        yield from body.iter_chunks(BLOCK)
    finally:
        body.close()
