#!/usr/bin/python3
# compute.py - programs that compute: the same bytes, and what several workers gain beside what several processors gain natively.
"""gzip, xz -T4 and a program with four threads, natively on one processor and on all, and under ocrun with -w 1 and with -w as many.
Times are shown (-v), not judged: only what the programs wrote is compared. --configs does not apply."""
import hashlib, os, shutil, time
from pathlib import Path

from common import Suite

suite = Suite("gzip, xz -T4 and four computing threads, natively and under ocrun")
MEGABYTES, STEPS = suite.seconds((8, 100), (48, 1500))
CPUS = len(os.sched_getaffinity(0))


def data(place):
    block, out = hashlib.sha256(b"seed").digest(), []
    for i in range(MEGABYTES * 1024):
        block = hashlib.sha256(block).digest()
        out.append((block * 8 + b"some text that packs well, line %d\n" % i * 24)[:1024])
    (place / "data").write_bytes(b"".join(out))


def best(prefix, command):
    """(seconds of the quickest of three, stdout) or None after a complaint"""
    quickest, out = None, None
    for _ in range(3):
        place = suite.place(lambda p: os.link(f"{suite.directory}/data", p / "data"))
        began = time.monotonic()
        o = suite.run(prefix, command, place, 600)
        seconds = time.monotonic() - began
        if o.timed_out or o.status or o.err:
            return None, f"status {o.status}, {o.err!r}\n{o.dump}"
        quickest, out = min(quickest or seconds, seconds), o.out
    return quickest, out


def compare(title, command):
    if not suite.wanted(title):
        return
    modes = [("native on one processor", ["taskset", "-c", str(min(os.sched_getaffinity(0)))]), (f"native on {CPUS}", [])]
    if not suite.options.native:
        modes += [("-w 1", [suite.ocrun_file, "-w", "1"]), (f"-w {CPUS}", [suite.ocrun_file, "-w", str(CPUS)])]
    reference, times = None, []
    for mode, prefix in modes:
        seconds, out = best(prefix, command)
        reference = reference or out
        suite.check(title, mode, seconds is not None and out == reference, out if seconds is None else "another output")
        times.append(f"{mode} {seconds:.2f} s" if seconds else f"{mode} failed")
    if suite.options.verbose:
        print(f"    {title}: {', '.join(times)}")


data(Path(suite.directory))
compare("gzip", ["/bin/bash", "-c", "gzip -c data | sha256sum"])
if shutil.which("xz"):
    compare("xz -T4", ["/bin/bash", "-c", "xz -T4 --block-size=1MiB -2 -c data | sha256sum"])
else:
    suite.skip("xz -T4", "no xz")
program = f"{suite.directory}/threads"
if suite.built(["cc", "-O2", "-pthread", "-o", program, suite.source("compute/threads.c")]):
    compare("four threads", [program, str(STEPS)])
suite.end()
