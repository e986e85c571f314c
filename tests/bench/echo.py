#!/usr/bin/python3
# echo.py - requests a second of the thread-per-connection echo server; the load always runs natively. usage: echo.py PREFIX…
import os, subprocess, sys

guests = os.path.join(os.environ["OCRUN_BUILD"], "guests")
for connections in (10, 100, 1000):
    server = subprocess.Popen(sys.argv[1:] + [f"{guests}/echo_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    port = server.stdout.readline().split()[1]
    done = subprocess.run([f"{guests}/echo_load", port, str(connections), "64", "1.5"], stdout=subprocess.PIPE, text=True)
    server.stdin.close()
    server.wait()
    words = done.stdout.split()
    if done.returncode or "rate" not in words:
        sys.exit(f"echo.py: {done.stdout}")
    print(f"echo_{connections} {words[words.index('rate') + 1]} req/s", flush=True)
