"""A WebSocket server on a port of its own, which it prints: echoes every message, and does what some of them ask.

usage: server.py NAME
"""

import asyncio
import sys

import websockets

NAME = sys.argv[1]


async def serve(socket):
    try:
        await answer(socket)
    except websockets.ConnectionClosed:
        # Closed with another code than 1000.
        pass
    print("closed", socket.close_code, socket.close_reason, flush=True)


async def answer(socket):
    async for message in socket:
        if message == "who?":
            await socket.send(NAME)
        elif message == "ping me":
            await (await socket.ping(b"server's"))
            await socket.send("got your pong")
        elif message == "close":
            await socket.close(4001, "as you wish")
        else:
            await socket.send(message)


async def main():
    # Pings of its own would be traffic that no test asked for.
    async with websockets.serve(serve, "127.0.0.1", 0, max_size=8 << 20, ping_interval=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
