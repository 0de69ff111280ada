#!/usr/bin/env python3
"""A connection pooler such as stands before a Supabase database.

Usage: pooler.py MODE SOCKET USER DATABASE

MODE is "transaction" or "session": for how long a client keeps the server
connection that it was given.  SOCKET is the Unix socket of a server that trusts
USER.  Prints the port on 127.0.0.1 at which it listens.  Clients are not
authenticated.  Ends when its standard input does.
"""

import asyncio
import struct
import sys

SERVER_CONNECTIONS = 4
PROTOCOL = 196608
SSL_REQUEST = 80877103
GSS_REQUEST = 80877104


def message(kind, payload=b""):
    return kind + struct.pack("!I", len(payload) + 4) + payload


async def read_message(reader):
    head = await reader.readexactly(5)
    length = struct.unpack("!I", head[1:])[0]
    return head[:1], head + await reader.readexactly(length - 4)


class Server:
    """A connection to the server, and what it said about itself at the start."""

    @classmethod
    async def connect(cls, socket, user, database):
        self = cls()
        self.reader, self.writer = await asyncio.open_unix_connection(socket)
        options = b"".join(
            text.encode() + b"\0" for text in ("user", user, "database", database)
        )
        payload = struct.pack("!I", PROTOCOL) + options + b"\0"
        self.writer.write(struct.pack("!I", len(payload) + 4) + payload)
        self.parameters = b""
        while True:
            kind, data = await read_message(self.reader)
            if kind == b"S":
                self.parameters += data
            elif kind == b"E":
                raise RuntimeError(data)
            elif kind == b"Z":
                return self


class Pooler:
    def __init__(self, mode):
        self.mode = mode
        self.idle = asyncio.LifoQueue()

    async def greet(self, reader, writer, server):
        """Answer the client's start-up packet; say nothing of the server's process."""
        while True:
            length, code = struct.unpack("!II", await reader.readexactly(8))
            await reader.readexactly(length - 8)
            if code in (SSL_REQUEST, GSS_REQUEST):
                writer.write(b"N")
                continue
            writer.write(
                message(b"R", struct.pack("!I", 0))
                + server.parameters
                + message(b"K", struct.pack("!II", 1, 1))
                + message(b"Z", b"I")
            )
            return

    async def serve(self, reader, writer):
        server = await self.idle.get()
        try:
            await self.greet(reader, writer, server)
            while True:
                if self.mode == "transaction":
                    self.idle.put_nowait(server)
                    server = None
                server = await self.exchange(reader, writer, server)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
        finally:
            if server is not None and self.mode == "session":
                server.writer.write(message(b"Q", b"DISCARD ALL\0"))
                while (await read_message(server.reader))[0] != b"Z":
                    pass
                self.idle.put_nowait(server)

    async def exchange(self, reader, writer, server):
        """Everything up to the end of a transaction."""
        while True:
            kind, data = await read_message(reader)
            if kind == b"X":
                raise ConnectionError
            if server is None:
                server = await self.idle.get()
            server.writer.write(data)
            if kind not in (b"Q", b"S"):
                continue
            while kind != b"Z":
                kind, data = await read_message(server.reader)
                writer.write(data)
            await writer.drain()
            if data[5:] == b"I":
                return server


async def main(mode, socket, user, database):
    pooler = Pooler(mode)
    for _ in range(SERVER_CONNECTIONS):
        pooler.idle.put_nowait(await Server.connect(socket, user, database))
    listener = await asyncio.start_server(pooler.serve, "127.0.0.1", 0)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
