"""Registration at Patchbay, so that it can say whether a worker is there, and what it can run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from control_plane import Patchbay
from patchbay_worker import Refused

log = logging.getLogger("patchbay.worker")

# Seconds between two looks at what has changed.
LOOK_EVERY = 1.0
# Seconds between two attempts while Patchbay does not answer.
RETRY_AFTER = 5.0
# The same after a refusal: a tenant's key cannot register a worker of all tenants, and an older Patchbay that is being
# replaced knows no registration.
REFUSED_AFTER = 60.0


class Registration:
    """Tells Patchbay about this worker: when it starts, when something has changed, at each heartbeat, and when it ends."""

    def __init__(self, url: str, key: str, worker_id: str, about: Callable[[], dict]):
        self._patchbay = Patchbay(url, key)
        self._path = f"/api/workers/{worker_id}"
        self._about = about
        self._told: dict | None = None
        self._may_be_known = False
        self._due = 0.0
        self._warned = False

    async def run(self) -> None:
        """Runs until it is cancelled."""
        async with self._patchbay:
            try:
                while True:
                    await self._tell_if_due()
                    await asyncio.sleep(LOOK_EVERY)
            finally:
                await self._leave()

    async def _tell_if_due(self) -> None:
        was_known = self._may_be_known
        try:
            about, now = self._about(), asyncio.get_running_loop().time()
            if now < self._due and (about == self._told or self._told is None):
                return
            # Also if it is cancelled before the answer comes.
            self._may_be_known = True
            answer = await self._patchbay.call("PUT", self._path, about)
            self._warned, self._told, self._due = False, about, now + answer["heartbeat_seconds"]
        except Exception as error:
            # Without a registration the worker gets jobs all the same, so nothing may end this loop.
            if not self._warned:
                log.warning("Patchbay cannot be told about this worker: %s", error)
            refused = isinstance(error, Refused)
            pause = REFUSED_AFTER if refused else RETRY_AFTER
            if refused:
                self._may_be_known = was_known
            self._warned, self._told = True, None
            self._due = asyncio.get_running_loop().time() + pause

    async def _leave(self) -> None:
        if self._may_be_known:
            try:
                await self._patchbay.call("DELETE", self._path)
            except Exception as error:
                log.info("Patchbay could not be told that this worker ends: %s", error)
