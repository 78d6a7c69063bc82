"""The parts of the worker that need neither LiveKit nor Patchbay."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import secrets
import socket
import struct
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

VERSION = "0.1.0"
# Kinds of runtime configs that this worker runs.
KINDS = ("echo", "pipeline")
SAMPLE_RATE = 48_000
FRAME_SAMPLES = SAMPLE_RATE // 100
AMPLITUDE = 8_000
# Supported schema numbers of configurations; 1 had no tools, 2 no knowledge.
SCHEMAS = (1, 2, 3)
MAX_TURN_CHARACTERS = 20_000
# Codes of the keys of a telephone (RFC 4733).
DTMF_CODES = {key: code for code, key in enumerate("0123456789*#ABCD")}


# Variables that name a file with a secret. Others of this form belong to libraries, such as `AWS_WEB_IDENTITY_TOKEN_FILE`.
SECRET_FILE = re.compile(r"(PATCHBAY_WORKER_KEY|PATCHBAY_PROVIDER_KEYS|LIVEKIT_API_SECRET|[A-Z0-9_]+_API_KEY)_FILE")
# LiveKit gives jobs to workers by `max(0, 0.7 - load)`: one that would take another must be below 0.7.
ALMOST_FULL = 0.69


class ConfigError(Exception):
    """The configuration cannot be run by this worker."""


class Refused(ConfigError):
    """Patchbay has refused a request with this HTTP status."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Unavailable(ConfigError):
    """Patchbay cannot be reached or fails."""


def read_number(text: str, least: int) -> int:
    """Parses a numeric setting."""
    number = int(text) if text.isdecimal() and text.isascii() else -1
    if not least <= number <= 10_000:
        raise ValueError(f"a number from {least} to 10000 is needed, not {text!r}")
    return number


def read_secret_files(environment: MutableMapping[str, str]) -> None:
    """Takes secrets from files: what `NAME_FILE` names becomes the value of `NAME`, for the worker's own secrets and providers' keys."""
    for variable in [name for name in environment if SECRET_FILE.fullmatch(name)]:
        name = variable.removesuffix("_FILE")
        if name in environment:
            raise ValueError(f"{name} and {variable}: only one of them can be set")
        try:
            with open(environment[variable], encoding="utf-8") as file:
                environment[name] = file.read().rstrip("\r\n")
        except (OSError, ValueError) as error:
            raise ValueError(f"{variable}: {error}") from error
        # The processes of jobs inherit the value.
        del environment[variable]


def worker_id() -> str:
    """The id under which this process registers: its host and process id, and what tells containers apart that share both."""
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:60] or "worker"
    return f"{host}:{os.getpid()}:{secrets.token_hex(3)}"


def load(running: int, capacity: int) -> float:
    """The load that the worker reports, from its jobs alone. The machine's CPU does not decide whether one more job
    fits, and LiveKit drops a dispatch for good if no worker's load is below 0.7."""
    if running >= capacity:
        return 1.0
    return ALMOST_FULL * running / capacity


def room_without_caller(name: str) -> str:
    """A room's name without the caller, for logs: that of an inbound call is `<prefix>_<caller>_<random>`."""
    prefix, _, rest = name.partition("_")
    random = rest.rpartition("_")[2] if "_" in rest else ""
    return f"{prefix}_…{'_' if random else ''}{random}" if rest else name


class WithoutCaller(logging.Filter):
    """Removes the caller from the `room` of log records, and from what the agents library marks as personal."""

    def filter(self, record: logging.LogRecord) -> bool:
        room = getattr(record, "room", None)
        if isinstance(room, str):
            record.room = room_without_caller(room)
        for name in [name for name in vars(record) if name.startswith("lk.pii.")]:
            setattr(record, name, "…")
        return True


@dataclass(frozen=True)
class Dispatch:
    """The ids in a dispatch's metadata, and its room."""

    tenant_id: str
    session_id: str
    agent_run_id: str
    # Only for the run of an inbound call, which LiveKit's rule has dispatched before.
    mapping_id: str | None = field(default=None, compare=False)
    room_name: str = field(default="", compare=False)

    @classmethod
    def parse(cls, metadata: str, room_name: str = "") -> Dispatch | None:
        """The dispatch, or None if the metadata is not Patchbay's."""
        try:
            ids = json.loads(metadata)
            own = (str(ids[name]) for name in ("tenant_id", "session_id", "agent_run_id"))
            return cls(*own, ids.get("mapping_id"), room_name)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    @property
    def ids(self) -> dict[str, str]:
        """For log lines."""
        return {"session_id": self.session_id, "agent_run_id": self.agent_run_id}

    @property
    def identity(self) -> str:
        """The participant identity of the run's agent."""
        return f"agent-{self.agent_run_id}"

    @property
    def session_path(self) -> str:
        return f"/api/tenants/{self.tenant_id}/sessions/{self.session_id}"

    @property
    def run_path(self) -> str:
        return f"{self.session_path}/agent-runs/{self.agent_run_id}"


@dataclass(frozen=True)
class Inbound:
    """The ids in the metadata of an inbound call, which has no session before it is claimed."""

    tenant_id: str
    mapping_id: str
    room_name: str

    @classmethod
    def parse(cls, metadata: str, room_name: str) -> Inbound | None:
        """The call, or None if the metadata is not Patchbay's."""
        try:
            ids = json.loads(metadata)
            return cls(str(ids["tenant_id"]), str(ids["mapping_id"]), room_name)
        except (ValueError, TypeError, KeyError):
            return None

    @property
    def ids(self) -> dict[str, str]:
        """For log lines."""
        return {"mapping_id": self.mapping_id, "room": self.room_name}

    @property
    def claim_path(self) -> str:
        return f"/api/tenants/{self.tenant_id}/inbound-mappings/{self.mapping_id}/claim"

    def claimed(self, answer: dict) -> Dispatch:
        """The dispatch of the claimed call."""
        return Dispatch(self.tenant_id, answer["session_id"], answer["agent_run_id"])


