#!/usr/bin/python3
# bpf.py - observers: the views of ocrun from outside, and BPF with its tools as a user would call them.
"""The views need no privileges. What needs BPF is skipped with a reason where the machine has none; OCRUN_REQUIRE_BPF=1
turns each such skip into a failure. `bpf.py --short` is the part of it that belongs to every test run."""
import json, os, re, shutil, subprocess, sys, time
from pathlib import Path

short = "--short" in sys.argv
sys.argv = [a for a in sys.argv if a != "--short"]
from common import Server, Suite, free_port, wait_for_port

suite = Suite("observers of coroutines")
STEADY = {"scheduler": {"preempt": False}, "version": 1}  # no tick: only what the program does switches


def policy(name, value):
    path = Path(suite.directory) / name
    path.write_text(json.dumps(value))
    return str(path)


def ocrun(*arguments, timeout=60, text=True):
    return subprocess.run([suite.ocrun_file, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=timeout, text=text)


def start(command, options=("-w", "1"), env=None):
    return Server(suite, [suite.ocrun_file, *options], command, env=env)


def tell(server, line="go"):
    server.process.stdin.write((line + "\n").encode())
    server.process.stdin.flush()


def check(title, condition, detail=""):
    if suite.wanted(title):
        suite.check(title, suite.config, condition, detail)


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
    done = ocrun("stat", "--", "/bin/sh", "-c", "echo hello; exit 7")
    check("stat -- COMMAND keeps output and status", done.stdout == "hello\n" and done.returncode == 7, done.stdout + done.stderr)
    check("stat -- COMMAND counts", re.search(r" 1 +write$", done.stderr, re.M) and "dropped 0" in done.stderr, done.stderr)
    file = Path(suite.directory) / "trace.json"
    done = ocrun("trace", "-w", "2", "-o", file, "--", suite.guest("producers_and_consumers_lose_nothing"))
    check("trace -- COMMAND keeps the status", done.returncode == 0 and "dropped" in done.stderr, done.stderr)
    problems, kinds = trace_problems(file)
    check("the trace is sound trace-event JSON", not problems, problems[:5])
    check("the trace has slices, wakes and names", all(kinds.get(k, 0) > 10 for k in "XsfM"), kinds)
    left = [p for p in ("/dev/shm", "/tmp") for f in os.listdir(p) if re.fullmatch(r"ocrun-[A-Za-z0-9]{6}", f)]
    check("records are removed", not left, left)


def trace_problems(file):
    """what a parser of the trace-event format would not accept, and how many events of each kind there are"""
    trace, problems, kinds, open_flows, slices = json.loads(file.read_text()), [], {}, set(), {}
    for e in trace["traceEvents"]:
        kinds[e["ph"]] = kinds.get(e["ph"], 0) + 1
        if e["ph"] == "M":
            if e["name"] not in ("process_name", "thread_name") or not e["args"]["name"]:
                problems.append(e)
            continue
        if not (isinstance(e["ts"], (int, float)) and e["ts"] >= 0 and isinstance(e["pid"], int) and isinstance(e["tid"], int) and e["name"]):
            problems.append(e)
        if e["ph"] == "X":
            slices.setdefault((e["pid"], e["tid"]), []).append((e["ts"], -e["dur"], e["name"]))
        elif e["ph"] == "s":
            open_flows.add(e["id"])
        elif e["ph"] == "f":
            if e["id"] not in open_flows:
                problems.append(e)
            open_flows.discard(e["id"])
        elif e["ph"] != "i":
            problems.append(e)
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


def refused():
    done = ocrun("ps", "1")
    check("a process that does not run under ocrun is refused", done.returncode == 125 and "ocrun: process 1" in done.stderr, done.stderr)
    done = ocrun("stacks", "999999999")
    check("a process that is not there is refused", done.returncode == 125 and "no process" in done.stderr, done.stderr)
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
        for view in (["ps"], ["stacks"], ["top", "-n", "1", "-i", "0.1"], ["stat", "-t", "0.3"]):
            done = subprocess.run(as_user + [suite.ocrun_file, *view, str(mine.pid)], capture_output=True, text=True, cwd="/")
            check(f"{view[0]} works for one's own process without privileges", done.returncode == 0 and not done.stderr, done.stderr)
        done = ocrun("stat", "-t", "0.3", mine.pid)
        check("root records a user's process", done.returncode == 0 and "dropped 0" in done.stdout, done.stdout + done.stderr)
    finally:
        server.stop()
        mine.stop()


if suite.options.native:
    suite.end()
views_of_a_waiting_program()
recorded_commands()
if not short:
    watched_programs()
    refused()
suite.end()
