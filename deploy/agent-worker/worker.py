"""The reference worker: takes dispatches from LiveKit and runs what Patchbay tells it to.

It fetches the configuration of its agent run with the worker key, applies it, publishes who it is
as participant attributes, and tells Patchbay why when it leaves on purpose. It runs the kinds
`pipeline` (speech to text, a language model with tools, text to speech) and `echo` (a greeting tone,
then the caller's audio back; no provider is needed, and it is honest about being an echo).
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading

from livekit import rtc
from livekit.rtc.participant import PublishTrackError
from livekit.agents import AgentServer, AutoSubscribe, JobContext, JobExecutorType, JobRequest, cli

from control_plane import Patchbay
from patchbay_worker import (
    DTMF_CODES,
    FRAME_SAMPLES,
    SAMPLE_RATE,
    ConfigError,
    Dispatch,
    Inbound,
    RunConfig,
    Unavailable,
    WithoutCaller,
    attributes,
    keys,
    load,
    read_capacity,
    read_config,
    tone_frames,
)
from pipeline import Pipeline

log = logging.getLogger("patchbay.worker")
for logger in (log, logging.getLogger("livekit.agents")):
    logger.addFilter(WithoutCaller())

LIVEKIT_FAILED = (rtc.ConnectError, PublishTrackError)
# The SDK's native part loses an event now and then when two rooms are entered at the same moment, and ends the process.
ENTERING = threading.Lock()
# How long DTMF tones wait until the telephone is subscribed to the agent; Patchbay's timeout includes it.
LISTENED_TO_SECONDS = 3
AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
# Running jobs of this process.
RUNNING: set[Dispatch | Inbound] = set()
# Ids of the jobs that it has accepted and that LiveKit has not assigned yet.
ACCEPTING: set[str] = set()


def setting(name: str, default: str | None = None) -> str:
    """An environment variable; exits with a message if it is missing."""
    value = os.environ.get(name) or default
    if value is None:
        sys.exit(f"patchbay worker: set {name}")
    return value


def capacity() -> int:
    """Maximum concurrent jobs of this process; exits with a message if the setting is invalid."""
    try:
        return read_capacity(setting("PATCHBAY_WORKER_CAPACITY", "50"))
    except ValueError as error:
        sys.exit(f"patchbay worker: PATCHBAY_WORKER_CAPACITY: {error}")


PATCHBAY_URL = setting("PATCHBAY_URL", "http://127.0.0.1:8080")
# The service may have two keys during a rotation; both are valid, and one is enough here.
WORKER_KEY = setting("PATCHBAY_WORKER_KEY").split(",")[0].strip()
CAPACITY = capacity()


def taken() -> int:
    """The number of jobs of this process, accepted ones included."""
    return len(server.active_jobs) + len(ACCEPTING)


server = AgentServer(
    ws_url=setting("LIVEKIT_URL"),
    api_key=setting("LIVEKIT_API_KEY"),
    api_secret=setting("LIVEKIT_API_SECRET"),
    num_idle_processes=0,
    job_executor_type=JobExecutorType.THREAD,
    host="127.0.0.1",
    port=0,
    # The default is the machine's CPU, and then a busy machine's every dispatch is lost. What is too much is
    # decided by `accept` alone, which knows of jobs that no load figure has in it yet.
    load_fnc=lambda: load(taken(), CAPACITY),
    load_threshold=float("inf"),
    drain_timeout=int(setting("PATCHBAY_DRAIN_SECONDS", "3600")),
)


def job_of(metadata: str, room_name: str) -> Dispatch | Inbound | None:
    """Parses a job's metadata; None if the job is not Patchbay's."""
    return Dispatch.parse(metadata) or Inbound.parse(metadata, room_name)


async def accept(request: JobRequest) -> None:
    """Accepts a job with an identity that contains the run's id, by which Patchbay recognises the agent."""
    job = job_of(request.job.metadata, request.room.name)
    if job is None:
        log.warning("refused a job that is not Patchbay's", extra={"room": request.room.name})
        await request.reject()
        return
    if job in RUNNING:
        # LiveKit offers jobs again when it has been restarted. The agent that is here reconnects; a second one
        # under the same identity would throw it out, and be thrown out in turn.
        log.info("refused a job that runs here already", extra=job.ids)
        await request.reject()
        return
    if taken() >= CAPACITY:
        # Another worker may accept it.
        log.warning("refused a job: %s run here, as many as may", CAPACITY, extra=job.ids)
        await request.reject(terminate=False)
        return
    # The run of an inbound call is not known yet; its room has no other agent.
    identity = job.identity if isinstance(job, Dispatch) else f"agent-{request.id}"
    ACCEPTING.add(request.id)
    try:
        await request.accept(name="agent", identity=identity)
    finally:
        ACCEPTING.discard(request.id)


