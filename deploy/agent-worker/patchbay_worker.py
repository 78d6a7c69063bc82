"""The parts of the worker that need neither LiveKit nor Patchbay."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

SAMPLE_RATE = 48_000
FRAME_SAMPLES = SAMPLE_RATE // 100
AMPLITUDE = 8_000


class ConfigError(Exception):
    """Patchbay's answer is not one that this worker can run."""


@dataclass(frozen=True)
class Dispatch:
    """The ids in a dispatch's metadata."""

    tenant_id: str
    session_id: str
    agent_run_id: str

    @classmethod
    def parse(cls, metadata: str) -> Dispatch | None:
        """The dispatch, or None where the metadata is somebody else's."""
        try:
            ids = json.loads(metadata)
            return cls(str(ids["tenant_id"]), str(ids["session_id"]), str(ids["agent_run_id"]))
        except (ValueError, TypeError, KeyError):
            return None

    @property
    def ids(self) -> dict[str, str]:
        """For log lines."""
        return {"session_id": self.session_id, "agent_run_id": self.agent_run_id}

    @property
    def identity(self) -> str:
        """The identity by which Patchbay knows the run's agent."""
        return f"agent-{self.agent_run_id}"

    @property
    def session_path(self) -> str:
        return f"/api/tenants/{self.tenant_id}/sessions/{self.session_id}"

    @property
    def config_path(self) -> str:
        return f"{self.session_path}/agent-runs/{self.agent_run_id}/config"

    @property
    def stop_path(self) -> str:
        return f"{self.session_path}/stop"


@dataclass(frozen=True)
class EchoConfig:
    """What an `echo` run needs to know."""

    digest: str
    over: bool
    tone_hz: int
    tone_ms: int


def read_config(answer: dict) -> EchoConfig:
    """Reads the answer of Patchbay; a kind or schema that is not known is an error, not a guess."""
    configuration = answer["configuration"]
    if configuration["schema"] != 1:
        raise ConfigError(f"configuration schema {configuration['schema']} is newer than this worker")
    runtime = configuration["runtime"]
    if runtime["kind"] != "echo":
        raise ConfigError(f"this worker does not run the kind {runtime['kind']}")
    return EchoConfig(
        digest=answer["digest"],
        over=answer["state"] in ("stopping", "ended", "failed"),
        tone_hz=runtime["greeting_tone"]["frequency_hz"],
        tone_ms=runtime["greeting_tone"]["duration_ms"],
    )


def attributes(dispatch: Dispatch, config: EchoConfig) -> dict[str, str]:
    """What the agent says of itself to everyone in the room."""
    return {
        "patchbay.session_id": dispatch.session_id,
        "patchbay.agent_run_id": dispatch.agent_run_id,
        "patchbay.configuration_digest": config.digest,
        "patchbay.kind": "echo",
    }


def tone_frames(frequency_hz: int, duration_ms: int) -> Iterator[bytes]:
    """A sine tone as frames of 10 ms, 16-bit mono."""
    step = 2 * math.pi * frequency_hz / SAMPLE_RATE
    for frame in range(duration_ms // 10):
        first = frame * FRAME_SAMPLES
        samples = (int(AMPLITUDE * math.sin(step * (first + n))) for n in range(FRAME_SAMPLES))
        yield struct.pack(f"<{FRAME_SAMPLES}h", *samples)
