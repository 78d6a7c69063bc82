"""Sends signed webhook events of LiveKit at a steady rate, to several processes in turn. Standard input: a line for each
room, its name and sid. Prints how many were answered in which time, as JSON."""

import asyncio
import base64
import hashlib
import json
import sys
import time
import uuid

from livekit import api

CONNECTIONS = 16


def request(host: str, key: str, secret: str, event: dict) -> bytes:
    body = json.dumps(event).encode()
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    token = api.AccessToken(key, secret).with_sha256(digest).to_jwt()
    head = (
        f"POST /api/livekit/webhooks HTTP/1.1\r\nhost: {host}\r\nauthorization: {token}\r\n"
        f"content-type: application/webhook+json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def events(rooms: list[list[str]], count: int):
    """People join and leave, in one room after the other."""
    for number in range(count):
        name, sid = rooms[number % len(rooms)]
        turn = number // len(rooms)
        person = {"sid": f"PA_{turn // 2}", "identity": f"p{turn // 2}", "name": "p"}
        kind = "participant_left" if turn % 2 else "participant_joined"
        yield {
            "id": f"EV_{uuid.uuid4().hex[:20]}", "event": kind, "createdAt": str(int(time.time())),
            "room": {"sid": sid, "name": name}, "participant": person,
        }


async def connection(host: str, requests: list[tuple[float, bytes]], start: float, wrong: list[str]) -> None:
    name, port = host.split(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    for due, bytes_ in requests:
        delay = start + due - time.monotonic()
        if delay > 0:
            await asyncio.sleep(delay)
        writer.write(bytes_)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            wrong.append(answer.decode()[:200])
            return
    writer.close()


async def main() -> None:
    hosts, key, secret, rate, seconds = sys.argv[1].split(","), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
    rooms = [line.split() for line in sys.stdin if line.strip()]
    # The server closes a connection on which nothing happens for some seconds.
    lanes = min(CONNECTIONS, rate)
    plan: list[list[tuple[float, bytes]]] = [[] for _ in range(lanes)]
    for number, event in enumerate(events(rooms, rate * seconds)):
        lane = number % lanes
        plan[lane].append((number / rate, request(hosts[lane % len(hosts)], key, secret, event)))
    print("ready", flush=True)
    start, wrong = time.monotonic(), []
    await asyncio.gather(*(connection(hosts[lane % len(hosts)], plan[lane], start, wrong) for lane in range(lanes)))
    print(json.dumps({"events": rate * seconds, "seconds": time.monotonic() - start, "wrong": wrong}), flush=True)


asyncio.run(main())
