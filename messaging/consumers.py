"""The live socket: joins the tenant's group, forwards what is published, answers pings."""

import asyncio
import contextlib

from channels.generic.websocket import AsyncJsonWebsocketConsumer

from messaging import realtime

NOT_SIGNED_IN = 4401
NO_LONGER_WELCOME = 4403
RECHECK_SECONDS = 30


class LiveConsumer(AsyncJsonWebsocketConsumer):
    """One open page. Who it is and in which tenant was decided before it got here."""

    groups_joined: frozenset[str] = frozenset()
    guard: asyncio.Task | None = None

    async def connect(self) -> None:
        """Join the groups of what the person may see, or close with a code that says: sign in."""
        tenant, user = self.scope.get("tenant"), self.scope.get("user")
        if tenant is None or user is None or not user.is_authenticated:
            # Accepted first: a browser is told a close code only by a socket that was open.
            await self.accept()
            await self.close(NOT_SIGNED_IN)
            return
        # Joined first: the page fetches what it shows once the socket is open, and would never
        # hear of what happens between that and joining.
        await self._join()
        await self.accept()
        self.guard = asyncio.create_task(self._leave_when_unwelcome())

    async def disconnect(self, code: int) -> None:
        """Leave the groups."""
        if self.guard is not None:
            self.guard.cancel()
        await self._leave(self.groups_joined)

    async def receive_json(self, content, **kwargs) -> None:
        """A ping is answered; nothing else is expected from a page."""
        if isinstance(content, dict) and content.get("type") == "ping":
            await self.send_json({"type": "pong"})

    @classmethod
    async def decode_json(cls, text_data: str):
        """What cannot be read is nothing, not the end of the socket."""
        with contextlib.suppress(ValueError, RecursionError):
            return await super().decode_json(text_data)
        return None

    async def receive(self, text_data=None, bytes_data=None, **kwargs) -> None:
        """Text only; bytes are nothing we speak."""
        if text_data:
            await super().receive(text_data=text_data, **kwargs)

    async def tenant_event(self, event: dict) -> None:
        """Something changed in the tenant: hand it on as it is, ids only."""
        await self.send_json(event)

    async def resync(self, event: dict) -> None:
        """Something may have been missed: the page fetches again what it shows."""
        await self.send_json({"type": "resync"})

    async def sign_ins_ended(self, event: dict) -> None:
        """Some sign-ins of a person ended: if it is this one's person, look again at once."""
        if event.get("user") == self.scope["user"].pk:
            await self._leave_if_unwelcome()

    async def rights_changed(self, event: dict) -> None:
        """This person, or everybody, may see more or less: hear that, and fetch it again."""
        if event.get("user") not in (None, self.scope["user"].pk):
            return
        if not await self._leave_if_unwelcome():
            await self._join()
            await self.resync(event)

    async def _join(self) -> None:
        """Be in the groups of what the person may see now, and in no others."""
        number, user = self.scope["tenant"].number, self.scope["user"]
        wanted = realtime.groups_for(number, user.pk, sees_all=await self.scope["sees_all"]())
        await self._leave(self.groups_joined - wanted)
        for group in wanted - self.groups_joined:
            await self.channel_layer.group_add(group, self.channel_name)
        self.groups_joined = wanted

    async def _leave(self, groups: frozenset[str]) -> None:
        for group in groups:
            await self.channel_layer.group_discard(group, self.channel_name)

    async def _leave_if_unwelcome(self) -> bool:
        still_welcome = self.scope.get("still_welcome")
        if still_welcome is None or await still_welcome():
            return False
        await self.close(NO_LONGER_WELCOME)
        return True

    async def _leave_when_unwelcome(self) -> None:
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            if await self._leave_if_unwelcome():
                return
