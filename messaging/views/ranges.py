"""Parts of stored files: which bytes a request asks for, and reading just those."""

import re
from collections.abc import Generator

from asgiref.sync import sync_to_async
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


class Blocks:
    """The bytes of a stored file from one place to another, block by block.

    What was opened is closed also where nobody reads a single block.
    """

    def __init__(self, path: str, start: int, end: int) -> None:
        self._file = default_storage.open(path)
        # An object store would otherwise copy the whole object here for a few bytes of it.
        remote = getattr(self._file, "obj", None)
        self._blocks = _remote(remote, start, end) if remote else _local(self._file, start, end)

    def __iter__(self) -> "Blocks":
        return self

    def __next__(self) -> bytes:
        return next(self._blocks)

    def close(self) -> None:
        self._blocks.close()
        self._file.close()


class BlocksInThreads:
    """The same for an asynchronous server: a slow storage holds up nobody else."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._next = sync_to_async(next, thread_sensitive=False)

    def __aiter__(self) -> "BlocksInThreads":
        return self

    async def __anext__(self) -> bytes:
        block = await self._next(self._blocks, b"")
        if not block:
            raise StopAsyncIteration
        return block

    def close(self) -> None:
        self._blocks.close()


def _local(file, start: int, end: int) -> Generator[bytes, None, None]:
    file.seek(start)
    left = end - start
    while left and (block := file.read(min(BLOCK, left))):
        left -= len(block)
        yield block


def _remote(remote, start: int, end: int) -> Generator[bytes, None, None]:
    body = remote.get(Range=f"bytes={start}-{end - 1}")["Body"]
    try:
        yield from body.iter_chunks(BLOCK)
    finally:
        body.close()
