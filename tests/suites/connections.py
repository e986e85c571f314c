#!/usr/bin/python3
# connections.py - 10,000 connections to a thread-per-connection echo server, busy threads beside, preempted every 100 us.
"""The load lasts 8 seconds, with --long 60. Every byte is compared."""
import json, resource, subprocess
from pathlib import Path

from common import MOST_TASKS, Server, Suite, status_field, tasks

CONNECTIONS = 10000
suite = Suite("10,000 connections to a thread-per-connection echo server, preempted every 100 us")
SECONDS = suite.seconds(8, 60)
if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < CONNECTIONS + 100:
    suite.skip("connections", f"RLIMIT_NOFILE is {resource.getrlimit(resource.RLIMIT_NOFILE)[1]}")
    suite.end()

policy = Path(suite.directory) / "policy.json"
policy.write_text(json.dumps({"version": 1, "scheduler": {"quantum_min_us": 100, "quantum_max_us": 100}}))

for mode, prefix in suite.modes():
    if prefix:
        prefix = prefix + ["-c", str(policy)]
    server = Server(suite, prefix, [suite.guest("echo_server")])
    client = None
    try:
        line = server.line(60)
        if not line.startswith("port "):
            suite.fail("10,000 connections", mode, f"the server says {line!r}\n{server.dump()}")
            continue
        client = Server(suite, [], [suite.guest("echo_load"), line.split()[1], str(CONNECTIONS), "256", str(SECONDS)],
                        stdin=subprocess.DEVNULL)
        connected = client.line(240)
        count = tasks(server.pid)
        result = client.line(SECONDS + 240)
        good = connected == f"connected {CONNECTIONS}" and f"connections {CONNECTIONS} " in result and result.endswith(" errors 0")
        suite.check("every byte comes back", mode, good, f"{connected!r} {result!r}\n{client.dump()}{server.dump()[:8000]}")
        if prefix:
            suite.check("hooked", mode, status_field(server.pid, "Seccomp") == "2", "no seccomp filter")
            suite.check("few kernel threads", mode, count <= MOST_TASKS, f"{count} tasks")
        if suite.options.verbose:
            print(f"    {mode}: {result}, {count} kernel threads, {status_field(server.pid, 'VmRSS')}")
    finally:
        if client:
            client.stop()
        status = server.stop(30)
    suite.check("the server ends with its input", mode, status == 0, f"status {status}")
suite.end()
