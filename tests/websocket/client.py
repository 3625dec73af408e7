"""A WebSocket client that goes through all a server does, twice, and prints what it saw.

usage: client.py URL [COOKIE]
"""

import asyncio
import hashlib
import sys

import websockets

URL = sys.argv[1]
COOKIE = sys.argv[2:3]


def connect():
    headers = {"Cookie": cookie for cookie in COOKIE}
    return websockets.connect(URL, extra_headers=headers, max_size=8 << 20, ping_interval=None)


async def echo(socket, message):
    await socket.send(message)
    answer = await socket.recv()
    assert answer == message, f"{len(message)} sent, {len(answer)} back"


async def talk(socket):
    for field in socket.response_headers.get_all("Set-Cookie"):
        print("cookie", field.split(";")[0])
    await socket.send("who?")
    print("server", await socket.recv())
    for text in ["", "text", "æøå €", "\0"]:
        await echo(socket, text)
    for size in [0, 1, 125, 126, 65535, 65536]:
        await echo(socket, bytes(index % 251 for index in range(size)))
    million = b"".join(hashlib.sha256(b"%d" % index).digest() for index in range(1 << 15))
    assert len(million) == 1 << 20
    await echo(socket, million)
    # A message in fragments is one message.
    await socket.send(["frag", "men", "ted"])
    assert await socket.recv() == "fragmented"
    # Sent before any of the answers is read.
    await asyncio.gather(*(socket.send(f"{index}") for index in range(100)))
    assert [await socket.recv() for _ in range(100)] == [f"{index}" for index in range(100)]
    await (await socket.ping(b"client's"))
    await socket.send("ping me")
    assert await socket.recv() == "got your pong"


async def main():
    async with connect() as socket:
        await talk(socket)
        await socket.close(1000, "enough")
        print("closed", socket.close_code)
    async with connect() as socket:
        await talk(socket)
        await socket.send("close")
        try:
            await socket.recv()
        except websockets.ConnectionClosed as end:
            print("closed", end.rcvd.code, end.rcvd.reason)


asyncio.run(main())
