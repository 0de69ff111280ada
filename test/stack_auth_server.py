#!/usr/bin/env python3
"""A stand-in for Stack Auth's REST API, for the demo and the tests.

Serves, on 127.0.0.1 and from the Python standard library alone, the part of
https://api.stack-auth.com that a migration of users touches: the current
project, users, contact channels, OAuth providers, password and TOTP sign-in,
sessions, and the sending of password resets.  It keeps the real server's
rules and its traps: unknown fields are refused, an e-mail is unique only when
it may be signed in with, an OAuth account in use ends in a slow opaque 500,
TOTP counts only when it was PATCHed, lists hide anonymous users, and so on.

test/t/070_stack_auth_server.pl replays the answers recorded from the real
server (test/fixtures/stack_auth) against this one, so that the two cannot
drift apart.  What no recording shows (most texts of validation errors, a few
codes) is worded here; clients should not depend on it.

test/stack_auth holds what it is made of: server.py says what else the tests
may ask it, faults.py how to make it fail.
"""

import argparse
import json
import os
import select
import signal
import sqlite3
import sys
import threading

from stack_auth.config import merge_config
from stack_auth.server import StandIn
from stack_auth.validation import MAX_JSON_DEPTH


def read_json(argument):
    """JSON given in place, or the name of a file that holds it."""
    if argument.lstrip()[:1] in ("{", "["):
        return json.loads(argument)
    with open(argument, encoding="utf-8") as file:
        return json.load(file)


def write_port_file(path, port):
    """The name appears with its content, never before."""
    partial = "%s.%d" % (path, os.getpid())
    with open(partial, "w", encoding="ascii") as file:
        file.write("%d\n" % port)
    os.replace(partial, path)


def wait_for_end(parent_pid, stopping):
    """Returns when stopping is set or the parent is gone."""
    try:
        parent = os.pidfd_open(parent_pid) if parent_pid else None
    except ProcessLookupError:
        return
    poll = select.poll()
    if parent is not None:
        poll.register(parent, select.POLLIN)
    # Not stopping.wait(): the signal handler that sets it runs right here,
    # and would find the event's lock taken.
    while not stopping.is_set():
        if poll.poll(200):
            return


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="stand-in for Stack Auth's REST API")
    parser.add_argument("--port", type=int, default=0,
                        help="on 127.0.0.1 (default: any free one)")
    parser.add_argument("--port-file", metavar="FILE",
                        help="where to write the port once it is listening")
    parser.add_argument("--state-file", metavar="FILE",
                        help="SQLite file that outlives the server")
    parser.add_argument("--config", metavar="JSON|FILE", default="{}",
                        help="settings and projects, merged into defaults")
    parser.add_argument("--faults", metavar="JSON|FILE", default="[]",
                        help="fault rules; see test/stack_auth/faults.py")
    parser.add_argument("--parent-pid", type=int, metavar="PID",
                        help="end when this process does")
    return parser.parse_args()


def main():
    # The walks over documents of MAX_JSON_DEPTH take two frames a level.
    sys.setrecursionlimit(10 * MAX_JSON_DEPTH)
    arguments = parse_arguments()
    try:
        config = merge_config(read_json(arguments.config))
        server = StandIn(("127.0.0.1", arguments.port), config,
                         read_json(arguments.faults), arguments.state_file)
    except (OSError, ValueError, AttributeError, sqlite3.Error) as fault:
        sys.exit("stack_auth_server: %s" % fault)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stopping.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    if arguments.port_file:
        write_port_file(arguments.port_file, port)
    else:
        print(port, flush=True)
    wait_for_end(arguments.parent_pid, server.stopping)
    server.stopping.set()
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    main()
