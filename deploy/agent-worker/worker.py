"""The reference worker: takes dispatches from LiveKit and runs what Patchbay tells it to.

It fetches the configuration of its agent run with the worker key, applies it, publishes who it is
as participant attributes, and tells Patchbay why when it leaves on purpose. It runs the kinds
`pipeline` (speech to text, a language model with tools, text to speech) and `echo` (a greeting tone,
then the caller's audio back; no provider is needed, and it is honest about being an echo).
"""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__":
    # The first process of a container ignores what it does not handle, and the imports below take seconds: a SIGTERM in the
    # meantime would be lost, and this worker killed later, amid conversations. livekit-agents replaces this handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

import asyncio
import logging
import os
import threading

from livekit import rtc
from livekit.rtc.participant import PublishTrackError
from livekit.agents import AgentServer, AutoSubscribe, JobContext, JobExecutorType, JobRequest, cli
from livekit.agents import worker as agents_worker

import providers
import tracing
from control_plane import Patchbay
from patchbay_worker import (
    DTMF_CODES,
    FRAME_SAMPLES,
    KINDS,
    SAMPLE_RATE,
    VERSION,
    ConfigError,
    Dispatch,
    Inbound,
    RunConfig,
    Unavailable,
    WithoutCaller,
    attributes,
    keys,
    load,
    read_config,
    read_number,
    read_secret_files,
    same_run,
    tone_frames,
    worker_id,
)
from pipeline import Pipeline
from registration import Registration

log = logging.getLogger("patchbay.worker")
for logger in (log, logging.getLogger("livekit.agents")):
    logger.addFilter(WithoutCaller())

LIVEKIT_FAILED = (rtc.ConnectError, PublishTrackError, asyncio.TimeoutError)
# The SDK's native part loses an event now and then when two rooms are entered at the same moment, and ends the process.
ENTERING = threading.Lock()
# Seconds after which a job that cannot join its room gives up, and lets the others join theirs.
ENTERED_WITHIN = 15
# How long DTMF tones wait until the telephone is subscribed to the agent; Patchbay's timeout includes it.
LISTENED_TO_SECONDS = 3
AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
# Jobs by id that this worker has accepted, until they have a process. On a busy machine that takes seconds.
ACCEPTING: dict[str, Dispatch | Inbound] = {}
# Seconds to wait for the assignment of an accepted job, for which the library has no setting. LiveKit assigns at once, or
# has given up on this worker. Meanwhile other dispatches of the run are refused, so the library's 7.5 s would be half of
# Patchbay's join deadline.
assert hasattr(agents_worker, "ASSIGNMENT_TIMEOUT"), "livekit-agents has renamed it"
agents_worker.ASSIGNMENT_TIMEOUT = 3
EXECUTORS = {"process": JobExecutorType.PROCESS, "thread": JobExecutorType.THREAD}


def setting(name: str, default: str | None = None) -> str:
    """An environment variable; exits with a message if it is missing."""
    value = os.environ.get(name) or default
    if value is None:
        sys.exit(f"patchbay worker: set {name}")
    return value


def number(name: str, default: str, least: int) -> int:
    """A numeric setting; exits with a message if it is invalid."""
    try:
        return read_number(setting(name, default), least)
    except ValueError as error:
        sys.exit(f"patchbay worker: {name}: {error}")


def executor() -> JobExecutorType:
    """How jobs are kept apart; exits with a message if the setting is invalid."""
    name = setting("PATCHBAY_WORKER_EXECUTOR", "process")
    if name not in EXECUTORS:
        sys.exit(f"patchbay worker: PATCHBAY_WORKER_EXECUTOR: `process` or `thread` is needed, not `{name}`")
    return EXECUTORS[name]


try:
    read_secret_files(os.environ)
except ValueError as wrong:
    sys.exit(f"patchbay worker: {wrong}")
PATCHBAY_URL = setting("PATCHBAY_URL", "http://127.0.0.1:8080")
# The service may have two keys during a rotation; both are valid, and one is enough here.
WORKER_KEY = setting("PATCHBAY_WORKER_KEY").split(",")[0].strip()
WORKER_NAME = setting("PATCHBAY_WORKER_NAME", "patchbay-agent")
CAPACITY = number("PATCHBAY_WORKER_CAPACITY", "50", 1)
EXECUTOR = executor()
# Processes that wait for their jobs, so that a job does not wait for its process.
WARM = number("PATCHBAY_WORKER_IDLE_PROCESSES", "2", 0) if EXECUTOR == JobExecutorType.PROCESS else 0


def taken() -> int:
    """The number of jobs of this process, accepted ones included."""
    return len(server.active_jobs) + len(ACCEPTING)


