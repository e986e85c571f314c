#!/usr/bin/python3
# views.py - the views of ocrun from outside (ps, top, stacks, stat, trace, flame, watch, gdb), as a user would call them.
"""They need no privileges. `views.py --short` is the part of it that belongs to every test run."""
import json, os, re, shutil, subprocess, time
from pathlib import Path

from observed import STEADY, check, ocrun, policy, short, start, suite, tell, wait_until
from common import Server, harness


def views_of_a_waiting_program():
    server = start([suite.guest("observed"), "switch", "1000"])
    try:
        armed = server.line().split()
        check("views: the program starts", armed[:1] == ["armed"], armed)
        a, b = armed[1:]
        time.sleep(0.1)
        listed = ocrun("ps").stdout
        check("ps lists the process", re.search(rf"^ *{server.pid} +3 +3 ", listed, re.M), listed)
        one = ocrun("ps", server.pid).stdout
        check("ps PID lists each coroutine with its call", all(re.search(rf"^ *{t} .*parked +futex", one, re.M) for t in (a, b)), one)
        check("ps fits 80 columns", max(map(len, (listed + one).splitlines())) <= 80, listed + one)
        stacks = ocrun("stacks", server.pid).stdout
        check("stacks name functions of a program without frame pointers",
              stacks.count("take_turns") == 2 and "run_b" in stacks and "wait_for_line" in stacks, stacks)
        screen = ocrun("top", server.pid, "-n", "1", "-i", "0.2").stdout
        check("top shows each coroutine", all(t in screen for t in (a, b)) and "dropped 0" in screen, screen)
        check("top fits 80 columns", max(map(len, screen.splitlines())) <= 80, screen)
        recorder = subprocess.Popen([suite.ocrun_file, "stat", str(server.pid)], stdout=subprocess.PIPE, text=True)
        time.sleep(0.5)
        tell(server)
        check("a recorded program goes on", server.line() == "done")
        time.sleep(0.1)
        tell(server)
        text = recorder.communicate(timeout=20)[0]
        futexes = re.search(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) .*futex$", text, re.M)
        # each turn is a wake and a wait that parks
        check("stat counts the calls of a running process", futexes and 4000 <= int(futexes.group(1)) <= 4020, text)
    finally:
        status = server.stop()
    check("views: the program ends as ever", status == 0, status)


def recorded_commands():
    def directories():
        return {f"{p}/{f}" for p in ("/dev/shm", "/tmp") for f in os.listdir(p) if re.fullmatch(r"ocrun-[A-Za-z0-9]{6}", f)}

    before = directories()
    done = ocrun("stat", "--", "/bin/sh", "-c", "echo hello; exit 7")
    check("stat -- COMMAND keeps output and status", done.stdout == "hello\n" and done.returncode == 7, done.stdout + done.stderr)
    check("stat -- COMMAND counts", re.search(r" 1 +write$", done.stderr, re.M) and "dropped 0" in done.stderr, done.stderr)
    file = Path(suite.directory) / "trace.json"
    done = ocrun("trace", "-w", "2", "-o", file, "--", suite.guest("producers_and_consumers_lose_nothing"))
    check("trace -- COMMAND keeps the status", done.returncode == 0 and "dropped" in done.stderr, done.stderr)
    problems, kinds = trace_problems(file)
    check("the trace is sound trace-event JSON", not problems, problems[:5])
    check("the trace has slices, wakes and names", all(kinds.get(k, 0) > 10 for k in "XsfM"), kinds)
    done = ocrun("trace", "-w", "2", "-m", "1000", "-o", file, "--", suite.guest("producers_and_consumers_lose_nothing"))
    problems, kinds = trace_problems(file)
    lost = json.loads(file.read_text())["otherData"]
    check("the size of a trace is bounded", not problems and 0 < lost["events"] <= 1000 and lost["beyond the limit"] > 0 and sum(kinds.values()) < 4000
          and f"beyond the limit {lost['beyond the limit']}" in done.stderr, (problems[:5], lost, kinds, done.stderr))
    left = directories() - before
    check("records are removed", not left, left)


