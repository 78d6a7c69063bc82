"""The reference worker, but it needs SLOW_SECONDS to accept a job (LiveKit gives up after 3 s), with SLOW_FIRST only the
first one of each room. With SLOW_NAIVE it accepts every job under a new identity, as a worker does that does not know
Patchbay's agent runs."""

import asyncio
import os
import sys

sys.path.insert(0, os.environ["SLOW_WORKER"])

from livekit.agents import cli

import worker


rooms = set()


async def accept(request):
    if not (os.environ.get("SLOW_FIRST") and request.room.name in rooms):
        rooms.add(request.room.name)
        await asyncio.sleep(float(os.environ["SLOW_SECONDS"]))
    if os.environ.get("SLOW_NAIVE"):
        await request.accept(name="agent", identity=f"agent-{request.id}")
    else:
        await worker.accept(request)


worker.server._request_fnc = accept

if __name__ == "__main__":
    cli.run_app(worker.server)
