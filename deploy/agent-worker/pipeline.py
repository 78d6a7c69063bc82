"""The kind `pipeline`: speech to text, a language model with tools, text to speech."""

from __future__ import annotations

import asyncio
import json
import logging
import time

from livekit import rtc
from livekit.agents import Agent, AgentSession, APIConnectOptions, JobContext, RunContext, ToolError, function_tool, room_io
from livekit.agents.voice.agent_session import SessionConnectOptions

import providers
from control_plane import Patchbay, Reporter
from patchbay_worker import Dispatch, RunConfig, UsageMeter, passages, turn

log = logging.getLogger("patchbay.worker")

# One retry each, so that a failing provider is reported soon.
PATIENCE = APIConnectOptions(max_retry=1, retry_interval=0.5, timeout=10.0)
# Seconds that LiveKit deducts from an RPC's timeout for the round trip.
ROUND_TRIP = 1.0


# The tool with which a model searches its agent's files.
SEARCH = {
    "name": "search_knowledge",
    "description": "Looks something up in the documents that you have been given. Ask in a full sentence.",
    "parameters": {
        "type": "object",
        "properties": {"query": {"type": "string", "description": "The question."}},
        "required": ["query"],
        "additionalProperties": False,
    },
}


class Pipeline:
    """One run."""

    def __init__(self, ctx: JobContext, dispatch: Dispatch, config: RunConfig, patchbay: Patchbay):
        self._ctx = ctx
        self._dispatch = dispatch
        self._config = config
        self._patchbay = patchbay
        self._person: rtc.RemoteParticipant | None = None
        self._over = asyncio.Event()
        self._end: dict | None = None
        self._errors: list[str] = []
        self._session = self._build()
        meter = UsageMeter(providers.provider_of(config.runtime))
        self._reporter = Reporter(patchbay, meter, self._totals)

    def _build(self) -> AgentSession:
        """Builds the AgentSession of the configuration. Errors name the missing plugin or key."""
        runtime = self._config.runtime
        vad = providers.voice_activity(runtime.get("vad"))
        endpointing = runtime.get("turn_detection") or {"min_delay_ms": 500, "max_delay_ms": 3000}
        cut = runtime.get("interruptions") or {"enabled": True, "min_duration_ms": 500, "min_words": 0}
        return AgentSession(
            stt=providers.speech_to_text(runtime["stt"], vad),
            llm=providers.language_model(runtime["llm"]),
            tts=providers.text_to_speech(runtime["tts"]),
            vad=vad,
            turn_handling={
                "turn_detection": "vad",
                "endpointing": {
                    "min_delay": endpointing["min_delay_ms"] / 1000,
                    "max_delay": endpointing["max_delay_ms"] / 1000,
                },
                "interruption": {
                    "enabled": cut["enabled"],
                    "mode": "vad",
                    "min_duration": cut["min_duration_ms"] / 1000,
                    "min_words": cut["min_words"],
                },
            },
            user_away_timeout=runtime["limits"].get("idle_seconds"),
            conn_options=SessionConnectOptions(
                stt_conn_options=PATIENCE, llm_conn_options=PATIENCE, tts_conn_options=PATIENCE, max_unrecoverable_errors=1
            ),
            session_close_transcript_timeout=0.5,
        )

    def _totals(self) -> list[dict]:
        return [usage.model_dump() for usage in self._session.usage.model_usage]

    async def run(self) -> None:
        """Runs until the room closes, the session is idle, or an error is fatal."""
        self._ctx.add_shutdown_callback(self._shut_down)
        self._listen()
        self._person = await self._ctx.wait_for_participant()
        await self._session.start(
            agent=Agent(instructions=self._config.prompt, tools=self._tools()),
            room=self._ctx.room,
            record=False,
            # A disconnected participant may come back; the room's departure timeout decides.
            room_options=room_io.RoomOptions(close_on_disconnect=False),
        )
        self._reporter.start()
        log.info("in the room, talking", extra=self._dispatch.ids)
        if self._config.greeting:
            self._session.say(self._config.greeting)
        await self._over.wait()
        # The last turns and usage are sent first: a session that has ended may be erased.
        await self._session.aclose()
        await self._reporter.finish()
        if self._end is not None:
            await self._patchbay.stop(self._end)
        self._ctx.shutdown(reason="the run is over")

    async def _shut_down(self, _: str) -> None:
        """LiveKit has closed the room, or the worker is shutting down."""
        self._over.set()
        await self._reporter.finish()

    def _finish(self, end: dict | None) -> None:
        if self._end is None:
            self._end = end
        self._over.set()

    def _listen(self) -> None:
        session = self._session

        @session.on("conversation_item_added")
        def on_item(event) -> None:
            if getattr(event.item, "type", None) == "message":
                self._reporter.add_turn(turn(event.item))

        @session.on("user_state_changed")
        def on_user_state(event) -> None:
            # Without idle_seconds this state does not occur.
            if event.new_state == "away":
                self._finish({"reason": "idle"})

        @session.on("error")
        def on_error(event) -> None:
            if not event.error.recoverable:
                part = event.error.type.removesuffix("_error")
                self._errors.append(f"{part}: {event.error.error}")

        @session.on("close")
        def on_close(event) -> None:
            failed = event.reason.value == "error"
            words = "; ".join(self._errors) or str(event.error)
            self._finish({"error": words[:1000]} if failed else None)

        @self._ctx.room.on("disconnected")
        def on_disconnected(_: object) -> None:
            self._finish(None)

    def _tools(self) -> list:
        tools = [self._tool(spec) for spec in self._config.tools]
        if self._config.knowledge is not None:
            tools.append(function_tool(self._search, raw_schema=SEARCH))
        return tools

    async def _search(self, raw_arguments: dict[str, object], context: RunContext) -> str:
        try:
            return passages(await self._patchbay.search(str(raw_arguments.get("query", ""))[:2000]))
        except Exception as error:
            log.warning("a search failed: %s", error, extra=self._dispatch.ids)
            raise ToolError("Nothing can be looked up at the moment.") from error

    def _tool(self, spec: dict):
        """A function tool of the model, which Patchbay or the user's client executes."""
        schema = {name: spec[name] for name in ("description", "parameters")} | {"name": spec["function_name"]}
        work = self._by_client if "client" in spec else self._by_patchbay

        async def handler(raw_arguments: dict[str, object], context: RunContext) -> str:
            return await work(spec, dict(raw_arguments), f"{self._dispatch.agent_run_id}:{context.function_call.call_id}")

        return function_tool(handler, raw_schema=schema)

    async def _by_patchbay(self, spec: dict, arguments: dict, key: str) -> str:
        seconds = (spec.get("http") or spec["mcp"])["timeout_seconds"]
        try:
            answer = await self._patchbay.call_tool(spec["function_name"], arguments, key, seconds)
        except Exception as error:
            log.warning("a tool could not be called: %s", error, extra=self._dispatch.ids)
            raise ToolError("The tool cannot be reached at the moment.") from error
        if answer["status"] != "succeeded":
            raise ToolError(json.dumps({"error": answer["error"]["message"], "answer": answer["result"]}))
        return json.dumps(answer["result"])

    async def _by_client(self, spec: dict, arguments: dict, key: str) -> str:
        client, started = spec["client"], time.monotonic()
        answer, failure = "", None
        try:
            answer = await self._ctx.room.local_participant.perform_rpc(
                destination_identity=self._person.identity,
                method=client.get("method") or spec["function_name"],
                payload=json.dumps(arguments),
                response_timeout=client["timeout_seconds"] + ROUND_TRIP,
                max_round_trip_latency=ROUND_TRIP,
            )
        except rtc.RpcError as error:
            failure = error
        report = {
            "function_name": spec["function_name"],
            "status": "failed" if failure else "succeeded",
            "error_code": f"rpc_{failure.code}" if failure else None,
            "duration_ms": int((time.monotonic() - started) * 1000),
            "size_bytes": len(answer.encode()),
        }
        try:
            await self._patchbay.report_tool(report, key)
        except Exception as error:
            log.warning("a tool call could not be reported: %s", error, extra=self._dispatch.ids)
        if failure:
            raise ToolError(f"The caller's device says: {failure.message}")
        return answer
