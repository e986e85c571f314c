#!/usr/bin/python3
# echo.py - the thread-per-connection echo server with 5,000 connections: bytes intact, kernel threads few.
import resource, subprocess

from common import MOST_TASKS, Server, Suite, status_field, tasks

CONNECTIONS = 5000
suite = Suite("5,000 connections to a thread-per-connection echo server")
if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < CONNECTIONS + 100:
    suite.skip("echo", f"RLIMIT_NOFILE is {resource.getrlimit(resource.RLIMIT_NOFILE)[1]}")
    suite.end()


def load(title, mode, prefix, connections, size, rounds, under=()):
    if not suite.wanted(title):
        return
    server = Server(suite, prefix, [suite.guest("echo_server")])
    client = None
    try:
        line = server.line()
        if not line.startswith("port "):
            return suite.fail(title, mode, f"the server says {line!r}\n{server.dump()}")
        client = Server(suite, list(under), [suite.guest("echo_load"), line.split()[1], str(connections), str(size), str(-rounds)],
                        stdin=subprocess.DEVNULL)
        connected = client.line(120)
        if connected != f"connected {connections}":
            return suite.fail(title, mode, f"the client says {connected!r}\n{client.dump()}{server.dump()[:6000]}")
        count = tasks(server.pid)
        if prefix:
            suite.check(f"{title}: hooked", mode, status_field(server.pid, "Seccomp") == "2", "no seccomp filter")
            suite.check(f"{title}: few kernel threads", mode, count <= MOST_TASKS, f"{count} tasks")
        else:
            suite.check(f"{title}: a kernel thread for each", mode, count >= connections, f"{count} tasks")
        result = client.line(180)
        good = f"connections {connections} requests {connections * rounds} " in result and result.endswith(" errors 0")
        suite.check(f"{title}: every byte comes back", mode, good, f"{result!r}\n{client.dump()}{server.dump()[:6000]}")
        if suite.options.verbose:
            print(f"    {mode}: {result}, {count} kernel threads")
    finally:
        if client:
            client.stop()
        status = server.stop()
    suite.check(f"{title}: the server ends with its input", mode, status == 0, f"status {status}")


for mode, prefix in suite.modes():
    load("5,000 connections", mode, prefix, CONNECTIONS, 64, 3)
    load("200 connections of 100 KB messages", mode, prefix, 200, 100_000, 3)
if not suite.options.native:
    load("client under ocrun too", suite.config, suite.ocrun, 500, 64, 5, under=suite.ocrun)
suite.end()