def followed_exec():
    """a program that is attached to by its id executes another one"""
    server = start(["/bin/bash", "-c", "read line; exec " + suite.guest("observed") + " switch 100"])
    try:
        wait_until(lambda: str(server.pid) in ocrun("ps").stdout)
        recorder = subprocess.Popen([suite.ocrun_file, "stat", str(server.pid)], stdout=subprocess.PIPE, text=True)
        time.sleep(0.5)
        tell(server)
        server.line()
        time.sleep(1)
        tell(server)
        check("a program goes on that was recorded through its exec", server.line() == "done")
        tell(server)
        text = recorder.communicate(timeout=30)[0]
        check("a recording by id goes on through exec", re.search(r" (4\d\d) +futex$", text, re.M), text)
    finally:
        server.stop()


def trace_problems(file):
    """what a parser of the trace-event format would not accept, and how many events of each kind there are"""
    trace, problems, kinds, open_flows, flows, slices, ends = json.loads(file.read_text()), [], {}, {}, set(), {}, {}
    number = lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and v >= 0
    if set(trace) != {"displayTimeUnit", "traceEvents", "otherData"}:
        problems.append(list(trace))
    for e in trace["traceEvents"]:
        kinds[e["ph"]] = kinds.get(e["ph"], 0) + 1
        if e["ph"] == "M":
            if e["name"] not in ("process_name", "thread_name") or not e["args"]["name"]:
                problems.append(e)
            continue
        if not (number(e["ts"]) and isinstance(e["pid"], int) and isinstance(e["tid"], int) and e["name"]):
            problems.append(e)
        track = e["pid"], e["tid"]
        if e["ph"] == "X":
            if not number(e["dur"]):
                problems.append(e)
            slices.setdefault(track, []).append((e["ts"], -e["dur"], e["name"]))
            # slices are written as they end: on a track time goes forward
            if e["ts"] + e["dur"] + 0.0025 < ends.get(track, 0):
                problems.append(("backwards", e, ends[track]))
            ends[track] = max(ends.get(track, 0), e["ts"] + e["dur"])
        elif e["ph"] == "s":
            if e["id"] in flows:
                problems.append(("twice", e))
            flows.add(e["id"])
            open_flows[e["id"]] = e["ts"]
        elif e["ph"] == "f":
            if open_flows.pop(e["id"], 1e300) > e["ts"] or e.get("bp") != "e":
                problems.append(e)
        elif e["ph"] != "i":
            problems.append(e)
    problems += [("arrow without a head", id) for id in open_flows]
    # slices of a track must nest
    for track, list_ in slices.items():
        stack = []
        for ts, minus, name in sorted(list_):
            end = ts - minus
            while stack and stack[-1] <= ts + 0.0015:
                stack.pop()
            if stack and end > stack[-1] + 0.0025:
                problems.append((track, name, ts, end, stack[-1]))
            stack.append(end)
    return problems, kinds


# Debian's Chromium, without a desktop, a network or anything of the user's
BROWSER = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
           "--disable-component-update", "--disable-sync"]


def in_browser(title, page, *files):
    """the page's document after its scripts ran, from a web server that has it and the files; None: there is no browser"""
    import functools, http.server, threading
    if not shutil.which(BROWSER[0]):
        suite.skip(title, f"no {BROWSER[0]}")
        return None
    for f in files:
        if f.parent != Path(suite.directory):
            shutil.copy(f, suite.directory)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=suite.directory))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        done = subprocess.run(BROWSER + [f"--user-data-dir={suite.directory}/browser", "--virtual-time-budget=20000", "--timeout=60000", "--dump-dom",
                                         f"http://127.0.0.1:{web.server_port}/{page}"], capture_output=True, text=True, timeout=150)
        return done.stdout
    finally:
        web.shutdown()
        web.server_close()


