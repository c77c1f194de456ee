"""One request on a connection to tokend's socket, kept or new, as a reader makes it."""

import asyncio

# An answer that takes longer is none: somebody hangs.
PATIENCE_SECONDS = 30.0

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def ask(
    connection: Connection, target: str, *headers: str, method: str = "GET", body: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    """Make one request; gives status, headers in lower case, and body."""
    reader, writer = connection
    length = [f"Content-Length: {len(body)}"] if body else []
    lines = [f"{method} {target} HTTP/1.1", "Host: soak", *headers, *length, "", ""]
    writer.write("\r\n".join(lines).encode() + body)
    async with asyncio.timeout(PATIENCE_SECONDS):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        answered = {key.lower(): value for key, _, value in (line.partition(": ") for line in head[1:])}
        text = await reader.readexactly(int(answered.get("content-length", 0)))
    return int(head[0].split()[1]), answered, text
