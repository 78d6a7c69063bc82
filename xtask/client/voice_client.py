"""A caller: joins with a token, hears the greeting, says something, and hears the answer.

Arguments: server URL, token, seconds to try, and a WAV file (48 kHz, mono) to speak; without it, synthesised vowels.
It answers the RPC method `open_page` like an app that shows pages. Prints one JSON line for each thing that happens;
exits with 0 once greeting and answer have been heard.
"""

import asyncio
import json
import os
import sys
import time
import wave

import numpy as np
from livekit import rtc

RATE = 48_000
FRAME = RATE // 100
VOICE_HZ = 660
WINDOW = RATE // 10


def say(event, **more):
    print(json.dumps({"event": event, "at": time.time(), **more}), flush=True)


def vowels(seconds: float) -> np.ndarray:
    """Enough of a human voice for a voice activity detector: a gliding pitch through moving formants, in syllables."""
    t = np.arange(int(RATE * seconds)) / RATE
    pitch = 115 * (1 + 0.12 * np.sin(2 * np.pi * 0.8 * t))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formants = [
        (520 + 230 * np.sin(2 * np.pi * 2.1 * t), 90, 1.0),
        (1450 + 550 * np.sin(2 * np.pi * 1.4 * t + 1), 120, 0.6),
        (2550 + 180 * np.sin(2 * np.pi * 1.0 * t + 2), 170, 0.3),
    ]
    sound = np.zeros_like(t)
    for harmonic in range(1, 36):
        frequency = harmonic * pitch
        weight = sum(gain / (1 + ((frequency - centre) / width) ** 2) for centre, width, gain in formants)
        sound += weight / harmonic**0.3 * np.sin(harmonic * phase)
    sound *= np.clip(0.6 + 0.6 * np.sin(2 * np.pi * 3.8 * t), 0, 1)
    return (sound / np.abs(sound).max() * 14_000).astype(np.int16)


def recording(path: str) -> np.ndarray:
    with wave.open(path) as sound:
        return np.frombuffer(sound.readframes(sound.getnframes()), np.int16)


def is_voice(samples: np.ndarray) -> bool:
    """Whether most of the power is at the voice's pitch."""
    signal = samples.astype(float)
    power = float(np.mean(signal**2))
    if power < 200.0**2:
        return False
    n = np.arange(len(signal))
    tone = abs(np.sum(signal * np.exp(-2j * np.pi * VOICE_HZ / RATE * n))) * 2 / len(signal)
    return tone**2 / 2 / power > 0.5


class Caller:
    def __init__(self, speech: np.ndarray):
        self.speech = speech
        self.pending = np.zeros(0, np.int16)
        self.spoken_at = None
        self.heard = []
        self.last_voice = 0.0
        self.done = asyncio.Event()

    async def microphone(self, source: rtc.AudioSource) -> None:
        """A microphone never stops: silence is sent too."""
        while True:
            frame, self.pending = self.pending[:FRAME], self.pending[FRAME:]
            if len(frame) and not len(self.pending):
                self.spoken_at = time.time()
                say("spoke")
            frame = np.pad(frame, (0, FRAME - len(frame))).astype(np.int16)
            await source.capture_frame(rtc.AudioFrame(frame.tobytes(), RATE, 1, FRAME))

    async def listen(self, track: rtc.Track) -> None:
        samples = np.zeros(0, np.int16)
        async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
            samples = np.concatenate([samples, np.frombuffer(event.frame.data, np.int16)])
            if len(samples) < WINDOW:
                continue
            self.judge(is_voice(samples), time.time())
            samples = np.zeros(0, np.int16)

    def judge(self, voice: bool, now: float) -> None:
        silent_for = now - self.last_voice
        if voice:
            if silent_for > 1.0:
                after = round(now - self.spoken_at, 2) if self.spoken_at else None
                say("heard", what="answer" if self.spoken_at else "greeting", seconds_after_speech=after)
                self.heard.append("answer" if self.spoken_at else "greeting")
            self.last_voice = now
        elif self.heard and silent_for > 0.8 and self.spoken_at is None and not len(self.pending):
            self.pending = self.speech
        elif "answer" in self.heard and silent_for > 0.8:
            self.done.set()


async def main(url: str, token: str, patience: float, file: str | None) -> int:
    caller = Caller(recording(file) if file else vowels(2.0))
    room = rtc.Room()
    tasks = []

    @room.on("track_subscribed")
    def on_track(track, publication, participant):
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            say("track", identity=participant.identity, attributes=dict(participant.attributes))
            tasks.append(asyncio.create_task(caller.listen(track)))

    await asyncio.wait_for(room.connect(url, token), 15)
    say("joined", identity=room.local_participant.identity)

    async def open_page(call: rtc.RpcInvocationData) -> str:
        say("rpc", method=call.method, payload=json.loads(call.payload))
        return json.dumps({"opened": True})

    room.local_participant.register_rpc_method("open_page", open_page)
    source = rtc.AudioSource(RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    await room.local_participant.publish_track(track, options)
    tasks.append(asyncio.create_task(caller.microphone(source)))
    try:
        await asyncio.wait_for(caller.done.wait(), patience)
    except asyncio.TimeoutError:
        pass
    for task in tasks:
        task.cancel()
    await room.disconnect()
    ok = caller.heard[:1] == ["greeting"] and "answer" in caller.heard
    say("done", ok=ok)
    return 0 if ok else 1


code = asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None))
# LiveKit's native threads may still call into Python, and abort the process while the interpreter is taken down.
os._exit(code)
