# rows.py - the rows of scripts/bench: what is run, natively, under ocrun and by peers, and the bar it has to reach
import os, shutil, subprocess, sys, tempfile, time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import trace_cost
from servers import Failed, Missing, Server, available_kib, free_port, number_after, run_load


class Bar:
    """ours against `other` (None: a plain limit): speed: at least so many times as fast (or as many a second); times: at most so
    many times as much; plus: at most so much more, in the row's unit; most: at most so much"""

    def __init__(self, kind, limit, other="native"):
        self.kind, self.limit, self.other = kind, limit, other

    def text(self):
        whom = "" if self.other == "native" else f" {self.other}"
        return {"speed": f"≥ {self.limit}×{whom}", "times": f"≤ {self.limit}×{whom}", "plus": f"≤ +{self.limit}{whom}",
                "most": f"≤ {self.limit}"}[self.kind]

    def met(self, ours, other, unit):
        """None: cannot be told"""
        if ours is None or (other is None and self.kind != "most"):
            return None
        if self.kind == "most":
            return ours <= self.limit
        if self.kind == "plus":
            return ours <= other + self.limit
        if self.kind == "times":
            return ours <= other * self.limit
        return speed(ours, other, unit) >= self.limit


def speed(ours, other, unit):
    return ours / other if unit.endswith("/s") else other / ours


class Row:
    """run(bench, mode) -> figure, for mode native, trap, rewritten or one of `peers` (name -> function of bench); least_runs: so
    many at least, where single ones scatter so much that the median of five says nothing"""

    def __init__(self, name, unit, run, bars, cpus="", peers=None, needs=(), without=(), only_full=False, uses="rewritten", least_runs=1):
        self.name, self.unit, self.run, self.bars, self.cpus = name, unit, run, bars, cpus
        self.peers, self.needs, self.without, self.only_full, self.uses = peers or {}, needs, without, only_full, uses
        self.least_runs = least_runs


# ---- programs that print their figure ---------------------------------------------------------------------------------

def program(source, metric, *arguments, native_arguments=()):
    def run(bench, mode):
        extra = native_arguments if mode == "native" else ()
        return bench.metric(bench.prefix(mode) + [bench.built(source), *map(str, arguments), *extra], metric)

    return run


def least_of(times, run):
    """of so many processes: where one lies in memory decides between two levels, 8 ns apart, natively as under ocrun"""
    return lambda *arguments: min(run(*arguments) for _ in range(times))


def peer(source, metric, *arguments):
    return lambda bench: bench.metric(bench.prefix("native") + [bench.built("peers/" + source), *arguments], metric)


def preloaded(library, source, *arguments):
    return lambda bench: bench.metric(bench.prefix("native") + ["env", "LD_PRELOAD=" + bench.built("peers/" + library),
                                                                bench.built(source), *arguments], arguments[0])


def sized(source, metric, quick, full):
    return lambda bench, mode: program(source, metric, *(full if bench.full else quick))(bench, mode)


def ring_growth(bench, mode):
    many = 100000 if bench.full else 10000
    return program("ring.c", "ring", many)(bench, mode) / program("ring.c", "ring", 2)(bench, mode)


# ---- servers ----------------------------------------------------------------------------------------------------------

def echo_command(bench, mode):
    return bench.prefix(mode) + [bench.guest("echo_server")]


def echo_rate(bench, command, connections):
    with Server(command) as server:
        return number_after("rate", run_load([bench.guest("echo_load"), str(server.port), str(connections), "64", "4" if bench.full else "2"]))


def echo(connections):
    return lambda bench, mode: echo_rate(bench, echo_command(bench, mode), connections)


def echo_peers(connections):
    return {"go": lambda bench: echo_rate(bench, [bench.built("peers/go_echo.go")], connections),
            "epoll": lambda bench: echo_rate(bench, [bench.built("peers/epoll_echo.c")], connections)}


def settled_kib():
    """what is available once whoever ran before has given back what it had"""
    before = available_kib()
    for _ in range(40):
        time.sleep(0.25)
        now = available_kib()
        if abs(now - before) < 1024:
            return now
        before = now
    raise Failed("the amount of free memory does not settle: the machine is not quiet")


def idle_memory(command):
    """KiB of memory that one idle connection takes, its client's side included"""
    def run(bench, mode=None):
        connections = 10000
        with Server(command(bench, mode)) as server:
            before = settled_kib()
            load = subprocess.Popen([bench.built("load.c"), str(server.port), str(connections), "0", "x" * 64, "64"],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            said = load.stdout.readline()
            time.sleep(0.5)
            used = before - available_kib()
            load.communicate()
            if not said.startswith(b"connected"):
                raise Failed("not all connections stand")
            if used <= 0:
                raise Failed("other programs gave back more memory than the connections took: the machine is not quiet")
            return used / connections

    return run


def redis(test, pipeline, *options, quick=150000, full=300000):
    def run(bench, mode):
        port = free_port()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *options]
        with Server(bench.prefix(mode) + command, port):
            requests = (full if bench.full else quick) * pipeline  # two seconds, however fast
            said = run_load(["redis-benchmark", "-p", str(port), "-c", "50", "-t", test, "-n", str(requests), "-P", str(pipeline), "--csv"])
            return float(said.strip().splitlines()[-1].split(",")[1].strip('"'))

    return run


