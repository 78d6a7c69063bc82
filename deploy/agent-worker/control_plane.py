"""A client of Patchbay's API with the worker key."""

from __future__ import annotations

import asyncio
import logging
import uuid

import aiohttp

import tracing
from patchbay_worker import ConfigError, Dispatch, Inbound, Refused, Unavailable, UsageMeter

log = logging.getLogger("patchbay.worker")

TIMEOUT = 10
REPORT_EVERY = 1.0
MOST_TURNS = 100
# Between attempts to fetch the configuration; a caller hears it ring meanwhile.
PAUSES = (0.25, 0.5, 1, 2)


class Patchbay:
    """The API for one run."""

    def __init__(self, url: str, key: str):
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"}
        self._dispatch: Dispatch = Dispatch("", "", "")
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Patchbay:
        self._http = aiohttp.ClientSession(headers=self._headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()

    async def call(self, method: str, path: str, body: dict | None = None, key: str | None = None, timeout: float = TIMEOUT) -> dict:
        """Sends a request; 4xx raises Refused with the message, 5xx raises Unavailable."""
        assert self._http is not None, "used outside of `async with`"
        headers = tracing.headers() | ({"Idempotency-Key": key} if key else {})
        limit = aiohttp.ClientTimeout(total=timeout)
        async with self._http.request(method, f"{self._url}{path}", json=body, headers=headers, timeout=limit) as response:
            if response.status >= 500:
                raise Unavailable(f"{method} {path}: {response.status}")
            answer = await response.json(content_type=None)
            if response.status >= 400:
                raise Refused(response.status, f"{method} {path}: {response.status}: {(answer or {}).get('detail')}")
            return answer

    async def insist(self, method: str, path: str, body: dict | None = None) -> dict:
        """Sends an idempotent request, with retries for some seconds while Patchbay cannot be reached."""
        for pause in PAUSES:
            try:
                return await self.call(method, path, body)
            except (aiohttp.ClientError, asyncio.TimeoutError, Unavailable) as error:
                log.warning("retrying a request to Patchbay: %s", error)
                await asyncio.sleep(pause)
        return await self.call(method, path, body)

    async def begin(self, job: Dispatch | Inbound) -> tuple[Dispatch, dict]:
        """Fetches the configuration of the run. An inbound call is claimed first, which Patchbay may refuse."""
        if isinstance(job, Dispatch):
            self._dispatch = job
            return job, await self.insist("GET", f"{job.run_path}/config")
        answer = await self.insist("POST", job.claim_path, {"room_name": job.room_name})
        self._dispatch = job.claimed(answer)
        return self._dispatch, answer["config"]

    async def call_tool(self, function: str, arguments: dict, key: str, seconds: float) -> dict:
        """Calls a tool through Patchbay. The idempotency key makes a repetition safe."""
        path = f"{self._dispatch.run_path}/tools/{function}"
        return await self.call("POST", path, {"arguments": arguments}, key=key, timeout=seconds + TIMEOUT)

    async def search(self, query: str) -> dict:
        """Searches the agent's files."""
        return await self.call("POST", f"{self._dispatch.run_path}/search", {"query": query})

    async def report_tool(self, report: dict, key: str) -> None:
        """Reports a tool call that a participant has executed, for the timeline."""
        await self.call("POST", f"{self._dispatch.run_path}/tool-calls", report, key=key)

    async def stop(self, body: dict) -> None:
        """Stops the session, so that the agent does not count as lost."""
        try:
            await self.call("POST", f"{self._dispatch.session_path}/stop", body)
        except Exception:
            log.exception("the session could not be stopped", extra=self._dispatch.ids)

    async def report(self, what: str, body: dict) -> None:
        """Sends a report with retries; it has ids, so a duplicate is ignored."""
        for pause in (0.5, 1, 2, 4, None):
            try:
                await self.call("POST", f"{self._dispatch.session_path}/{what}", body)
                return
            except (aiohttp.ClientError, asyncio.TimeoutError, ConfigError) as error:
                log.warning("%s could not be reported: %s", what, error, extra=self._dispatch.ids)
                if pause is None:
                    return
                await asyncio.sleep(pause)


class Reporter:
    """Reports transcript and usage while the session runs, and the rest at its end."""

    def __init__(self, patchbay: Patchbay, meter: UsageMeter, totals):
        self._patchbay = patchbay
        self._meter = meter
        self._totals = totals
        self._turns: list[dict] = []
        self._task: asyncio.Task | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    def add_turn(self, turn: dict | None) -> None:
        if turn is not None:
            self._turns.append(turn)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(REPORT_EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Sends new turns and usage."""
        while self._turns:
            batch, self._turns = self._turns[:MOST_TURNS], self._turns[MOST_TURNS:]
            await self._patchbay.report("transcript", {"turns": batch})
        items = self._meter.news(self._totals())
        if items:
            await self._patchbay.report("usage", {"id": str(uuid.uuid4()), "items": items[:MOST_TURNS]})

    async def finish(self) -> None:
        """Sends the rest; further calls do nothing."""
        if self._task is None:
            return
        task, self._task = self._task, None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self.flush()
