"""`manage.py work`: run jobs until told to stop."""

import asyncio
import signal

from django.core.management.base import BaseCommand

from amda import database, worker


class Command(BaseCommand):
    help = "Runs jobs until SIGTERM or Ctrl-C; finishes what it is doing first."

    def handle(self, *args, **options) -> None:
        database.require_whole_schemas()
        asyncio.run(_until_told())


async def _until_told() -> None:
    task = asyncio.ensure_future(worker.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return
