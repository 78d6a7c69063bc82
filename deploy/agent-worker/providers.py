"""Models of a configuration: plugins of livekit-agents, their keys, and fallbacks."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import pkgutil
from importlib import metadata

from livekit.agents import APIConnectionError, APIConnectOptions, APIError, inference, llm, stt, tts

from patchbay_worker import ConfigError

ATTEMPT_SECONDS = 10.0
# Environment variables with the providers' keys.
KEYS = {
    "anthropic": "ANTHROPIC_API_KEY",
    "cartesia": "CARTESIA_API_KEY",
    "deepgram": "DEEPGRAM_API_KEY",
    "elevenlabs": "ELEVEN_API_KEY",
    "google": "GOOGLE_API_KEY",
    "groq": "GROQ_API_KEY",
    "openai": "OPENAI_API_KEY",
}
# Options with another name at a provider.
NAMES = {("elevenlabs", "voice"): "voice_id"}


def load_plugins() -> dict[str, object]:
    """Imports every installed plugin. They register themselves, which must happen in the main thread."""
    try:
        import livekit.plugins as installed
    except ModuleNotFoundError:
        return {}
    names = [module.name for module in pkgutil.iter_modules(installed.__path__)]
    return {name: importlib.import_module(f"livekit.plugins.{name}") for name in names}


PLUGINS = load_plugins()


def version_of(plugin: str) -> str | None:
    """The version of a plugin; None if it is not in a package of the usual name."""
    try:
        return metadata.version(f"livekit-plugins-{plugin.replace('_', '-')}")
    except metadata.PackageNotFoundError:
        return None


def installed() -> list[dict]:
    """The installed plugins, with whether the providers' keys are set; never the keys."""
    plugins = []
    for name in sorted(PLUGINS):
        variable = KEYS.get(name)
        plugins.append({
            "name": name,
            "version": version_of(name),
            "has_key": None if variable is None else bool(os.environ.get(variable)),
        })
    return plugins


def own_keys() -> dict[str, str]:
    """Keys for base URLs that are not the provider's: `{"http://10.0.0.5:8000/v1": "key"}`."""
    return json.loads(os.environ.get("PATCHBAY_PROVIDER_KEYS") or "{}")


def build(part: str, spec: dict):
    """Builds one model, without its fallbacks."""
    provider = spec["provider"]
    plugin = PLUGINS.get(provider)
    if plugin is None:
        raise ConfigError(f"{part}: the plugin livekit-plugins-{provider.replace('_', '-')} is missing in this worker")
    make = getattr(plugin, part.upper(), None)
    if make is None:
        raise ConfigError(f"{part}: the plugin {provider} has none")
    known = inspect.signature(make.__init__).parameters
    arguments = {"model": spec["model"], **credentials(part, provider, spec.get("base_url"), known)}
    for name, value in (spec.get("options") or {}).items():
        name = NAMES.get((provider, name), name)
        if name not in known:
            raise ConfigError(f"{part}: the plugin {provider} knows no option {name}")
        arguments[name] = value
    if part == "tts" and "response_format" in known:
        # Raw samples need no decoder.
        arguments["response_format"] = "pcm"
    return make(**arguments)


def credentials(part: str, provider: str, base_url: str | None, known) -> dict:
    """A key from the environment is sent only to the provider's own host."""
    if base_url is not None:
        if "base_url" not in known:
            raise ConfigError(f"{part}: the plugin {provider} takes no base_url")
        return {"base_url": base_url, "api_key": own_keys().get(base_url, "none")}
    variable = KEYS.get(provider)
    if variable is not None and not os.environ.get(variable):
        raise ConfigError(f"{part}: {variable} is not set in this worker's environment")
    return {}


def chain(spec: dict) -> list[dict]:
    """The model and its fallbacks, in order."""
    return [spec, *spec.get("fallbacks", [])]


def speech_to_text(spec: dict, vad):
    models = [build("stt", one) for one in chain(spec)]
    if len(models) == 1:
        return models[0]
    if any(model.capabilities.streaming for model in models):
        return stt.FallbackAdapter(models, vad=vad, attempt_timeout=ATTEMPT_SECONDS, max_retry_per_stt=0)
    return InTurn(models)


def language_model(spec: dict):
    models = [build("llm", one) for one in chain(spec)]
    return models[0] if len(models) == 1 else llm.FallbackAdapter(models, attempt_timeout=ATTEMPT_SECONDS)


def text_to_speech(spec: dict):
    models = [build("tts", one) for one in chain(spec)]
    return models[0] if len(models) == 1 else tts.FallbackAdapter(models, max_retry_per_tts=0)


def voice_activity(spec: dict | None):
    """livekit-agents brings the model (silero) along."""
    if spec is None:
        return inference.VAD(min_silence_duration=0.55)
    return inference.VAD(
        activation_threshold=spec["threshold"],
        min_speech_duration=spec["min_speech_ms"] / 1000,
        min_silence_duration=spec["min_silence_ms"] / 1000,
    )


def provider_of(runtime: dict) -> dict[str, str]:
    """The provider of each model."""
    parts = (runtime.get(part) for part in ("stt", "llm", "tts"))
    return {one["model"]: one["provider"] for part in parts if part for one in chain(part)}


class InTurn(stt.STT):
    """Several models that take whole utterances: each is given the same one until one understands it.

    livekit-agents' own adapter drops the utterance that the first one failed on.
    """

    def __init__(self, models: list[stt.STT]):
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self._models = models
        self._latest = models[0]
        # The models count what they heard themselves; counting here too would double it.
        self._recognize_metrics_needed = False
        for model in models:
            model.on("metrics_collected", lambda metrics: self.emit("metrics_collected", metrics))

    @property
    def model(self) -> str:
        return self._latest.model

    @property
    def provider(self) -> str:
        return self._latest.provider

    async def _recognize_impl(self, buffer, *, language, conn_options):
        once = APIConnectOptions(max_retry=0, timeout=ATTEMPT_SECONDS)
        failures = []
        for model in self._models:
            try:
                attempt = model.recognize(buffer, language=language, conn_options=once)
                event = await asyncio.wait_for(attempt, ATTEMPT_SECONDS)
            except (APIError, asyncio.TimeoutError) as error:
                failures.append(f"{model.model}: {error}")
                continue
            self._latest = model
            return event
        # All models have failed: a retry of all of them would only take longer.
        raise APIConnectionError("; ".join(failures), retryable=False)
