#!/usr/bin/python3
# echo_demo.py - scripts/run without arguments: one unmodified server natively and under ocrun, side by side.
import subprocess, sys

from common import Server, Suite, tasks

CONNECTIONS, BYTES, SECONDS = 1000, 64, 3
suite = Suite("an unmodified thread-per-connection echo server, natively and under ocrun")
rows = []
print(f"An unmodified C program, one thread for each of {CONNECTIONS} connections, blocking calls only; {SECONDS} s of load each…",
      file=sys.stderr)
for mode, prefix in (("natively", []), ("under ocrun", [suite.ocrun_file])):
    server = Server(suite, prefix, [suite.guest("echo_server")])
    port = server.line().split()[-1:]
    client = Server(suite, [], [suite.guest("echo_load"), port[0] if port else "0", str(CONNECTIONS), str(BYTES), str(SECONDS)],
                    stdin=subprocess.DEVNULL)
    connected = client.line(60)
    count = tasks(server.pid) if connected else 0
    result = client.line(60).split()
    if not result:
        print(server.dump() + client.dump(), file=sys.stderr)
    client.stop()
    server.stop()
    fields = dict(zip(result[::2], result[1::2]))
    rows.append((mode, fields.get("connections", "-"), str(count), fields.get("rate", "-"), fields.get("errors", "-")))
heads = ("", "connections", "kernel threads", "requests/s", "wrong bytes")
widths = [max(len(r[i]) for r in rows + [heads]) for i in range(len(heads))]
for row in [heads] + rows:
    print("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))))
print("\nRun your own: ./scripts/run PROGRAM ARGS…")
sys.exit(0 if all(r[4] == "0" for r in rows) else 1)
