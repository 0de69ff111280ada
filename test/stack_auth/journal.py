"""What was asked and answered, and how much of it at one time."""

import collections
import threading

LOGGED_REQUESTS = 50000


class Journal:
    """What was asked and answered, for the tests."""

    def __init__(self):
        self.lock = threading.Lock()
        self.clear()

    def clear(self):
        with self.lock:
            self.entries = collections.deque(maxlen=LOGGED_REQUESTS)
            self.totals = collections.Counter()
            self.number = 0
            self.in_flight = 0
            self.peak_in_flight = 0
            self.connections = 0

    def connected(self):
        with self.lock:
            self.connections += 1

    def begin(self, entry):
        with self.lock:
            self.number += 1
            self.in_flight += 1
            self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
            entry["number"] = self.number
            self.entries.append(entry)

    def end(self, entry):
        with self.lock:
            self.in_flight = max(0, self.in_flight - 1)
            self.totals["%s %s %s" % (entry["method"], entry["route"],
                                      entry["status"])] += 1
            if entry["fault"]:
                self.totals["fault " + entry["fault"]] += 1

    def since(self, number):
        with self.lock:
            return [dict(entry) for entry in self.entries
                    if entry["number"] > number]

    def counters(self):
        with self.lock:
            return {"totals": dict(self.totals), "requests": self.number,
                    "connections": self.connections,
                    "in_flight": self.in_flight,
                    "peak_in_flight": self.peak_in_flight}
