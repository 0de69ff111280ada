#!/usr/bin/env python3
"""A long, narrow line between two servers.

    link.py --target PORT|PATH --delay MS --rate MBIT --port-file FILE
            --counter-file FILE

Relays every connection to a free port of 127.0.0.1 to PORT of 127.0.0.1, or to
the Unix socket PATH.  Each byte arrives MS milliseconds after it was sent, in
either direction, and all connections together get MBIT megabits per second in
each direction.  What has come from the target so far is in the counter file,
in bytes.  Ends when its input does.

As much as the line holds (rate * delay) is on its way; a sender who is faster
waits, as with TCP whose window has opened.
"""

import argparse
import asyncio
import os
import sys

PIECE = 16 * 1024
# Sleeping is not exact: what was slept too long may be caught up with.
BURST_SECONDS = 0.005
COUNTER_SECONDS = 0.05


class Direction:
    """The line in one direction; all connections share it."""

    def __init__(self, bytes_per_second, delay):
        self.bytes_per_second = bytes_per_second
        self.delay = delay
        # So many pieces fit on the line, and as many wait for the receiver.
        self.pieces = 16 + int(2 * bytes_per_second * delay / PIECE)
        self.free_at = 0.0
        self.total = 0

    async def send(self, length):
        """Wait for the turn of that many bytes; returns when they arrive."""
        loop = asyncio.get_running_loop()
        self.free_at = (max(self.free_at, loop.time() - BURST_SECONDS) +
                        length / self.bytes_per_second)
        self.total += length
        ahead = self.free_at - loop.time()
        if ahead > 0:
            await asyncio.sleep(ahead)
        return self.free_at + self.delay


async def pump(reader, writer, direction):
    """Bytes from reader to writer, in time."""
    on_the_way = asyncio.Queue(direction.pieces)

    async def deliver():
        while True:
            arrival, data = await on_the_way.get()
            ahead = arrival - asyncio.get_running_loop().time()
            if ahead > 0:
                await asyncio.sleep(ahead)
            if not data:
                writer.close()
                return
            writer.write(data)
            await writer.drain()

    delivery = asyncio.create_task(deliver())
    try:
        while not delivery.done():
            try:
                data = await reader.read(PIECE)
            except ConnectionError:
                data = b""
            arrival = await direction.send(len(data))
            await on_the_way.put((arrival, data))
            if not data:
                break
        await delivery
    except ConnectionError:
        writer.close()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--delay", type=float, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--port-file", required=True)
    parser.add_argument("--counter-file", required=True)
    args = parser.parse_args()

    there = Direction(args.rate * 1e6 / 8, args.delay / 1000)
    back = Direction(args.rate * 1e6 / 8, args.delay / 1000)

    async def connect():
        if args.target.startswith("/"):
            return await asyncio.open_unix_connection(args.target, limit=PIECE)
        return await asyncio.open_connection("127.0.0.1", int(args.target),
                                             limit=PIECE)

    async def relay(reader, writer):
        # A connection is there after one round trip.
        await asyncio.sleep(2 * args.delay / 1000)
        try:
            their_reader, their_writer = await connect()
        except OSError as error:
            print("link.py: %s" % error, file=sys.stderr)
            writer.close()
            return
        await asyncio.gather(pump(reader, their_writer, there),
                             pump(their_reader, writer, back))

    async def count():
        while True:
            with open(args.counter_file + ".new", "w") as file:
                file.write("%d\n" % back.total)
            os.rename(args.counter_file + ".new", args.counter_file)
            await asyncio.sleep(COUNTER_SECONDS)

    server = await asyncio.start_server(relay, "127.0.0.1", 0, limit=PIECE)
    counter = asyncio.create_task(count())
    await asyncio.sleep(COUNTER_SECONDS)
    with open(args.port_file + ".new", "w") as file:
        file.write("%d\n" % server.sockets[0].getsockname()[1])
    os.rename(args.port_file + ".new", args.port_file)

    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    counter.cancel()


if __name__ == "__main__":
    # Not asyncio.run(): connections that are still open end with us.
    asyncio.new_event_loop().run_until_complete(main())
    os._exit(0)