def watched_programs():
    server = start([suite.guest("observed"), "deadlock"], ("-w", "2"))
    try:
        server.line()
        text = ocrun("watch", "-t", "3", server.pid).stdout
        check("watch reports a deadlock with stacks", "deadlock: all 3 coroutines" in text and text.count("lock_other_mutex") == 2, text)
        check("stacks fold a deadlock", "lock_other_mutex" in ocrun("stacks", server.pid).stdout)
    finally:
        server.stop(2)
    server = start([suite.guest("observed"), "spin", "1500"], ("-w", "1", "-c", policy("steady.json", STEADY)))
    try:
        server.line()
        tell(server)
        text = ocrun("watch", "-t", "1", "-s", "50", server.pid).stdout
        check("watch reports a stall with its stack", "stall: coroutine" in text and "compute_without_calls" in text, text)
        server.line()
    finally:
        server.stop()


def flame_graphs():
    """a program that computes in one thread and waits in another"""
    import xml.etree.ElementTree as xml
    server = start([suite.guest("observed"), "spin", "6000"], ("-w", "2"))
    file = Path(suite.directory) / "flame.svg"
    try:
        server.line()
        tell(server)
        done = ocrun("flame", "-t", "1", "-o", file, server.pid)
        check("flame draws", done.returncode == 0 and re.search(r"\d+ samples, on CPU .*stacks missed \d+", done.stderr), done.stderr)
        svg = xml.fromstring(file.read_text())  # well-formed, or an exception
        space = "{http://www.w3.org/2000/svg}"
        boxes = []
        for g in svg.iter(space + "g"):
            r = g.find(space + "rect")
            name, _, share = g.find(space + "title").text.rpartition(": ")
            boxes.append((name, share, *(float(r.get(k)) for k in ("x", "y", "width"))))
        names = {b[0] for b in boxes}
        check("the graph names who computes and who waits", {"on CPU", "off CPU", "compute_without_calls", "work"} <= names, names)
        # every box lies on one below it, and what lies on a box is not wider than it
        width = float(svg.get("width"))
        def below(x, y, w):
            return [b for b in boxes if abs(b[3] - y - 17) < 0.2 and b[2] <= x + 0.2 and b[2] + b[4] >= x + w - 0.2]
        hanging = [b for b in boxes if b[0] not in ("on CPU", "off CPU") and not below(*b[2:])]
        check("its boxes stand on each other", not hanging and all(0 <= b[2] and b[2] + b[4] <= width for b in boxes), hanging[:3])
        folded = Path(suite.directory) / "folded"
        done = ocrun("flame", "-t", "0.5", "--folded", "-o", folded, server.pid)
        lines = folded.read_text().splitlines()
        sound = all(re.fullmatch(r"[^;]+(;[^;]+)* \d+", l) for l in lines)
        check("folded stacks are one a line with their microseconds", lines and sound and any("compute_without_calls" in l and l.startswith("on CPU;") for l in lines), lines[:5])
        server.line()
    finally:
        server.stop()
    # a browser may take longer than the program runs
    shown = in_browser("a browser draws the flame graph", "flame.svg")
    if shown is not None:
        check("a browser draws the flame graph", shown.count("<rect") == len(boxes) + 1 and "parsererror" not in shown, shown[:1000])
    server = start([suite.guest("observed"), "switch", "1"])
    try:
        server.line()
        ocrun("flame", "-t", "0.3", "--folded", "-o", folded, server.pid)
        text = folded.read_text()
        check("a thread that waits lies under what it waits for", re.search(r"^off CPU;parked: futex;.*run_a;.*syscall futex \d+$", text, re.M), text)
    finally:
        server.stop()


