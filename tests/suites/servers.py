#!/usr/bin/python3
# servers.py - real servers and real runtimes under load, natively and under ocrun: no failed request, the same answers.
"""Python's threading server, Go, the JVM, node, redis with I/O threads, memcached, nginx, multiprocessing, Rust. A load lasts 4
seconds, with --long 30."""
import os, pwd, re, socket, subprocess, threading
from pathlib import Path

from common import Server, Suite, free_port, status_field, wait_for_port

suite = Suite("servers and language runtimes under load, natively and under ocrun")
SECONDS = suite.seconds(4, 30)
PYTHON = "/usr/bin/python3"


def load(title, mode, server, port, connections):
    """wrk against the server: everything answered, nothing lost"""
    if not wait_for_port(port):
        return suite.fail(title, mode, "the server does not answer\n" + server.dump())
    command = ["wrk", "-t", "2", "-c", str(connections), "-d", f"{SECONDS}s", "--timeout", "20s", f"http://127.0.0.1:{port}/"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=SECONDS + 60, text=True)
        text = done.stdout
    except subprocess.TimeoutExpired as e:
        return suite.fail(title, mode, f"{e}\n{server.dump()}")
    requests = re.search(r"(\d+) requests in", text)
    good = done.returncode == 0 and requests and int(requests[1]) >= connections and "Socket errors" not in text and "Non-2xx" not in text
    suite.check(title, mode, good, text + ("" if good else server.dump()[:8000]))
    if suite.options.verbose and requests:
        print(f"    {mode}: {requests[1]} requests in {SECONDS} s")


def http(title, command, connections):
    for mode, prefix in suite.modes():
        server = Server(suite, prefix, command)
        try:
            line = server.line(60)
            if line.startswith("port "):
                load(title, mode, server, int(line.split()[1]), connections)
            else:
                suite.fail(title, mode, f"the server says {line!r}\n{server.dump()}")
        finally:
            status = server.stop()
        suite.check(f"{title}: ends with its input", mode, status == 0, f"status {status}")


def source(name):
    return suite.source(f"servers/{name}")


def go_program(name):
    program = f"{suite.directory}/{name}"
    return program if suite.built(["go", "build", "-o", program, source(f"{name}.go")], {"CGO_ENABLED": "0"}) else None


def java():
    title = "java: 500 connections with garbage"
    classes = f"{suite.directory}/classes"
    if suite.needs("java -version", "java"):
        suite.compare("java -version", ["java", "-version"], timeout=120)
    if suite.needs("javac", "javac"):
        suite.compare("javac", f"javac -nowarn -d . {source('Echo.java')} && ls | sort", timeout=240)
    if not suite.needs(title, "java", "javac") or not suite.built(["javac", "-nowarn", "-d", classes, source("Echo.java")]):
        return
    for collector in ("-XX:+UseSerialGC", "-XX:+UseParallelGC", "-XX:+UseG1GC"):
        for mode, prefix in suite.modes():
            echo_load(f"{title} {collector}", mode, Server(suite, prefix, ["java", "-Xmx96m", collector, "-cp", classes, "Echo"]), 500)


def echo_load(title, mode, server, connections):
    client = None
    try:
        line = server.line(60)
        if not line.startswith("port "):
            return suite.fail(title, mode, f"the server says {line!r}\n{server.dump()}")
        client = Server(suite, [], [suite.guest("echo_load"), line.split()[1], str(connections), "512", str(SECONDS)],
                        stdin=subprocess.DEVNULL)
        connected = client.line(60)
        result = client.line(SECONDS + 60)
        good = connected == f"connected {connections}" and result.endswith(" errors 0")
        suite.check(title, mode, good, f"{connected!r} {result!r}\n{client.dump()}{server.dump()[:8000]}")
        if suite.options.verbose:
            print(f"    {mode}: {result}")
    finally:
        if client:
            client.stop()
        server.stop()