@server.rtc_session(agent_name=setting("PATCHBAY_WORKER_NAME", "patchbay-agent"), on_request=accept)
async def run(ctx: JobContext) -> None:
    job = job_of(ctx.job.metadata, ctx.job.room.name)
    assert job is not None, "accept() lets only Patchbay's jobs through"
    RUNNING.add(job)
    ctx.add_shutdown_callback(lambda: forget(job))
    async with Patchbay(PATCHBAY_URL, WORKER_KEY) as patchbay:
        try:
            dispatch, answer = await patchbay.begin(job)
        except ConfigError as refusal:
            if isinstance(job, Dispatch) or isinstance(refusal, Unavailable):
                raise
            # Patchbay has refused the call and deleted its room.
            log.info("leaving: %s", refusal, extra=job.ids)
            ctx.shutdown(reason="the call was refused")
            return
        try:
            await perform(ctx, dispatch, answer, patchbay)
        except LIVEKIT_FAILED:
            # Not the agent's fault: it leaves without a report, and Patchbay dispatches a replacement.
            log.exception("leaving: LiveKit failed", extra=dispatch.ids)
            ctx.shutdown(reason="LiveKit failed")
        except Exception as error:
            log.exception("leaving: the run failed", extra=dispatch.ids)
            await patchbay.stop({"error": f"{type(error).__name__}: {error}"[:1000]})
            ctx.shutdown(reason="the run failed")


async def forget(job: Dispatch | Inbound) -> None:
    RUNNING.discard(job)


async def perform(ctx: JobContext, dispatch: Dispatch, answer: dict, patchbay: Patchbay) -> None:
    config = read_config(answer)
    if config.over:
        log.info("leaving: the session has already ended", extra=dispatch.ids)
        ctx.shutdown(reason="the session is over")
        return
    if config.call is not None and config.call["answer_detection"] != "off":
        log.warning("this worker does not detect answering machines", extra=dispatch.ids)
    # An invalid configuration is detected before the agent joins.
    pipeline = Pipeline(ctx, dispatch, config, patchbay) if config.kind == "pipeline" else None
    await enter(ctx)
    offer_keys(ctx.room)
    await ctx.room.local_participant.set_attributes(attributes(dispatch, config))
    if pipeline is not None:
        await pipeline.run()
    else:
        await echo(ctx, config)
        log.info("in the room, echoing", extra=dispatch.ids)


async def enter(ctx: JobContext) -> None:
    """Joins the room, one job of this process at a time."""
    await asyncio.to_thread(ENTERING.acquire)
    try:
        await ctx.connect(auto_subscribe=AutoSubscribe.AUDIO_ONLY)
    finally:
        ENTERING.release()


def offer_keys(room: rtc.Room) -> None:
    """Registers the RPC method for DTMF tones; only Patchbay may call it, not other participants."""
    listened_to = asyncio.Event()

    @room.on("local_track_subscribed")
    def on_listener(_: object) -> None:
        listened_to.set()

    async def press(data: rtc.RpcInvocationData) -> str:
        if data.caller_identity in room.remote_participants:
            raise rtc.RpcError(1403, "only Patchbay presses keys")
        digits = keys(data.payload)
        # A tone that is sent before the telephone is subscribed to this agent is silently lost.
        try:
            await asyncio.wait_for(listened_to.wait(), LISTENED_TO_SECONDS)
        except asyncio.TimeoutError:
            raise rtc.RpcError(1503, "nobody listens to the agent yet") from None
        for key in digits:
            if key == "w":
                await asyncio.sleep(0.5)
                continue
            await room.local_participant.publish_dtmf(code=DTMF_CODES[key], digit=key)
            await asyncio.sleep(0.15)
        return "{}"

    room.local_participant.register_rpc_method("patchbay.dtmf", press)


async def echo(ctx: JobContext, config: RunConfig) -> None:
    """Publishes a track, plays the greeting tone, and then sends back what it hears."""
    tone = config.runtime.get("greeting_tone") or {"frequency_hz": 880, "duration_ms": 400}
    source = rtc.AudioSource(SAMPLE_RATE, 1, queue_size_ms=400)
    track = rtc.LocalAudioTrack.create_audio_track("echo", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    greeted = asyncio.Event()
    # The source takes one frame at a time, and several people may be heard.
    turn = asyncio.Lock()
    tasks: set[asyncio.Task] = set()
    returned: set[str] = set()

    def spawn(work) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(finished)

    def finished(task: asyncio.Task) -> None:
        tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.info("stopped echoing: %s", task.exception())

    async def return_audio(heard: rtc.Track) -> None:
        stream = rtc.AudioStream(heard, sample_rate=SAMPLE_RATE, num_channels=1)
        async for event in stream:
            if greeted.is_set():
                async with turn:
                    await source.capture_frame(event.frame)

    async def greet() -> None:
        # The greeting waits for a listener.
        await ctx.wait_for_participant()
        for frame in tone_frames(tone["frequency_hz"], tone["duration_ms"]):
            await source.capture_frame(rtc.AudioFrame(frame, SAMPLE_RATE, 1, FRAME_SAMPLES))
        greeted.set()

    @ctx.room.on("track_subscribed")
    def on_track(heard: rtc.Track, _: object, speaker: rtc.RemoteParticipant) -> None:
        # Two agents would only echo each other.
        is_voice = heard.kind == rtc.TrackKind.KIND_AUDIO and speaker.kind != AGENT
        # A participant that joined earlier is both reported and found.
        if is_voice and heard.sid not in returned:
            returned.add(heard.sid)
            spawn(return_audio(heard))

    await ctx.room.local_participant.publish_track(track, options)
    for participant in ctx.room.remote_participants.values():
        for publication in participant.track_publications.values():
            if publication.track is not None:
                on_track(publication.track, publication, participant)
    spawn(greet())

    async def cancel() -> None:
        for task in list(tasks):
            task.cancel()

    ctx.add_shutdown_callback(cancel)


if __name__ == "__main__":
    cli.run_app(server)