def memcached(bench, mode):
    port = free_port()
    user = ["-u", "root"] if os.geteuid() == 0 else []
    with Server(bench.prefix(mode) + ["memcached", "-t", "4", "-U", "0", "-l", "127.0.0.1", "-p", str(port), *user], port):
        value = "v" * 64
        return number_after("rate", run_load([bench.built("load.c"), str(port), "50", bench.seconds, "get k\\r\\n", "85",
                                              f"set k 0 0 64\\r\\n{value}\\r\\n", "8"]))


NGINX = """worker_processes 2; daemon off; pid {0}/pid; error_log /dev/null; events {{ worker_connections 512; }}
http {{ access_log off; client_body_temp_path {0}/a; proxy_temp_path {0}/b; fastcgi_temp_path {0}/c; uwsgi_temp_path {0}/d;
scgi_temp_path {0}/e; server {{ listen 127.0.0.1:{1}; location / {{ return 200 "hello\\n"; }} }} }}
"""


def wrk(bench, port, connections=50, where=()):
    said = run_load([*where, "wrk", "-t1", f"-c{connections}", f"-d{bench.seconds}s", f"http://127.0.0.1:{port}/"])
    return number_after("Requests/sec:", said)


def nginx(bench, mode, servers=(), client=()):
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="ocrun-bench-") as place:
        Path(place, "nginx.conf").write_text(NGINX.format(place, port))
        command = [*servers, *bench.prefix(mode), shutil.which("nginx") or "/usr/sbin/nginx", "-p", place, "-c", place + "/nginx.conf"]
        with Server(command, port):
            return wrk(bench, port, where=client)


def nginx_apart(bench, mode):
    if bench.cpus < 2:
        raise Missing("no second CPU")
    return nginx(bench, mode, ["taskset", "-c", "1"], ["taskset", "-c", "0"])


def python_http(bench, mode):
    with Server(bench.prefix(mode) + ["/usr/bin/python3", str(bench.sources / "http_server.py")]) as server:
        return wrk(bench, server.port, 32)


def java_echo(bench, mode):
    with Server(bench.prefix(mode) + ["java", "-Xshare:auto", "-cp", bench.built("Echo.java"), "Echo"]) as server:
        run_load([bench.built("load.c"), str(server.port), "50", "1", "x" * 64, "64"])  # let the compiler see it
        return number_after("rate", run_load([bench.built("load.c"), str(server.port), "50", bench.seconds, "x" * 64, "64"]))


# ---- processes --------------------------------------------------------------------------------------------------------

def start_true(bench, mode):
    return bench.metric([bench.built("start.c"), "200" if bench.full else "60", *bench.prefix(mode), "/bin/true"], "start")


def bash_loop(bench, mode):
    n = 1000 if bench.full else 200
    return bench.wall(bench.prefix(mode) + ["bash", "-c", f"for ((i = 0; i < {n}; i++)); do /bin/true; done"]) * 1000 / n


def gzip(bench, mode):
    return bench.wall(bench.prefix(mode) + ["gzip", "-6", "-c", bench.text(200 if bench.full else 30)])


