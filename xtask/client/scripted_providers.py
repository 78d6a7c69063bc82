"""Speech to text, a language model and text to speech that speak the shapes of OpenAI's API from a script, and a shop.

Argument: port. What is real: the requests, the audio in them, the streaming, the tool calls and their results. What
is scripted: it understands nothing. Whatever it hears was a question about order A-17; it asks for the tools it is
offered, one after the other, and then repeats what the first one answered; its voice is a tone of 660 Hz. The shop
knows every order, and whoever has a token.
"""

import asyncio
import io
import json
import math
import struct
import sys
import time
import wave

from aiohttp import web

HEARD = "Where is my order A-17?"
ARGUMENTS = {
    "find_order": {"number": "A-17"},
    "open_page": {"page": "orders/A-17"},
    "search_knowledge": {"query": "How are parcels shipped?"},
}
VOICE_HZ = 660
RATE = 24_000
LOUD = 200


async def transcriptions(request: web.Request) -> web.Response:
    """Tells speech from silence, no more."""
    audio = b""
    async for part in await request.multipart():
        data = await part.read()
        if part.name == "file":
            audio = bytes(data)
    with wave.open(io.BytesIO(audio)) as sound:
        frames = sound.readframes(sound.getnframes())
    samples = struct.unpack(f"<{len(frames) // 2}h", frames)
    loudness = math.sqrt(sum(s * s for s in samples) / max(1, len(samples)))
    return web.json_response({"text": HEARD if loudness > LOUD else ""})


def next_step(body: dict) -> tuple[str | None, str]:
    """The tool to ask for, or what to say."""
    messages = body["messages"]
    asked = max((n for n, message in enumerate(messages) if message["role"] == "user"), default=-1)
    results = [message["content"] for message in messages[asked:] if message["role"] == "tool"]
    offered = [tool["function"]["name"] for tool in body.get("tools", [])]
    wanted = [name for name in ARGUMENTS if name in offered]
    if asked >= 0 and len(results) < len(wanted):
        return wanted[len(results)], ""
    return None, f"The answer is: {results[0]}." if results else "How can I help you?"


async def completions(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    tool, text = next_step(body)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)

    async def send(choices: list, **more: object) -> None:
        chunk = {"id": "c1", "object": "chat.completion.chunk", "created": int(time.time()), "model": body["model"]}
        await response.write(f"data: {json.dumps(chunk | {'choices': choices} | more)}\n\n".encode())

    async def delta(delta: dict, finish: str | None = None) -> None:
        await send([{"index": 0, "delta": delta, "finish_reason": finish}])

    if tool:
        function = {"name": tool, "arguments": json.dumps(ARGUMENTS[tool])}
        call = {"index": 0, "id": f"call_{time.time_ns()}", "type": "function", "function": function}
        await delta({"role": "assistant", "content": None, "tool_calls": [call]})
        await delta({}, "tool_calls")
    else:
        await delta({"role": "assistant", "content": ""})
        for word in text.split(" "):
            await delta({"content": f"{word} "})
        await delta({}, "stop")
    await send([], usage={"prompt_tokens": 40, "completion_tokens": 9, "total_tokens": 49})
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


async def speech(request: web.Request) -> web.StreamResponse:
    """A tone, 40 ms for each character."""
    body = await request.json()
    count = int(RATE * min(3.0, 0.04 * len(body["input"])))
    step = 2 * math.pi * VOICE_HZ / RATE
    sound = struct.pack(f"<{count}h", *(int(8000 * math.sin(step * n)) for n in range(count)))
    response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
    await response.prepare(request)
    try:
        await response.write(sound)
        await response.write_eof()
    except ConnectionError:
        # The agent was interrupted.
        pass
    return response


async def order(request: web.Request) -> web.Response:
    """The shop's API: what a tool calls."""
    if not request.headers.get("Authorization", "").startswith("Bearer "):
        return web.json_response({"message": "who are you?"}, status=401)
    return web.json_response({"order": {"number": request.match_info["number"], "state": "sent", "arrives": "tomorrow"}})


async def main(port: int) -> None:
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/audio/transcriptions", transcriptions)
    app.router.add_post("/v1/chat/completions", completions)
    app.router.add_post("/v1/audio/speech", speech)
    app.router.add_get("/shop/orders/{number}", order)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print("listening", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(int(sys.argv[1])))