def same_run(one: Dispatch | Inbound, other: Dispatch | Inbound) -> bool:
    """Whether two jobs are for one agent run. Patchbay dispatches a run again if no worker seems to have taken it, and
    LiveKit offers jobs again when it has been restarted: the agent that is here must stay the only one."""
    if isinstance(one, Dispatch) == isinstance(other, Dispatch):
        return one == other
    return one.mapping_id == other.mapping_id and one.room_name == other.room_name


@dataclass(frozen=True)
class RunConfig:
    """The configuration of a run."""

    digest: str
    kind: str
    over: bool
    runtime: dict
    tools: list[dict]
    prompt: str
    greeting: str | None
    call: dict | None = None
    knowledge: dict | None = None


def read_config(answer: dict) -> RunConfig:
    """Parses Patchbay's response; an unknown kind or schema number is an error."""
    configuration = answer["configuration"]
    if configuration["schema"] not in SCHEMAS:
        raise ConfigError(f"configuration schema {configuration['schema']} is newer than this worker")
    runtime = configuration["runtime"]
    if runtime["kind"] not in KINDS:
        raise ConfigError(f"this worker does not run the kind {runtime['kind']}")
    return RunConfig(
        digest=answer["digest"],
        kind=runtime["kind"],
        over=answer["state"] in ("stopping", "ended", "failed"),
        runtime=runtime,
        tools=configuration.get("tools", []),
        prompt=answer["prompt"],
        greeting=answer["greeting"],
        call=answer.get("call"),
        knowledge=configuration.get("knowledge"),
    )


def passages(found: dict) -> str:
    """The hits of a search as text for the model."""
    hits = [{"text": hit["text"], "file": hit["file_name"], "page": hit["page"], "under": hit["headings"]} for hit in found["data"]]
    return json.dumps(hits or "Nothing was found.", ensure_ascii=False)


def attributes(dispatch: Dispatch, config: RunConfig) -> dict[str, str]:
    """The agent's participant attributes, visible to everyone in the room."""
    return {
        "patchbay.session_id": dispatch.session_id,
        "patchbay.agent_run_id": dispatch.agent_run_id,
        "patchbay.configuration_digest": config.digest,
        "patchbay.kind": config.kind,
    }


def keys(payload: str) -> str:
    """The DTMF digits in the payload of `patchbay.dtmf`."""
    digits = str(json.loads(payload)["digits"])
    if not digits or any(digit not in DTMF_CODES and digit != "w" for digit in digits):
        raise ValueError(f"no keys: {digits}")
    return digits


def tone_frames(frequency_hz: int, duration_ms: int) -> Iterator[bytes]:
    """A sine tone as frames of 10 ms, 16-bit mono."""
    step = 2 * math.pi * frequency_hz / SAMPLE_RATE
    for frame in range(duration_ms // 10):
        first = frame * FRAME_SAMPLES
        samples = (int(AMPLITUDE * math.sin(step * (first + n))) for n in range(FRAME_SAMPLES))
        yield struct.pack(f"<{FRAME_SAMPLES}h", *samples)


def utc(seconds: float | None) -> str | None:
    """A Unix time as RFC 3339."""
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc).isoformat()


def turn(item) -> dict | None:
    """The transcript turn of a conversation item; None if it contains no speech."""
    text = (getattr(item, "text_content", None) or "").strip()
    roles = {"user": "user", "assistant": "agent"}
    role = roles.get(getattr(item, "role", None))
    if role is None or not text:
        return None
    spoken = dict(getattr(item, "metrics", None) or {})
    return {
        "id": item.id[:64],
        "role": role,
        "text": text[:MAX_TURN_CHARACTERS],
        "started_at": utc(spoken.get("started_speaking_at") or item.created_at),
        "ended_at": utc(spoken.get("stopped_speaking_at")),
        "interrupted": bool(item.interrupted),
    }


class UsageMeter:
    """Converts growing totals into reports of the difference."""

    AMOUNTS = {
        "llm": {"input_tokens": "input_tokens", "output_tokens": "output_tokens"},
        "stt": {"audio_duration": "audio_seconds"},
        "tts": {"characters_count": "characters"},
    }

    def __init__(self, providers: dict[str, str]):
        """`providers` maps models to providers, as the plugins only report the host."""
        self._providers = providers
        self._reported: dict[tuple[str, str, str], float] = {}

    def news(self, totals: list[dict]) -> list[dict]:
        """The items of a report, for the totals so far."""
        items = []
        for total in totals:
            kind = str(total.get("type", "")).removesuffix("_usage")
            amounts = self.AMOUNTS.get(kind)
            if amounts is None:
                continue
            model = str(total.get("model") or "unknown")
            item = {"kind": kind, "provider": self._providers.get(model, total.get("provider") or "unknown"), "model": model}
            for theirs, ours in amounts.items():
                now, key = total.get(theirs) or 0, (kind, model, ours)
                new = now - self._reported.get(key, 0)
                if new > 0:
                    item[ours] = round(new, 3) if ours == "audio_seconds" else int(new)
                    self._reported[key] = now
            if len(item) > 3:
                items.append(item)
        return items
