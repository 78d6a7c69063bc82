"""Tests of the client of Patchbay's API, against a server that fails on demand."""

import asyncio
import time
import unittest
from unittest import mock

from aiohttp import web

import control_plane
import registration
from control_plane import Patchbay
from patchbay_worker import Dispatch, Inbound, Refused
from registration import Registration

CLAIMED = {"session_id": "s", "agent_run_id": "r", "config": {"digest": "d"}}


class Server:
    """Answers each request with the next of these statuses and bodies; the last one is repeated."""

    def __init__(self, *answers: tuple[int, dict | None]):
        self._answers = list(answers)
        self.requests: list[tuple[str, str, dict | None]] = []
        self.traceparents: list[str | None] = []

    async def __aenter__(self) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.requests.append((request.method, request.path, body))
        self.traceparents.append(request.headers.get("traceparent"))
        status, answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return web.json_response(answer, status=status) if answer is not None else web.Response(status=status)


@mock.patch.object(control_plane, "PAUSES", (0, 0, 0))
class ClaimTest(unittest.IsolatedAsyncioTestCase):
    CALL = Inbound("t", "m", "room")

    async def test_a_claim_is_tried_again_while_patchbay_fails(self):
        server = Server((503, {}), (502, {}), (200, CLAIMED))
        async with server as url, Patchbay(url, "k") as patchbay:
            dispatch, config = await patchbay.begin(self.CALL)
        self.assertEqual((dispatch, config), (Dispatch("t", "s", "r"), {"digest": "d"}))
        claim = ("POST", "/api/tenants/t/inbound-mappings/m/claim", {"room_name": "room"})
        self.assertEqual(server.requests, [claim] * 3)

    async def test_a_claim_that_is_refused_is_not_tried_again(self):
        server = Server((409, {"detail": "closed"}))
        async with server as url, Patchbay(url, "k") as patchbay:
            with self.assertRaises(Refused) as refused:
                await patchbay.begin(self.CALL)
        self.assertEqual((refused.exception.status, len(server.requests)), (409, 1))


class TraceTest(unittest.IsolatedAsyncioTestCase):
    async def test_requests_continue_the_trace_of_the_job(self):
        server = Server((200, {"state": "ended"}))
        traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        with mock.patch.object(control_plane.tracing, "headers", lambda: {"traceparent": traceparent}):
            async with server as url, Patchbay(url, "k") as patchbay:
                await patchbay.begin(Dispatch("t", "s", "r"))
                await patchbay.call_tool("book", {}, "r:1", 1)
                await patchbay.report("transcript", {"turns": []})
                await patchbay.stop({"reason": "idle"})
        self.assertEqual(server.traceparents, [traceparent] * 4)


@mock.patch.object(registration, "LOOK_EVERY", 0.01)
@mock.patch.object(registration, "RETRY_AFTER", 0.01)
class RegistrationTest(unittest.IsolatedAsyncioTestCase):
    async def run_until(self, server: Server, count: int, about: dict) -> None:
        """Runs the registration until the server has seen so many requests, and ends it as the worker does."""
        async with server as url:
            task = asyncio.create_task(Registration(url, "k", "w:1", lambda: dict(about)).run())
            while len(server.requests) < count and not task.done():
                about["running"] += 1
                await asyncio.sleep(0.02)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def test_a_worker_tells_what_changes_and_that_it_ends(self):
        server = Server((503, {}), (200, {"heartbeat_seconds": 60}))
        await self.run_until(server, 4, {"running": 0})
        methods = [method for method, path, _ in server.requests if path == "/api/workers/w:1"]
        self.assertEqual(methods[:4], ["PUT"] * 4)
        self.assertEqual(methods[-1], "DELETE")
        told = [body["running"] for method, _, body in server.requests if method == "PUT"]
        self.assertEqual(told, sorted(told))
        self.assertGreater(told[-1], told[0])

    async def test_a_refusal_is_not_repeated_at_once_and_ends_nothing(self):
        server = Server((403, {"detail": "another key"}), (200, {"heartbeat_seconds": 60}))
        begin = time.monotonic()
        with mock.patch.object(registration, "REFUSED_AFTER", 0.2):
            await self.run_until(server, 2, {"running": 0})
        self.assertGreaterEqual(time.monotonic() - begin, 0.2)
        methods = [method for method, _, _ in server.requests]
        # On a busy machine a third PUT may come before the end.
        self.assertEqual((methods[:2], methods[-1]), (["PUT", "PUT"], "DELETE"))

    async def test_an_answer_that_is_no_json_ends_nothing(self):
        server = Server((200, None), (200, {"heartbeat_seconds": 60}))
        await self.run_until(server, 2, {"running": 0})
        self.assertEqual(server.requests[-1][0], "DELETE")


if __name__ == "__main__":
    unittest.main()
