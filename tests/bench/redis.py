#!/usr/bin/python3
# redis.py - redis-server under load; redis-benchmark always runs natively. usage: redis.py PREFIX…
import re, socket, subprocess, sys, time

with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = str(s.getsockname()[1])
server = subprocess.Popen(sys.argv[1:] + ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
for _ in range(200):
    try:
        socket.create_connection(("127.0.0.1", int(port)), 1).close()
        break
    except OSError:
        time.sleep(0.05)
for name, options in (("get", ["-t", "get", "-n", "50000"]), ("set", ["-t", "set", "-n", "50000"]),
                      ("get_pipelined", ["-t", "get", "-n", "200000", "-P", "16"])):
    done = subprocess.run(["redis-benchmark", "-p", port, "-q", "-c", "50", *options], stdout=subprocess.PIPE, text=True)
    rate = re.findall(r"([\d.]+) requests per second", done.stdout)
    if not rate:
        sys.exit(f"redis.py: {done.stdout}")
    print(f"redis_{name} {rate[-1]} req/s", flush=True)
subprocess.run(["redis-cli", "-p", port, "shutdown", "nosave"], stdout=subprocess.DEVNULL)
server.wait()
