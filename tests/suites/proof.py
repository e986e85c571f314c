#!/usr/bin/python3
# proof.py - proof that programs are hooked: while 300 threads sleep, /proc shows a filter and only the runtime's few threads.
import subprocess, time
from pathlib import Path

from common import MOST_TASKS, Server, Suite, status_field, tasks

THREADS, DEPTH = 300, 2
suite = Suite("a seccomp filter on every process, coroutines instead of kernel threads, also for grandchildren")


def look(title, mode, prefix, command):
    if not suite.wanted(title):
        return
    server = Server(suite, prefix, command)
    try:
        pids = []
        for _ in range(DEPTH + 1):
            line = server.line(30)
            if not line.startswith("ready "):
                return suite.fail(title, mode, f"ready processes: {len(pids)} of {DEPTH + 1}, then {line!r}\n{server.dump()[:8000]}")
            pids.append(int(line.split()[1]))
        suite.check(f"{title}: three generations", mode, len(set(pids)) == DEPTH + 1, str(pids))
        for generation, pid in enumerate(sorted(pids)):
            count, seccomp = tasks(pid), status_field(pid, "Seccomp")
            states = [status_field(f"{pid}/task/{t.name}", "Seccomp") for t in Path(f"/proc/{pid}/task").iterdir()]
            if prefix:
                suite.check(f"{title}: generation {generation} has a filter on every kernel thread", mode,
                            seccomp == "2" and set(states) == {"2"}, f"Seccomp: {seccomp}, tasks {states}")
                suite.check(f"{title}: generation {generation} has few kernel threads", mode, count <= MOST_TASKS, f"{count} tasks")
                begin = cpu(pid)
                time.sleep(0.5)
                suite.check(f"{title}: generation {generation} is idle", mode, cpu(pid) - begin <= 0.1, f"{cpu(pid) - begin:.2f} s of CPU")
                name = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
                suite.check(f"{title}: generation {generation} has its own command line", mode,
                            name == suite.guest("sleeping_threads").encode(), str(name))
            else:
                suite.check(f"{title}: generation {generation} natively", mode, count == THREADS + 1 and seccomp == "0", f"{count} {seccomp}")
    finally:
        status = server.stop()
    suite.check(f"{title}: all end with their input", mode, status == 0, f"status {status}")


def cpu(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


for mode, prefix in suite.modes():
    look("300 sleeping threads", mode, prefix, [suite.guest("sleeping_threads"), str(THREADS), str(DEPTH)])
    look("the same from a shell", mode, prefix, ["/bin/sh", "-c", f"{suite.guest('sleeping_threads')} {THREADS} {DEPTH}; exit $?"])
suite.end()