server = AgentServer(
    ws_url=setting("LIVEKIT_URL"),
    api_key=setting("LIVEKIT_API_KEY"),
    api_secret=setting("LIVEKIT_API_SECRET"),
    num_idle_processes=WARM,
    setup_fnc=tracing.set_up,
    # With a process for each job, one that crashes, hangs or leaks ends one conversation. Threads need less memory.
    job_executor_type=EXECUTOR,
    preload_modules=["pipeline"],
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
    return Dispatch.parse(metadata, room_name) or Inbound.parse(metadata, room_name)


def is_here(job: Dispatch | Inbound) -> bool:
    """Whether the run of this job is carried out here, or about to be."""
    known = [job_of(info.job.metadata, info.job.room.name) for info in server.active_jobs]
    known += ACCEPTING.values()
    return any(same_run(job, other) for other in known if other is not None)


async def accept(request: JobRequest) -> None:
    """Accepts a job with an identity that contains the run's id, by which Patchbay recognises the agent."""
    tracing.enter(request.job.metadata)
    job = job_of(request.job.metadata, request.room.name)
    if job is None:
        log.warning("refused a job that is not Patchbay's", extra={"room": request.room.name})
        await request.reject()
        return
    if is_here(job):
        # A second agent under the same identity would throw the first one out, and be thrown out in turn.
        log.info("refused a job whose agent is here already", extra=job.ids)
        await request.reject()
        return
    if taken() >= CAPACITY:
        # Another worker may accept it.
        log.warning("refused a job: %s run here, as many as may", CAPACITY, extra=job.ids)
        await request.reject(terminate=False)
        return
    # The run of an inbound call is not known yet; its room has no other agent.
    identity = job.identity if isinstance(job, Dispatch) else f"agent-{request.id}"
    ACCEPTING[request.id] = job
    try:
        await request.accept(name="agent", identity=identity)
    finally:
        ACCEPTING.pop(request.id, None)


@server.rtc_session(agent_name=WORKER_NAME, on_request=accept)
async def run(ctx: JobContext) -> None:
    job = job_of(ctx.job.metadata, ctx.job.room.name)
    assert job is not None, "accept() lets only Patchbay's jobs through"
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
        tracing.tell(tenant_id=dispatch.tenant_id, **dispatch.ids)
        try:
            await perform(ctx, dispatch, answer, patchbay)
        except LIVEKIT_FAILED:
            # Not the agent's fault: it leaves without a report, and Patchbay dispatches a replacement.
            log.exception("leaving: LiveKit failed", extra=dispatch.ids)
            ctx.shutdown(reason="LiveKit failed")
        except Exception as error:
            if was_thrown_out(ctx):
                # The room is gone, or another agent of this run is in it: that the run goes on is not this one's to say.
                log.info("leaving: not in the room any more (%s)", error, extra=dispatch.ids)
                ctx.shutdown(reason="not in the room any more")
                return
            log.exception("leaving: the run failed", extra=dispatch.ids)
            await patchbay.stop({"error": f"{type(error).__name__}: {error}"[:1000]})
            ctx.shutdown(reason="the run failed")


def was_thrown_out(ctx: JobContext) -> bool:
    """Whether the agent had joined its room and is not in it any more."""
    try:
        ctx.room.local_participant
    except Exception:
        # It has not joined yet.
        return False
    return not ctx.room.isconnected()


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
    # Not in a thread, which would get the lock even if this job is cancelled meanwhile, and never release it.
    while not ENTERING.acquire(blocking=False):
        await asyncio.sleep(0.02)
    try:
        await asyncio.wait_for(ctx.connect(auto_subscribe=AutoSubscribe.AUDIO_ONLY), ENTERED_WITHIN)
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
        # The greeting waits for a listener: for one who gets it, not only for one who is in the room.
        await ctx.wait_for_participant()
        await published.wait_for_subscription()
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

    published = await ctx.room.local_participant.publish_track(track, options)
    for participant in ctx.room.remote_participants.values():
        for publication in participant.track_publications.values():
            if publication.track is not None:
                on_track(publication.track, publication, participant)
    spawn(greet())

    async def cancel() -> None:
        for task in list(tasks):
            task.cancel()

    ctx.add_shutdown_callback(cancel)


def about() -> dict:
    """What Patchbay is told of this worker."""
    return {
        "worker_name": WORKER_NAME,
        "version": VERSION,
        "kinds": list(KINDS),
        "plugins": providers.installed(),
        "capacity": CAPACITY,
        "running": taken(),
        "draining": server.draining,
    }


@server.on("worker_started")
def register() -> None:
    tracing.mark_logs()
    # Kept alive by the server, which the loop cancels last.
    server.registration = asyncio.create_task(Registration(PATCHBAY_URL, WORKER_KEY, worker_id(), about).run())


if __name__ == "__main__":
    cli.run_app(server)
