"""The server: HTTP, the faults on the wire, and the tests' own paths.

A request's change is complete, and in the state file when there is one,
before its answer is sent.  /_test/... is for the tests:

    GET    /_test/users          every user with hash, TOTP secret, channels
    GET    /_test/requests       what was asked, and answered (?since=N)
    GET    /_test/counters       totals, fault counts, peak concurrency
    GET    /_test/mails          password resets sent
    GET|PUT|DELETE /_test/faults the list of fault rules
    PATCH  /_test/projects/{id}  change a project's settings
    POST   /_test/reset          forget users, mails, log and counters
"""

import functools
import http.server
import json
import os
import random
import re
import socket
import struct
import sys
import threading
import traceback
import urllib.parse

from .answers import Answer, ServerFault
from .api import Api
from .config import check_settings, is_all_new
from .faults import Faults
from .journal import Journal
from .store import Store
from .users import list_order
from .values import now_millis, random_code

JSON_TYPE = "application/json; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"


def huge_pieces(length):
    """A JSON object of so many bytes, at least 16, piece by piece."""
    start, end = b'{"id":"', b'"}'
    yield start
    left = length - len(start) - len(end)
    while left > 0:
        yield b"a" * min(left, 65536)
        left -= 65536
    yield end


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection.  self.server is a StandIn."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    REQUEST_SECONDS = 120

    def setup(self):
        self.timeout = self.server.config["keep_alive_seconds"]
        super().setup()
        self.server.journal.connected()

    def log_message(self, *_args):
        pass

    def parse_request(self):
        # A request has begun: the keep-alive timeout is over.
        self.connection.settimeout(self.REQUEST_SECONDS)
        return super().parse_request()

    def serve(self):
        """Any method.  Leaves the connection ready for the next request, or
        sets close_connection."""
        try:
            raw_body = self.read_body()
        except (OSError, ValueError):
            # What is not a whole request is not executed.
            self.close_connection = True
            return
        try:
            parts = urllib.parse.urlsplit(self.path)
            if parts.path.startswith("/_test/"):
                self.serve_test(parts, raw_body)
            else:
                self.serve_api(parts, raw_body)
            if not self.close_connection:
                self.connection.settimeout(self.timeout)
        except OSError:
            # The client went away, or was cut off.
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    def read_body(self):
        """Raises ValueError when the request ends early or is malformed."""
        if "chunked" not in self.headers.get("transfer-encoding", "").lower():
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length)
            if len(body) < length:
                raise ValueError("request ends early")
            return body
        parts = []
        while True:
            size = int(self.rfile.readline(1000).split(b";")[0], 16)
            if size:
                parts.append(self.rfile.read(size))
            line = self.rfile.readline(1000)
            while not size and line.strip():      # trailers
                line = self.rfile.readline(1000)
            if not size:
                return b"".join(parts)

    # the API

    def serve_api(self, parts, raw_body):
        headers = {name.lower(): value
                   for name, value in self.headers.items()}
        body = raw_body[:100000].decode("utf-8", "replace")
        fault = self.server.faults.choose(self.command, parts.path, body)
        entry = {
            "at_millis": now_millis(), "method": self.command,
            "path": self.path, "status": None, "request_id": random_code(16),
            "route": re.sub("/[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}", "/{id}",
                            parts.path),
            "fault": fault["kind"] if fault else None, "executed": False,
            "body": body,
            "headers": {name: "<redacted>" if name.endswith("-key") else value
                        for name, value in headers.items()}}
        self.server.journal.begin(entry)
        deliver = self.close
        try:
            deliver = self.prepare(parts, headers, raw_body, fault, entry)
        finally:
            # Before the answer leaves: who has it finds it counted.
            self.server.journal.end(entry)
        deliver()

    def prepare(self, parts, headers, raw_body, fault, entry):
        """Executes the request, unless a fault forbids it, and returns what
        sends the answer."""
        when = fault["when"] if fault else None
        deliver = None
        if when == "before":
            deliver = self.fault_before(fault, entry)
        if deliver is None:
            answer = self.execute(parts, headers, raw_body, entry)
            if when == "after":
                return self.fault_after(fault, entry, answer)
            deliver = functools.partial(self.send, *answer)
        return deliver

    def execute(self, parts, headers, raw_body, entry):
        """Lets the API do it: (status, headers, body bytes).  Sets the
        entry's status to what the API says; a fault may replace it."""
        entry["executed"] = True
        code = None
        extra = {}
        # urlsplit() takes a path that begins with // for a host.
        path = self.path.partition("?")[0]
        try:
            status, body = self.server.api.call(
                self.command, path, parts.query, headers, raw_body)
        except Answer as answer:
            status, body, code = answer.status, answer.body, answer.known_error
            extra = answer.headers
        except ServerFault:
            status, body = 500, self.opaque_text(entry)
        except Exception:       # a bug here; the test's log shows it
            traceback.print_exc()
            status, body = 500, self.opaque_text(entry)
        entry["status"] = status
        if code:
            extra = dict(extra, **{"x-stack-known-error": code})
        if (400 <= status < 500
                and headers.get("x-stack-override-error-status")):
            extra = dict(extra, **{"x-stack-actual-status": str(status)})
            status = 200
        return self.encode(status, body, entry, extra)

    @staticmethod
    def opaque_text(entry):
        return ("Something went wrong. Please make sure the data you entered "
                "is correct.\n\nRequest ID: " + entry["request_id"])

    def encode(self, status, body, entry, extra=()):
        headers = {"x-stack-request-id": entry["request_id"],
                   "cache-control": "no-store, max-age=0"}
        if isinstance(body, str):
            headers["content-type"] = TEXT_TYPE
            text = body
        elif body is None:
            text = ""
        else:
            headers["content-type"] = JSON_TYPE
            text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        headers.update(extra)
        if status == 308:       # a redirect is the framework's, without these
            headers["x-stack-request-id"] = None
        headers = {name: value for name, value in headers.items()
                   if value is not None}
        if is_all_new(self.server.config):
            headers.update({"x-hexclave-" + name[len("x-stack-"):]: value
                            for name, value in headers.items()
                            if name.startswith("x-stack-")})
        return status, headers, text.encode("utf-8", "replace")

    def fault_before(self, fault, entry):
        """What to do in place of the request, or None to execute it."""
        kind = fault["kind"]
        if kind in ("slow", "never_answer"):
            self.server.pause(fault["seconds"])
            return None if kind == "slow" else self.close
        if kind == "reset_before_commit":
            return self.reset_connection
        if kind == "500_before_commit":
            return self.failure(500, self.opaque_text(entry), entry)
        if kind == "recorded":
            answer = fault["answer"]
            return self.failure(answer["status"], answer["body"], entry,
                                answer["headers"])
        # The body of the development server's artificial limit; what the
        # hosted service's firewall sends is not known.
        extra = {}
        if kind == "429_retry_after":
            extra["retry-after"] = str(fault["retry_after"])
        return self.failure(429, {
            "message": "Artificial development rate limit triggered. Wait "
                       "before retrying."}, entry, extra)

    def failure(self, status, body, entry, extra=()):
        entry["status"] = status
        return functools.partial(
            self.send, *self.encode(status, body, entry, extra))

    def fault_after(self, fault, entry, answer):
        """What to do in place of sending the answer."""
        kind = fault["kind"]
        status, headers, body = answer
        if kind in ("slow", "never_answer"):
            self.server.pause(fault["seconds"])
            if kind == "never_answer":
                return self.close
        elif kind == "reset_after_commit":
            return self.reset_connection
        elif kind == "500_after_commit":
            return self.failure(500, self.opaque_text(entry), entry)
        elif kind == "half_answer":
            return functools.partial(self.send_half, *answer)
        elif kind == "huge_answer":
            return functools.partial(self.send_huge, status, headers,
                                     fault["bytes"])
        elif kind == "garbage_body":
            noise = random.Random(entry["number"])
            body = bytes(noise.randrange(256)
                         for _ in range(max(len(body), 64)))
        else:
            headers["content-type"] = "text/html; charset=utf-8"
        return functools.partial(self.send, status, headers, body)

    def close(self):
        self.close_connection = True

    def reset_connection(self):
        """Ends with RST, not FIN: no time to linger, and the descriptor
        closed beneath Python's own orderly shutdown."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                   struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        self.close_connection = True

    # sending

    def head(self, status, headers, length):
        """length: of the body, None for chunks."""
        lines = ["HTTP/1.1 %d %s" % (status, self.responses.get(
            status, ("Unknown",))[0])]
        lines += ["%s: %s" % item for item in headers.items()]
        if length is None:
            lines.append("transfer-encoding: chunked")
        else:
            lines.append("content-length: %d" % length)
        lines += ["date: " + self.date_time_string(), "connection: keep-alive",
                  "keep-alive: timeout=%d" % self.timeout, "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def chunked(self):
        return (self.server.config["framing"] == "chunked"
                and self.request_version == "HTTP/1.1")

    def frame(self, status, headers, body):
        """The whole answer as it goes over the wire."""
        if not self.chunked() or not body:
            return self.head(status, headers, len(body)) + body
        return b"%s%x\r\n%s\r\n0\r\n\r\n" % (
            self.head(status, headers, None), len(body), body)

    def send(self, status, headers, body):
        self.wfile.write(self.frame(status, headers, body))

    def send_half(self, status, headers, body):
        """The head whole, the body not, and then the end."""
        data = self.frame(status, headers, body)
        self.wfile.write(data[:len(data) - len(body) // 2 - 8])
        self.close()

    def send_huge(self, status, headers, length):
        """As many bytes of JSON, made as they are sent."""
        chunked = self.chunked()
        self.wfile.write(self.head(status, headers,
                                   None if chunked else length))
        for piece in huge_pieces(length):
            if self.server.stopping.is_set():
                raise OSError("stopping")
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece)
                             if chunked else piece)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    # the tests' own paths

    def serve_test(self, parts, raw_body):
        entry = {"request_id": random_code(16)}
        try:
            text = raw_body.decode("utf-8", "replace") or "null"
            status, body = self.server.test_call(
                self.command, parts.path[len("/_test/"):],
                dict(urllib.parse.parse_qsl(parts.query)), json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            status, body = 400, "%s: %s" % (type(fault).__name__, fault)
        self.send(*self.encode(status, body, entry))


class StandIn(http.server.ThreadingHTTPServer):
    """All of it: the API, its users, the faults and the journal."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, config, faults, state_file):
        self.config = config
        self.stopping = threading.Event()
        self.store = Store(state_file)
        self.faults = Faults(faults)
        self.journal = Journal()
        self.api = Api(config, self.store, self.pause)
        super().__init__(address, Handler)

    def pause(self, seconds):
        self.stopping.wait(seconds)

    def handle_error(self, _request, _client_address):
        # A client that broke off is no news; anything else is a bug here.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(_request, _client_address)

    def test_call(self, method, name, query, body):
        """One of /_test/...: (status, body)."""
        call = (method, name)
        if call == ("GET", "users"):
            with self.store.lock:
                users = sorted(self.store.users.values(), key=list_order)
            return 200, {"users": users}
        if call == ("GET", "requests"):
            return 200, {"requests": self.journal.since(
                int(query.get("since", 0)))}
        if call == ("GET", "counters"):
            return 200, dict(self.journal.counters(),
                             users=len(self.store.users),
                             faults=self.faults.describe())
        if call == ("GET", "mails"):
            return 200, {"mails": list(self.store.mails)}
        if call == ("GET", "faults"):
            return 200, {"faults": self.faults.describe()}
        if call in (("PUT", "faults"), ("DELETE", "faults")):
            self.faults.set(body if method == "PUT" else [])
            return 200, {"faults": self.faults.describe()}
        if call == ("POST", "reset"):
            with self.store.lock:
                self.store.clear()
            self.journal.clear()
            return 200, {"success": True}
        if method == "PATCH" and name.startswith("projects/"):
            project = self.api.projects[name[len("projects/"):]]
            check_settings(body)
            project.update(body)
            return 200, {"success": True}
        return 404, "no such test path"
