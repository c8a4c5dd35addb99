"""Waking everybody who waits for news, without a lock: correct because one event loop runs it all."""

from __future__ import annotations

import asyncio


class Bell:
    """``ring`` wakes all tasks that are in ``wait`` now; who waits afterwards waits for the next ring."""

    def __init__(self) -> None:
        """Start silent."""
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake everybody."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def wait(self) -> None:
        """Sleep until the next ring."""
        await self._event.wait()
