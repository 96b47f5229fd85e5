#!/usr/bin/env python3
"""The baseline: what it costs the original to read a course and to apply two transformers.

`python3 original.py --blocks 5000` measures a generated course and prints the figures of the
original beside its own. `python3 original.py --serve` answers commands, one JSON object a line,
so that another program can measure the baseline in turn with others.
"""

import argparse
import gc
import json
import platform
import statistics
import sys
import time
import tracemalloc

import courses
import stored
import transformers

# Milliseconds and bytes by number of blocks, measured with the original itself.
ORIGINAL = {
    100: {"read": 3.6, "transform": 4.4, "store": 1.4, "pickled": 66e3, "compressed": 7.5e3, "memory": 0.7},
    1000: {"read": 36.9, "transform": 45.5, "store": 15.8, "pickled": 657e3, "compressed": 55e3, "memory": 7.8},
    5000: {"read": 251, "transform": 228, "store": 108, "pickled": 3.3e6, "compressed": 264e3, "memory": 39},
    20000: {"read": 1223, "transform": 909, "store": 509, "pickled": 13.3e6, "compressed": 1.05e6, "memory": 157},
}


class Baseline:
    """One stored course, and what can be done with it."""

    def __init__(self, course):
        self.keys = course.keys
        self.now = course.now
        self.blocks = len(course.structure)
        self.stored, self.pickled_bytes = stored.store(course.structure)

    def read(self):
        """Reads the course back."""
        return stored.read(self.stored)

    def field(self, position):
        """One block's start date, which takes the whole course."""
        return self.read().transformer_field(self.keys[position], "start_date", "merged_start_date")

    def visible(self):
        """What a visitor sees, from what is stored."""
        return self.transformed(self.read())

    def transformed(self, structure):
        """What a visitor sees of a course that was read."""
        transformers.transform(structure, self.now)
        return list(structure)


def timed(call):
    """How many seconds the call takes."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def seconds_of(baseline, work, positions=()):
    """The seconds that the named work takes, for `field` once for each position."""
    if work == "read":
        return timed(baseline.read)
    if work == "field":
        return sum(timed(lambda position=position: baseline.field(position)) for position in positions)
    if work == "visible":
        return timed(baseline.visible)
    structure = baseline.read()
    if work == "transform":
        return timed(lambda: baseline.transformed(structure))
    if work == "store":
        return timed(lambda: stored.store(structure))
    raise ValueError(f"no such work: {work}")


def bytes_of_a_read(baseline):
    """What a course that was read back takes in memory."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        structure = baseline.read()
        after, _ = tracemalloc.get_traced_memory()
        assert len(structure) == baseline.blocks
        return after - before
    finally:
        tracemalloc.stop()


def without_collector(call):
    """Calls with Python's garbage collector switched off."""
    gc.disable()
    try:
        return call()
    finally:
        gc.enable()


def answer(baselines, command):
    """What a command is answered with."""
    kind = command["command"]
    if kind == "load":
        baseline = baselines[command["name"]] = Baseline(courses.load(command["path"]))
        # The collector need not walk what is not part of a read.
        gc.collect()
        gc.freeze()
        return {
            "blocks": baseline.blocks,
            "pickled_bytes": baseline.pickled_bytes,
            "compressed_bytes": len(baseline.stored),
        }
    if kind == "sizes":
        baseline = Baseline(courses.load(command["path"]))
        return {"blocks": baseline.blocks, "compressed_bytes": len(baseline.stored)}
    baseline = baselines[command["name"]]
    if kind == "time":
        return {"seconds": seconds_of(baseline, command["work"], command.get("positions", ()))}
    if kind == "visible":
        return {"keys": sorted(str(key) for key in baseline.visible())}
    if kind == "field":
        # Microseconds, without a detour over floating-point numbers.
        start = baseline.field(command["position"])
        since = start - courses.date("1970-01-01T00:00:00Z")
        return {"micros": (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds}
    raise ValueError(f"no such command: {kind}")


def serve():
    """Answers commands until there are none."""
    baselines = {}
    print(json.dumps({"python": platform.python_version()}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(baselines, json.loads(line))), flush=True)


def report(blocks, rounds):
    """Measures one generated course and prints it beside the original."""
    baseline = Baseline(courses.assemble(courses.generate(blocks)))
    gc.collect()
    gc.freeze()

    def median(work):
        return statistics.median(seconds_of(baseline, work) * 1e3 for _ in range(rounds))

    measured = {work: median(work) for work in ("store", "read", "transform")}
    uncollected = without_collector(lambda: median("read"))
    near = min(ORIGINAL, key=lambda known: abs(known - blocks))
    scale = baseline.blocks / near
    print(f"{baseline.blocks} blocks, {len(baseline.visible())} of them open to a visitor")
    print(f"Python {platform.python_version()}; medians of {rounds} rounds, this run only")
    if near != baseline.blocks:
        print(f"The original's figures for {near} blocks, scaled to {baseline.blocks}")
    print()
    print(f"{'':34}{'here':>12}{'original':>12}{'here/original':>16}")
    rows = [
        ("pickle, bytes", baseline.pickled_bytes, "pickled"),
        ("compressed, bytes", len(baseline.stored), "compressed"),
        ("serialize and compress, ms", measured["store"], "store"),
        ("read back, ms", measured["read"], "read"),
        ("visibility and start_date, ms", measured["transform"], "transform"),
    ]
    for label, here, name in rows:
        there = ORIGINAL[near][name] * scale
        print(f"{label:34}{here:12,.1f}{there:12,.1f}{here / there:16.2f}")
    there = ORIGINAL[near]["memory"] * scale
    memory = bytes_of_a_read(baseline) / (1 << 20)
    print(f"{'memory of one read, MiB':34}{memory:12,.1f}{there:12,.1f}{memory / there:16.2f}")
    label = "read back, collector off, ms"
    print(f"{label:34}{uncollected:12,.1f}")


def main():
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=5000, help="how many blocks the course has")
    parser.add_argument("--rounds", type=int, default=9, help="how often each figure is measured")
    parser.add_argument("--serve", action="store_true", help="answer commands on standard input")
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
    else:
        report(arguments.blocks, arguments.rounds)


if __name__ == "__main__":
    main()