def in_gdb():
    if not shutil.which("gdb"):
        return suite.skip("gdb", "no gdb")

    def gdb(*commands, arguments=()):
        script = [w for c in commands for w in ("-ex", c)]
        done = subprocess.run(["gdb", "-batch", "-nx", "-iex", "set debuginfod enabled off", "-iex", f"add-auto-load-safe-path {suite.build}", *script, *arguments],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        return done.stdout + done.stderr

    server = start([suite.guest("observed"), "switch", "10"])
    try:
        a, b = server.line().split()[1:]
        text = gdb("info coroutines", f"coroutine {a} bt", "info registers rip", "coroutine 7 bt", "detach", arguments=("-p", str(server.pid)))
        check("gdb loads the script by itself; info coroutines lists them all",
              all(re.search(rf"^ *{t} observed +parked +202 futex", text, re.M) for t in (a, b)) and re.search(rf"^ *{server.pid} observed", text, re.M), text)
        check("coroutine ID bt shows where it waits", all(f in text for f in ("wait_while", "take_turns", "run_a", "start_thread")), text)
        check("an id that is not there is an error", "no coroutine 7" in text, text)
        tell(server)
        check("the program goes on after gdb", server.line() == "done")
        tell(server)
    finally:
        status = server.stop()
    check("and ends as ever", status == 0, status)
    # traps and ticks do not stop a program that runs inside gdb
    text = gdb("run", arguments=("--args", suite.ocrun_file, "-w", "2", suite.guest("producers_and_consumers_lose_nothing")))
    check("a program runs in gdb undisturbed by the runtime's signals", "exited normally" in text and "SIGSYS" not in text, text[-2000:])
    installed = subprocess.run(["cmake", "--install", str(suite.build), "--prefix", "/usr"],
                               env={**os.environ, "DESTDIR": suite.directory + "/root"}, capture_output=True, text=True, timeout=120)
    place = list(Path(suite.directory, "root").glob("usr/share/gdb/auto-load/usr/bin/ocrun-gdb.py"))
    check("the script is installed where gdb loads it by itself", installed.returncode == 0 and place, installed.stderr + installed.stdout[-500:])


def stacks_of_programs():
    """names where threads wait, in programs that nobody built for this"""
    def waiting(title, command, *functions):
        if not shutil.which(command[0]):
            return suite.skip(f"stacks of {title}", f"no {command[0]}")
        server = start(command, ("-w", "2"))
        try:
            text = ""

            def named():
                nonlocal text
                done = ocrun("stacks", server.pid)
                text = done.stdout + done.stderr
                return all(f in text for f in functions) and "0 could not be caught" in text

            check(f"stacks name where threads of {title} wait", wait_until(named), text[:3000])
        finally:
            server.stop(2)

    code = "import threading\nl=threading.Lock(); l.acquire()\nt=threading.Thread(target=l.acquire, daemon=True); t.start()\nimport time; time.sleep(60)"
    waiting("python3", ["python3", "-c", code], "PyThread_acquire_lock_timed", "start_thread")
    waiting("redis", ["redis-server", "--port", "0", "--unixsocket", suite.directory + "/redis.sock", "--save", "", "--dir", suite.directory], "pthread_cond_wait", "aeMain")
    if shutil.which("go"):
        source = Path(suite.directory) / "wait.go"
        source.write_text('package main\nimport "time"\nfunc main() { time.Sleep(time.Minute) }\n')
        built = subprocess.run(["go", "build", "-o", source.with_suffix(""), source], capture_output=True, text=True, timeout=300,
                               env={**os.environ, "HOME": suite.directory, "GOFLAGS": "-mod=mod", "GO111MODULE": "off"})
        if built.returncode:
            return check("a Go program is built", False, built.stderr)
        waiting("Go", [str(source.with_suffix(""))], "runtime.futex", "runtime.schedule")


def trace_of_a_server():
    """1,000 connections, recorded from outside while they are served"""
    connections = 1000
    server = start([suite.guest("echo_server")], ("-w", "2"))
    file = Path(suite.directory) / "echo.json"
    client = None
    try:
        port = server.line().split()[1]
        recorder = subprocess.Popen([suite.ocrun_file, "trace", "-o", str(file), str(server.pid)], stderr=subprocess.PIPE, text=True)
        time.sleep(0.5)
        client = Server(suite, [], [suite.guest("echo_load"), port, str(connections), "64", "-3"], stdin=subprocess.DEVNULL)
        check("the recorded server takes all connections", client.line(60) == f"connected {connections}")
        result = client.line(60)
        check("the recorded server answers everything", result.endswith(" errors 0"), result)
        recorder.send_signal(2)
        said = recorder.communicate(timeout=120)[1]
        problems, kinds = trace_problems(file)
        check("the trace of a server is sound", not problems, problems[:5])
        check("it has every connection's thread and its calls", kinds.get("X", 0) > 6 * connections and kinds.get("M", 0) > connections, (kinds, said))
        check("it says what was lost", re.search(r"dropped \d+", said), said)
        shown = in_browser("a browser draws the trace", "trace.html?file=echo.json", Path(harness.ROOT) / "docs" / "trace.html", file)
        if shown is not None:
            drawn = re.search(r'data-drawn="(\d+)"', shown)
            tracks = re.search(r"(\d+) tracks, (\d+) wakes", shown)
            check("a browser draws the trace", drawn and int(drawn.group(1)) > connections and tracks and int(tracks.group(1)) > connections
                  and int(tracks.group(2)) == kinds.get("f"), shown[-1500:])
    finally:
        if client:
            client.stop()
        server.stop()


def refused():
    done = ocrun("ps", "1")
    check("a process that does not run under ocrun is refused", done.returncode == 125 and "ocrun: process 1" in done.stderr, done.stderr)
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    done = ocrun("stacks", str(ended.pid))
    check("a process that is not there is refused", done.returncode == 125 and "no process" in done.stderr, done.stderr)
    done = ocrun("stacks", "999999999")
    check("a number that is no process id is refused", done.returncode == 125 and "PID" in done.stderr, done.stderr)
    if os.geteuid() or not shutil.which("setpriv"):
        return suite.skip("other users", "needs root and setpriv")
    as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
    server = start([suite.guest("observed"), "switch", "1"])
    mine = Server(suite, as_user + [suite.ocrun_file, "-w", "1"], [suite.guest("observed"), "switch", "1"])
    try:
        server.line()
        mine.line()
        done = subprocess.run(as_user + [suite.ocrun_file, "stacks", str(server.pid)], capture_output=True, text=True)
        check("another user's process is refused", done.returncode == 125 and "not yours" in done.stderr and not done.stdout, done.stderr)
        place = Path(suite.directory) / "nobody"
        place.mkdir()
        os.chown(place, 65534, 65534)
        views = (["ps"], ["stacks"], ["top", "-n", "1", "-i", "0.1"], ["stat", "-t", "0.3"], ["watch", "-t", "0.3"], ["trace", "-t", "0.3", "-o", "t.json"],
                 ["flame", "-t", "0.3"])
        for view in views:
            done = subprocess.run(as_user + [suite.ocrun_file, *view, str(mine.pid)], capture_output=True, text=True, cwd=place, timeout=60)
            said = done.stderr.splitlines()
            check(f"{view[0]} works for one's own process without privileges", done.returncode == 0 and len(said) <= ("-o" in view or view[0] == "flame"), done.stderr)
            done = subprocess.run(as_user + [suite.ocrun_file, *view, str(server.pid)], capture_output=True, text=True, cwd=place, timeout=60)
            check(f"{view[0]} of another user's process is refused in one line", done.returncode == 125 and done.stderr.count("\n") == 1 and not done.stdout,
                  (done.stdout, done.stderr))
        done = subprocess.run(as_user + [suite.ocrun_file, "bpf", str(mine.pid)], capture_output=True, text=True, cwd=place, timeout=60)
        check("bpf says in one line what it needs", done.returncode == 125 and done.stderr.count("\n") == 1 and "CAP_BPF" in done.stderr, done.stderr)
        done = ocrun("stat", "-t", "0.3", mine.pid)
        check("root records a user's process", done.returncode == 0 and "dropped 0" in done.stdout, done.stdout + done.stderr)
    finally:
        server.stop()
        mine.stop()


# ---- BPF -----------------------------------------------------------------------------------------------------------


if suite.options.native:
    suite.end()
views_of_a_waiting_program()
recorded_commands()
if not short:
    followed_exec()
    watched_programs()
    flame_graphs()
    in_gdb()
    stacks_of_programs()
    trace_of_a_server()
    refused()
suite.end()
