#!/usr/bin/env python3
"""Tables, in Markdown, of what bench/run has measured.

    report.py FILE contenders            who is how fast
    report.py FILE rewriting             what rewriting user ids costs
    report.py FILE growth                labels are numbers of readings
    report.py FILE workers               labels are numbers of workers
    report.py FILE network MBIT          labels are contenders
    report.py FILE users LATENCY_MS USERS    labels are requests at a time

FILE has a line of JSON for each time something was measured: its label,
wall_ms, wal_bytes, and what meter.py says.
"""

import json
import math
import statistics
import sys


def read(path):
    """The measurements by label, in the order of their first."""
    runs = {}
    with open(path) as file:
        for line in file:
            run = json.loads(line)
            runs.setdefault(run["label"], []).append(run)
    return runs


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def table(head, rows):
    """The first column is text, the others are numbers."""
    cells = [head] + rows
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]

    def line(row):
        return "| %s |" % " | ".join(
            cell.rjust(width) if i > 0 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths)))

    print(line(head))
    print("|%s|" % "|".join(
        "-" * (width + 1) + (":" if i > 0 else "-")
        for i, width in enumerate(widths)))
    for row in rows:
        print(line(row))


def wall(runs):
    """Median, least and most, in seconds."""
    return ["%.2f" % (median(runs, "wall_ms") / 1000),
            "%.2f" % (min(run["wall_ms"] for run in runs) / 1000),
            "%.2f" % (max(run["wall_ms"] for run in runs) / 1000)]


def megabytes(runs, key, unit):
    return "%.0f" % (median(runs, key) * unit / 1e6)


def contenders(runs):
    ours = median(next(iter(runs.values())), "wall_ms")
    table(["", "median s", "min", "max", "CPU s", "peak MB", "WAL MB",
           "ours / theirs"],
          [[label, *wall(run),
            "%.2f" % (median(run, "cpu_ms") / 1000),
            megabytes(run, "memory_kb", 1024),
            megabytes(run, "wal_bytes", 1),
            "%.2f" % (ours / median(run, "wall_ms"))]
           for label, run in runs.items()])


def rewriting(runs):
    with_it = median(runs["ftmigrate"], "cpu_ms")
    without = median(runs["keep"], "cpu_ms")
    table(["CPU s", "median", "min", "max"],
          [[name, "%.2f" % (median(runs[label], "cpu_ms") / 1000),
            "%.2f" % (min(run["cpu_ms"] for run in runs[label]) / 1000),
            "%.2f" % (max(run["cpu_ms"] for run in runs[label]) / 1000)]
           for name, label in (("with rewriting", "ftmigrate"),
                               ("without", "keep"))])
    print("\nRewriting costs %.1f %% of the load's CPU time."
          % (100 * (with_it - without) / without))


def exponent(points):
    """The slope of the line through log(y) over log(x), by least squares."""
    xs = [math.log(x) for x, _ in points]
    ys = [math.log(y) for _, y in points]
    x_mean, y_mean = statistics.mean(xs), statistics.mean(ys)
    return (sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys)) /
            sum((x - x_mean) ** 2 for x in xs))


def growth(runs):
    table(["readings", "median s", "min", "max", "CPU s",
           "worker MB while rows stream", "worker MB", "all MB"],
          [[label, *wall(run),
            "%.2f" % (median(run, "cpu_ms") / 1000),
            "%.1f" % (median(run, "streaming_kb") * 1024 / 1e6),
            "%.1f" % (median(run, "worker_kb") * 1024 / 1e6),
            megabytes(run, "memory_kb", 1024)]
           for label, run in runs.items()])
    if len(runs) > 1:
        points = [(int(label), run) for label, run in runs.items()]
        print("\nTime grows with rows ** %.3f by the medians, ** %.3f by the least times."
              % (exponent([(x, median(run, "wall_ms")) for x, run in points]),
                 exponent([(x, min(r["wall_ms"] for r in run))
                           for x, run in points])))


def workers(runs):
    first = median(next(iter(runs.values())), "wall_ms")
    table(["workers", "median s", "min", "max", "CPU s", "peak MB",
           "to the first"],
          [[label, *wall(run),
            "%.2f" % (median(run, "cpu_ms") / 1000),
            megabytes(run, "memory_kb", 1024),
            "%.2f" % (median(run, "wall_ms") / first)]
           for label, run in runs.items()])


def network(runs, mbit):
    capacity = float(mbit) * 1e6 / 8

    def used(run, seconds):
        return 100 * run["link_bytes"] / (seconds * capacity)

    table(["", "median s", "min", "max", "MB over the link",
           "seconds of transfer", "link used then", "of the whole call"],
          [[label, *wall(run),
            megabytes(run, "link_bytes", 1),
            "%.2f" % median(run, "link_seconds"),
            "%.1f %%" % statistics.median(
                used(r, r["link_seconds"]) for r in run),
            "%.1f %%" % statistics.median(
                used(r, r["wall_ms"] / 1000) for r in run)]
           for label, run in runs.items()])


def users(runs, latency_ms, count):
    table(["requests at a time", "median s", "min", "max", "users/s",
           "at most"],
          [[label, *wall(run),
            "%.1f" % (int(count) * 1000 / median(run, "wall_ms")),
            "%.0f" % (int(label) * 1000 / float(latency_ms))]
           for label, run in runs.items()])


def main():
    reports = {function.__name__: function for function in
               (contenders, rewriting, growth, workers, network, users)}
    path, name, *args = sys.argv[1:]
    reports[name](read(path), *args)


if __name__ == "__main__":
    main()
