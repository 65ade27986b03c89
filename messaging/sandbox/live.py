"""Which phone pages are open, what they show, and when they should look again."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Viewer:
    """One open page and the chat on its screen, if any."""

    def __init__(self, customer_id: int | None, session_id: int | None):
        self.chat = (customer_id, session_id)
        self._news = asyncio.Event()

    def wake(self) -> None:
        self._news.set()

    async def news(self, seconds: float) -> bool:
        """Wait for something new; False when the time passed without."""
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return False
        self._news.clear()
        return True


class Live:
    """The open pages. They are told that something changed, and fetch what they show."""

    def __init__(self):
        self._viewers: set[Viewer] = set()
        self.closing = False

    @contextmanager
    def watching(self, customer_id: int | None, session_id: int | None) -> Iterator[Viewer]:
        viewer = Viewer(customer_id, session_id)
        self._viewers.add(viewer)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)

    def shows(self, customer_id: int, session_id: int) -> bool:
        """Whether somebody has this chat on a screen right now."""
        return any(viewer.chat == (customer_id, session_id) for viewer in self._viewers)

    def changed(self) -> None:
        for viewer in self._viewers:
            viewer.wake()

    def close(self) -> None:
        """End every stream: an open one would hold the server's shutdown up."""
        self.closing = True
        self.changed()
