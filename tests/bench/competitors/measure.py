"""What a piece of work costs: the same figures as the engine tells of itself."""

import json
import os
import sys
import time

TICKS = os.sysconf("SC_CLK_TCK")


def task():
    """The export that is asked for."""
    return json.loads(sys.argv[1])


def measured(work, others=()):
    """Does the work and prints its cost. `others` are processes whose costs count too."""
    cpu, began = cpu_seconds(others), time.monotonic()
    work()
    wall = time.monotonic() - began
    cpu = cpu_seconds(others) - cpu
    peak = sum(peak_rss_bytes(pid) for pid in ("self", *others))
    print(json.dumps({"cpu_seconds": cpu, "wall_seconds": wall, "peak_rss_bytes": peak}))


def unsupported(reason):
    """Says that the export cannot be done, and ends."""
    print(json.dumps({"unsupported": reason}))
    sys.exit(0)


def cpu_seconds(others):
    return time.process_time() + sum(ticks(pid) for pid in others) / TICKS


def ticks(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    # User and system, of the process and of its children that have ended.
    return sum(int(field) for field in fields[11:15])


def peak_rss_bytes(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
