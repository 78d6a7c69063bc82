"""An MCP server: the protocol's own SDK, with a few tools. Arguments: port, then `stateless` or `stateful`."""

import sys

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("orders")


@server.tool()
def find_order(number: str) -> dict[str, str]:
    """Finds an order."""
    return {"number": number, "state": "sent"}


@server.tool()
def whoami(ctx: Context) -> str:
    """Tells the header it was called with."""
    return ctx.request_context.request.headers.get("authorization", "nobody")


@server.tool()
def fail() -> str:
    """Fails."""
    raise ValueError("out of order")


@server.tool()
async def sleep(seconds: float) -> str:
    """Takes its time."""
    import asyncio

    await asyncio.sleep(seconds)
    return "slept"


if __name__ == "__main__":
    stateless = sys.argv[2] == "stateless"
    server.run(
        "streamable-http",
        host="127.0.0.1",
        port=int(sys.argv[1]),
        stateless_http=stateless,
        json_response=stateless,
    )
