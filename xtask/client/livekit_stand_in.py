"""A stand-in for LiveKit with very many rooms: it keeps what it is asked to create and answers truthfully. An agent is in
each room from its dispatch on. GET /counts says how often each method was called, and how many rooms there are."""

import json
import sys
from collections import Counter

from aiohttp import web
from livekit.protocol import agent_dispatch, models, room as rooms

ROOMS: dict[str, tuple[models.Room, list[models.ParticipantInfo]]] = {}
COUNTS: Counter[str] = Counter()


def agent(metadata: str) -> models.ParticipantInfo:
    run = json.loads(metadata)["agent_run_id"]
    return models.ParticipantInfo(
        sid=f"PA_{run}", identity=f"agent-{run}", kind=models.ParticipantInfo.Kind.AGENT, state=models.ParticipantInfo.State.ACTIVE
    )


def create_room(body: bytes):
    request = rooms.CreateRoomRequest.FromString(body)
    if request.name not in ROOMS:
        room = models.Room(sid=f"RM_{len(ROOMS)}", name=request.name)
        ROOMS[request.name] = (room, [agent(one.metadata) for one in request.agents])
    return ROOMS[request.name][0]


def list_rooms(body: bytes):
    names = rooms.ListRoomsRequest.FromString(body).names
    found = (ROOMS[name][0] for name in (names or list(ROOMS)) if name in ROOMS)
    return rooms.ListRoomsResponse(rooms=found)


def list_participants(body: bytes):
    name = rooms.ListParticipantsRequest.FromString(body).room
    return rooms.ListParticipantsResponse(participants=ROOMS.get(name, (None, []))[1])


def delete_room(body: bytes):
    ROOMS.pop(rooms.DeleteRoomRequest.FromString(body).room, None)
    return rooms.DeleteRoomResponse()


METHODS = {
    "CreateRoom": create_room,
    "ListRooms": list_rooms,
    "ListParticipants": list_participants,
    "DeleteRoom": delete_room,
    "ListDispatch": lambda _: agent_dispatch.ListAgentDispatchResponse(),
}


async def answer(request: web.Request) -> web.Response:
    method = request.match_info["method"]
    COUNTS[method] += 1
    if method not in METHODS:
        return web.json_response({"code": "unimplemented", "msg": method}, status=501)
    made = METHODS[method](await request.read())
    return web.Response(body=made.SerializeToString(), content_type="application/protobuf")


async def counts(_: web.Request) -> web.Response:
    return web.json_response({**COUNTS, "rooms": len(ROOMS)})


if __name__ == "__main__":
    app = web.Application(client_max_size=1 << 24)
    app.router.add_get("/counts", counts)
    app.router.add_post("/twirp/{service}/{method}", answer)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=lambda _: print("listening", flush=True))
