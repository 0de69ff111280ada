#!/usr/bin/env python3
"""What processes cost: processor time and memory of whole process trees.

    meter.py --server PID... --client PID [--worker TEXT] [--copying COMMAND]
             [--link FILE]

Says "ready" when it has read the clocks, and watches until its input gets a
line or ends.  Then it prints one line of JSON:

    cpu_ms         processor time of the servers' and the client's processes
    memory_kb      the most private memory that all of them had at one time
    worker_kb      the most that one process whose title contains TEXT had
    streaming_kb   the same, while it was in the middle of a COPY
    link_bytes     what the counter in FILE grew by
    link_seconds   from the first to the last time it grew by much

Private memory is RssAnon: what a process has for itself, without the buffers
that it shares with others and without files.  COMMAND is a psql that answers
which processes are in the middle of a COPY.  Processes are followed by
/proc/PID/task/PID/children; a parent's clock has the time of the children it
has waited for, so that no process is lost.  A server's processes have no
children: they are not asked, as looking costs what is being measured.
"""

import argparse
import json
import os
import select
import shlex
import subprocess
import sys
import time

INTERVAL_SECONDS = 0.1
LOOKS_AT_TITLE = 10
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
# Growth of the link's counter between two looks that is more than chatter.
MUCH_BYTES = 20000


def children(pid):
    pids = []
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, task)) as file:
                pids += [int(word) for word in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return pids


def descendants(servers, clients, without):
    found = list(servers)
    for pid in servers:
        found += children(pid)
    todo = list(clients)
    while todo:
        pid = todo.pop()
        if pid not in without:
            found.append(pid)
            todo += children(pid)
    return found


def clock_ticks(pid):
    """utime, stime, and those of the children it has waited for."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            fields = file.read().rpartition(")")[2].split()
        return sum(int(field) for field in fields[11:15])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def private_kb(pid):
    try:
        with open("/proc/%d/statm" % pid) as file:
            # All that is resident, and what of it is a file's or shared.
            _, resident, shared = file.read().split()[:3]
        return (int(resident) - int(shared)) * PAGE_KB
    except (FileNotFoundError, ProcessLookupError):
        return 0


def title(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Copying:
    """Asks the server which of its processes are in the middle of a COPY."""

    QUERY = ("SELECT coalesce(pg_catalog.string_agg(pid::text, ' '), '') "
             "FROM pg_catalog.pg_stat_progress_copy;\n")

    def __init__(self, command):
        self.psql = subprocess.Popen(
            shlex.split(command), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1)

    def pids(self):
        self.psql.stdin.write(self.QUERY)
        return {int(word) for word in self.psql.stdout.readline().split()}

    def end(self):
        self.psql.stdin.close()
        self.psql.wait()


class Meter:
    def __init__(self, args):
        self.servers = args.server
        self.clients = args.client
        self.workers = {}
        self.worker = args.worker
        self.copying = Copying(args.copying) if args.copying else None
        self.link = args.link
        self.without = {os.getpid()}
        self.memory = self.worker_memory = self.streaming_memory = 0
        self.ticks = self.cpu()
        self.link_start = self.link_last = self.link_bytes()
        self.link_began = self.link_ended = None

    def cpu(self):
        return sum(clock_ticks(pid) for pid in self.processes())

    def processes(self):
        return descendants(self.servers, self.clients, self.without)

    def is_worker(self, pid):
        # A process that has just begun is not called yet what it will be.
        looks, found = self.workers.get(pid, (0, False))
        if self.worker and not found and looks < LOOKS_AT_TITLE:
            found = self.worker in title(pid)
            self.workers[pid] = (looks + 1, found)
        return found

    def link_bytes(self):
        if not self.link:
            return 0
        with open(self.link) as file:
            return int(file.read().split()[0])

    def look(self):
        copying = self.copying.pids() if self.copying else ()
        total = 0
        for pid in self.processes():
            memory = private_kb(pid)
            total += memory
            if self.is_worker(pid):
                self.worker_memory = max(self.worker_memory, memory)
                if pid in copying:
                    self.streaming_memory = max(self.streaming_memory, memory)
        self.memory = max(self.memory, total)

        now, link = time.monotonic(), self.link_bytes()
        if link - self.link_last > MUCH_BYTES:
            if self.link_began is None:
                self.link_began = now - INTERVAL_SECONDS
            self.link_ended = now
        self.link_last = link

    def result(self):
        ticks = self.cpu() - self.ticks
        if self.copying:
            self.copying.end()
        return {
            "cpu_ms": ticks * 1000 // os.sysconf("SC_CLK_TCK"),
            "memory_kb": self.memory,
            "worker_kb": self.worker_memory,
            "streaming_kb": self.streaming_memory,
            "link_bytes": self.link_last - self.link_start,
            "link_seconds": (self.link_ended - self.link_began
                             if self.link_began else 0),
        }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", type=int, nargs="+", default=[])
    parser.add_argument("--client", type=int, nargs="+", default=[])
    parser.add_argument("--worker")
    parser.add_argument("--copying")
    parser.add_argument("--link")
    meter = Meter(parser.parse_args())
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], INTERVAL_SECONDS)[0]:
        meter.look()
    try:
        print(json.dumps(meter.result()), flush=True)
    except BrokenPipeError:
        # Whoever asked is gone.
        os._exit(1)


if __name__ == "__main__":
    main()