def redis():
    title = "redis with 4 I/O threads"
    for mode, prefix in suite.modes():
        port = free_port()
        server = Server(suite, prefix, ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--io-threads", "4",
                                        "--io-threads-do-reads", "yes"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            if not wait_for_port(port):
                suite.fail(title, mode, "the server does not answer\n" + server.dump())
                continue
            done = subprocess.run(["redis-benchmark", "-p", str(port), "-q", "-n", str(1000 * SECONDS), "-c", "50", "-t", "set,get,lpush"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, text=True)
            rates = re.findall(r"(\w+): ([\d.]+) requests per second", done.stdout)
            suite.check(title, mode, done.returncode == 0 and len(rates) == 3, done.stdout[-1000:] + server.dump())
            if suite.options.verbose:
                print(f"    {mode}: {rates}")
        except subprocess.TimeoutExpired as e:
            suite.fail(title, mode, f"{e}\n{server.dump()}")
        finally:
            server.stop()


class Memcached:
    """eight clients, each with its own keys: every value that is there is the right one"""

    def __init__(self, port):
        self.port, self.wrong, self.done = port, [], 0

    def client(self, me):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 60) as s:
                s.settimeout(60)
                f = s.makefile("rwb")
                for i in range(250 * SECONDS):
                    key, value = f"k{me}-{i % 100}", (f"{me}:{i}," * (1 + i % 50)).encode()
                    f.write(f"set {key} 0 0 {len(value)}\r\n".encode() + value + f"\r\nget {key}\r\n".encode())
                    f.flush()
                    answer = [f.readline(), f.readline(), f.read(len(value) + 2), f.readline()]
                    if answer != [b"STORED\r\n", f"VALUE {key} 0 {len(value)}\r\n".encode(), value + b"\r\n", b"END\r\n"]:
                        raise ValueError(answer)
            self.done += 1
        except (OSError, ValueError) as e:
            self.wrong.append(repr(e))

    def run(self):
        clients = [threading.Thread(target=self.client, args=(i,)) for i in range(8)]
        for c in clients:
            c.start()
        for c in clients:
            c.join(300)
        return self.done == len(clients) and not self.wrong


def memcached():
    title = "memcached -t 4"
    for mode, prefix in suite.modes():
        port = free_port()
        server = Server(suite, prefix, ["memcached", "-t", "4", "-l", "127.0.0.1", "-p", str(port), "-u", "nobody"],
                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            if not wait_for_port(port):
                suite.fail(title, mode, "the server does not answer\n" + server.dump())
                continue
            clients = Memcached(port)
            good = clients.run()
            suite.check(title, mode, good, "\n".join(clients.wrong) + server.dump())
        finally:
            server.stop()


NGINX = """daemon off;
user nobody nogroup;
worker_processes 2;
pid nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path tmp1; proxy_temp_path tmp2; fastcgi_temp_path tmp3; uwsgi_temp_path tmp4; scgi_temp_path tmp5;
    server {
        listen 127.0.0.1:PORT reuseport;
        location / { root html; sendfile on; }
    }
}
"""


def nginx():
    title = "nginx with 2 workers that drop root"
    if os.geteuid() != 0:
        return suite.skip(title, "needs root")
    for mode, prefix in suite.modes():
        port = free_port()
        place = Path(suite.place())
        (place / "html").mkdir()
        (place / "html" / "index.html").write_text("hello " * 2000)
        (place / "nginx.conf").write_text(NGINX.replace("PORT", str(port)))
        for path in (Path(suite.directory), place, place / "html"):
            path.chmod(0o755)
        server = Server(suite, prefix, ["nginx", "-p", str(place), "-c", "nginx.conf"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            load(title, mode, server, port, 200)
            children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
            owners = [status_field(c, "Uid").split()[0] for c in children]
            suite.check(f"{title}: their user", mode, owners == [str(pwd.getpwnam("nobody").pw_uid)] * 2, f"{owners}\n{server.dump()}")
        finally:
            server.stop()


if suite.needs("python ThreadingHTTPServer", "wrk"):
    http("python ThreadingHTTPServer", [PYTHON, source("http_server.py")], 200)
if suite.needs("go net/http", "go", "wrk") and (program := go_program("http_server")):
    http("go net/http", [program], 500)
if suite.needs("go: 10,000 goroutines", "go") and (program := go_program("goroutines")):
    suite.compare("go: 10,000 goroutines", [program], timeout=240, expect=b"killed true notified true")
if suite.wanted("java"):
    java()
if suite.needs("node http", "node", "wrk"):
    http("node http", ["node", source("http_server.js")], 100)
if suite.needs("npm --version", "npm"):
    suite.compare("npm --version", ["npm", "--version"], timeout=120)
if suite.needs("redis", "redis-server", "redis-benchmark"):
    redis()
if suite.needs("memcached", "memcached"):
    memcached()
if suite.needs("nginx", "nginx", "wrk"):
    nginx()
if suite.wanted("python pools"):
    suite.compare("python pools", [PYTHON, source("pools.py")], timeout=240)
RUST = {"RUSTUP_HOME": os.path.expanduser("~/.rustup"), "CARGO_HOME": os.path.expanduser("~/.cargo"),
        "PATH": os.path.expanduser("~/.cargo/bin") + ":/usr/local/bin:/usr/bin:/bin"}
if suite.needs("rust", "cargo", "rustc"):
    suite.compare("rust: cargo --version", ["cargo", "--version"], env=RUST)
    suite.compare("rust: build and run", f"rustc -O -C codegen-units=8 -o threads {source('threads.rs')} && ./threads", timeout=300, env=RUST)
suite.end()
