"""A real LiveKit client: joins with a token, sends a 440 Hz tone and listens for it.

Arguments: server URL, token, seconds to try, seconds to stay afterwards (0). Prints one JSON line for each thing that happens;
exits with 0 once the greeting and 440 Hz have both been heard.
"""

import asyncio
import json
import math
import os
import struct
import sys
import time

from livekit import rtc

RATE = 48_000
FRAME = RATE // 100
SENT_HZ = 440
WINDOW = RATE // 5


def say(event, **more):
    print(json.dumps({"event": event, "at": time.time(), **more}), flush=True)


def power(samples, frequency):
    """Share of the signal's power at this frequency (Goertzel)."""
    total = sum(s * s for s in samples)
    if total < len(samples) * 200.0**2 / 2:
        return 0.0
    factor = 2 * math.cos(2 * math.pi * frequency / RATE)
    a = b = 0.0
    for sample in samples:
        a, b = sample + factor * a - b, a
    return (a * a + b * b - factor * a * b) * 2 / (total * len(samples))


async def send(source):
    step = 2 * math.pi * SENT_HZ / RATE
    n = 0
    while True:
        samples = [int(8000 * math.sin(step * (n + i))) for i in range(FRAME)]
        n += FRAME
        frame = rtc.AudioFrame(struct.pack(f"<{FRAME}h", *samples), RATE, 1, FRAME)
        await source.capture_frame(frame)


async def listen(track, heard):
    samples = []
    async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
        samples.extend(event.frame.data)
        if len(samples) < WINDOW:
            continue
        for frequency in (880, SENT_HZ):
            share = power(samples, frequency)
            if share > 0.5 and frequency not in heard:
                heard[frequency] = share
                say("heard", frequency_hz=frequency, share=round(share, 3))
        samples = []


async def main(url, token, patience, stay=0.0):
    room = rtc.Room()
    heard = {}
    tasks = []

    @room.on("track_subscribed")
    def on_track(track, publication, participant):
        say("track", identity=participant.identity, attributes=dict(participant.attributes))
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            tasks.append(asyncio.create_task(listen(track, heard)))

    @room.on("sip_dtmf_received")
    def on_key(key):
        say("key", digit=key.digit, code=key.code)

    @room.on("disconnected")
    def on_end(reason):
        say("disconnected", reason=str(reason))

    await asyncio.wait_for(room.connect(url, token), 15)
    say("joined", identity=room.local_participant.identity)
    source = rtc.AudioSource(RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track("tone", source)
    await room.local_participant.publish_track(track)
    tasks.append(asyncio.create_task(send(source)))
    deadline = time.time() + patience
    while time.time() < deadline and not {880, SENT_HZ} <= heard.keys():
        await asyncio.sleep(0.05)
    ok = {880, SENT_HZ} <= heard.keys()
    await asyncio.sleep(stay if ok else 0)
    for task in tasks:
        task.cancel()
    await room.disconnect()
    say("done", ok=ok)
    return 0 if ok else 1


code = asyncio.run(main(*sys.argv[1:3], *map(float, sys.argv[3:])))
# LiveKit's native threads may still call into Python, and abort the process while the interpreter is taken down.
os._exit(code)