ROWS = [
    Row("trapped_call", "ns", program("calls.c", "same_call", "same_call"), [Bar("times", 0.9, "bare")], "1", uses="trap",
        peers={"bare": preloaded("sigsys.c", "calls.c", "same_call")}),
    Row("same_call", "ns", program("calls.c", "same_call", "same_call"), [Bar("plus", 90)], "1"),
    Row("socket_call", "ns", program("calls.c", "socket_call", "socket_call"), [Bar("plus", 170)], "1"),
    Row("file_call", "ns", program("calls.c", "file_call", "file_call"), [Bar("plus", 170)], "1"),
    Row("unhooked_call", "ns", least_of(5, program("calls.c", "unhooked_call", "unhooked_call")), [Bar("plus", 5, "allow_all")], "1",
        peers={"allow_all": least_of(5, lambda bench: bench.metric(
            bench.prefix("native") + [bench.built("peers/allow_all.c"), bench.built("calls.c"), "unhooked_call"], "unhooked_call"))}),
    Row("cond_switch", "ns", program("pingpong.c", "cond_switch", "cond_switch"), [Bar("speed", 15), Bar("times", 2, "go")], "1",
        peers={"go": peer("go_pingpong.go", "cond_switch"), "fiber": peer("fiber.cc", "cond_switch")}),
    Row("cond_switch_2cpu", "ns", program("pingpong.c", "cond_switch", "cond_switch", native_arguments=["--two-cpus"]), [Bar("speed", 50)], "2"),
    Row("mutex_64", "sections/s", program("mutex.c", "mutex_64"), [Bar("speed", 1.0)]),
    Row("api_create_join", "ns", program("api.c", "api_create_join", "api_create_join"), [Bar("most", 200)], "1",
        peers={"fiber": peer("fiber.cc", "create_join"), "go": peer("go_pingpong.go", "create_join"),
               "async": peer("async.cc", "create_join")}),
    Row("api_submit", "ns", program("api.c", "api_submit", "api_submit"), [Bar("most", 100)], "1"),
    Row("create_join", "ns", program("create.c", "create_join"), [Bar("speed", 10)], "1",
        peers={"go": peer("go_pingpong.go", "create_join"), "fiber": peer("fiber.cc", "create_join")}),
    Row("pipe_round_trip", "ns", program("pingpong.c", "pipe_round_trip", "pipe_round_trip"), [Bar("speed", 2)], "1"),
    Row("unix_round_trip", "ns", program("pingpong.c", "unix_round_trip", "unix_round_trip"), [Bar("speed", 1.6)], "1"),
    Row("pipe_round_trip_2cpu", "ns", program("pingpong.c", "pipe_round_trip", "pipe_round_trip", native_arguments=["--two-cpus"]), [Bar("speed", 12)], "2"),
    Row("unix_round_trip_2cpu", "ns", program("pingpong.c", "unix_round_trip", "unix_round_trip", native_arguments=["--two-cpus"]), [Bar("speed", 8)], "2"),
    Row("echo_1000", "req/s", echo(1000), [Bar("speed", 2.5), Bar("speed", 1.0, "go")], peers=echo_peers(1000)),
    Row("echo_10000", "req/s", echo(10000), [Bar("speed", 2.5), Bar("speed", 1.0, "go")], peers=echo_peers(10000)),
    Row("idle_connection", "KiB", idle_memory(echo_command), [Bar("times", 0.7)],
        peers={"go": idle_memory(lambda bench, mode: [bench.built("peers/go_echo.go")])}),
    Row("sleepers_10k", "s", program("sleepers.c", "all", 10000), []),
    Row("sleepers_100k", "s", program("sleepers.c", "all", 100000), [Bar("most", 5)], without=["native"]),
    Row("sleepers_1m", "s", program("sleepers.c", "all", 1000000), [Bar("most", 60)], without=["native"], only_full=True),
    Row("redis_get_p1", "req/s", redis("get", 1), [Bar("speed", 0.95)], needs=["redis-server", "redis-benchmark"]),
    Row("redis_set_p1", "req/s", redis("set", 1), [Bar("speed", 0.95)], needs=["redis-server", "redis-benchmark"]),
    Row("redis_get_p16", "req/s", redis("get", 16), [Bar("speed", 0.95)], needs=["redis-server", "redis-benchmark"], least_runs=15),
    Row("redis_set_p16", "req/s", redis("set", 16), [Bar("speed", 0.95)], needs=["redis-server", "redis-benchmark"], least_runs=15),
    Row("memcached_t4", "req/s", memcached, [Bar("speed", 0.95)], needs=["memcached"]),
    Row("nginx", "req/s", nginx, [Bar("speed", 0.95)], needs=["nginx", "wrk"], least_runs=15),
    Row("nginx_apart", "req/s", nginx_apart, [Bar("speed", 0.95)], needs=["nginx", "wrk"]),
    Row("python_http", "req/s", python_http, [Bar("speed", 1.0)], needs=["wrk"]),
    Row("java_echo", "req/s", java_echo, [Bar("speed", 1.0)], needs=["java", "javac"]),
    Row("start_true", "us", start_true, [Bar("plus", 500)]),
    Row("bash_loop", "ms", bash_loop, [Bar("times", 1.8)]),
    Row("fork_exit", "us", program("processes.c", "fork_exit", "fork_exit"), []),
    Row("spawn_true", "us", program("processes.c", "spawn_true", "spawn_true"), []),
    Row("redis_io_threads", "req/s", redis("get", 1, "--io-threads", "4", "--io-threads-do-reads", "yes", quick=5000, full=20000), [Bar("speed", 5)], "2",
        needs=["redis-server", "redis-benchmark"]),
    Row("gzip", "s", gzip, [Bar("speed", 0.99)], needs=["gzip"]),
    Row("compute_4", "ms", program("compute.c", "compute_4"), [Bar("speed", 0.99)]),
    Row("ring_2", "ns", program("ring.c", "ring", 2), [], "1"),
    Row("ring_10000", "ns", program("ring.c", "ring", 10000), [], "1"),
    Row("trace_t0", "%", trace_cost.always_on, [Bar("most", 1)], without=["native", "trap"]),
    Row("trace_t1_stat", "%", trace_cost.view("stat"), [Bar("most", 3)], without=["native", "trap"]),
    Row("trace_t1", "%", trace_cost.view("trace", "-o", "/dev/null"), [Bar("most", 3)], without=["native", "trap"]),
    Row("trace_t2_bpftrace", "ns", trace_cost.probe(trace_cost.Bpftrace), [], without=["native", "trap"], needs=["bpftrace"]),
    Row("trace_t2_print", "ns", trace_cost.probe(trace_cost.Printing), [], without=["native", "trap"]),
    Row("ring_growth", "x", ring_growth, [Bar("most", 4)], "1", without=["native"]),
]
