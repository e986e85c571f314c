#!/usr/bin/python3
# bpf.py - BPF with its tools as a user would call them: maps, iterator, probes, agents and what they leave behind.
"""What needs BPF is skipped with a reason where the machine has none; OCRUN_REQUIRE_BPF=1 turns each such skip into a
failure. `bpf.py --short` is the part of it that belongs to every test run."""
import json, os, re, shutil, subprocess, time
from pathlib import Path

from observed import STEADY, check, ocrun, policy, short, start, suite, tell, wait_until

PINS = Path("/sys/fs/bpf/ocrun")
NATIVE_SLEEP = {"version": 1, "syscalls": {"nanosleep": "native"}}


def unusable():
    """why BPF cannot be used here, or ''"""
    done = ocrun("bpf", "--probe")
    if done.returncode == 0:
        return ""
    return done.stdout.strip() or done.stderr.strip() or "no answer"


MAPS = ["coros", "dropped", "events", "hist_kblock", "hist_oncpu", "hist_parked", "hist_runq", "meta", "rings", "workers"]


def pins():
    """what lies in a process's directory"""
    return MAPS + ([] if no_iterators() else ["top"])


def no_iterators():
    """why this kernel has no table `top`, or ''"""
    said = ocrun("bpf", "--probe").stdout.strip()
    return said if "without" in said else ""


def kernel_takes_iterators():
    """does it load an iterator that does nothing? One that refuses even this is not for a permission to change"""
    source, made, pin = Path(suite.directory) / "empty.bpf.c", Path(suite.directory) / "empty.bpf.o", "/sys/fs/bpf/ocrun-empty-iterator"
    source.write_text('__attribute__((section("iter/bpf_map_elem"), used)) int empty(void *context) { return 0; }\n'
                      '__attribute__((section("license"), used)) char _license[] = "GPL";\n')
    compiled = subprocess.run(["clang", "-O2", "-g", "-target", "bpf", "-c", source, "-o", made], capture_output=True, text=True)
    if compiled.returncode:
        return True
    loaded = subprocess.run(["bpftool", "prog", "load", made, pin], capture_output=True, text=True)
    if os.path.exists(pin):
        os.unlink(pin)
    return loaded.returncode == 0 or "not permitted" not in loaded.stderr


def bpftool(*arguments):
    done = subprocess.run(["bpftool", "-j", *map(str, arguments)], capture_output=True, text=True, timeout=30)
    return json.loads(done.stdout or "null")


def ours():
    """ids of programs and maps that look like ours"""
    programs = {p["id"] for p in bpftool("prog", "list") if p.get("name", "").startswith("oc_")}
    maps = {m["id"] for m in bpftool("map", "list") if m.get("name") in {*MAPS, "tids"} - {"events", "meta"}}
    links = {l["id"] for l in bpftool("link", "list") if l.get("prog_id") in programs}
    return programs, maps, links


def values(pid, name):
    """a pinned map as a user reads it: bpftool map dump, the values with their BTF names"""
    dumped = bpftool("map", "dump", "pinned", PINS / str(pid) / name)
    if not isinstance(dumped, list):  # {"error": …}: the pin is gone
        print(f"bpftool map dump of {name} of process {pid}: {dumped}")
        return []
    return [(row["formatted"]["key"], row["formatted"]["value"]) for row in dumped]


def histogram(pid, name):
    return [v["count"] for key, v in values(pid, name)]


def rows(pid):
    return {v["id"]: v for key, v in values(pid, "coros") if v["id"]}


class Agent:
    def __init__(self, pid, *options):
        self.process = subprocess.Popen([suite.ocrun_file, "bpf", *options, str(pid)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.line = self.process.stdout.readline()

    def stop(self):
        self.process.terminate()
        self.process.wait(15)


def exact_counts(count):
    """a guest with exactly `count` switches, through bpftool and bpftrace"""
    server = start([suite.guest("observed"), "switch", str(count)], ("-w", "1", "-c", policy("steady.json", STEADY)))
    tracer = None
    try:
        a, b = map(int, server.line().split()[1:])
        agent = Agent(server.pid, "--print")
        check("bpf attaches to a running process", "BPF is on" in agent.line, agent.line)
        check("the pins are there", sorted(os.listdir(PINS / str(server.pid))) == sorted(pins()))
        check("other users cannot look at the pins", oct(os.stat(PINS / str(server.pid)).st_mode & 0o777) == "0o700")
        if shutil.which("bpftrace"):
            script = f"usdt:{suite.ocrun_file}:ocrun:co_switch /arg1 == {a} || arg1 == {b}/ {{ @hits[arg1] = count(); }}"
            tracer = subprocess.Popen(["bpftrace", "-p", str(server.pid), "-e", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            attached = tracer.stdout.readline()
            if "RLIMIT_MEMLOCK" in attached:  # it cannot raise the limit and goes on all the same
                attached = tracer.stdout.readline()
            check("bpftrace attaches to the probe", "Attaching 1 probe" in attached, attached)
            time.sleep(2)  # it says so before it has
        # a buffer that nobody used yet has two pages
        size = Path("/sys/kernel/tracing/buffer_size_kb")
        if int(size.read_text().split()[0]) < 2048:
            size.write_text("2048")
        Path("/sys/kernel/tracing/trace").write_text("")  # lines of somebody before
        lines_file = Path(suite.directory) / "tracelog"
        with open(lines_file, "w") as out:  # a pipe that nobody empties would hold it up
            log = subprocess.Popen(["stdbuf", "-oL", "bpftool", "prog", "tracelog"], stdout=out)
        time.sleep(0.3)
        before = rows(server.pid)
        histograms = {name: histogram(server.pid, name) for name in ("hist_runq", "hist_oncpu", "hist_parked")}
        tell(server)
        check("the guest goes on", server.line() == "done")
        time.sleep(0.5)
        after = rows(server.pid)
        done = [after[t]["switches"] - before[t]["switches"] for t in (a, b)]
        check("map dump: switches are exactly those forced", done == [count, count], done)
        check("map dump: states and calls by name", after[a]["state"] == "PARKED" and after[a]["call"] == "futex" and after[a]["waits_for"] == "futex",
              after[a])
        index = [key for key, v in values(server.pid, "coros") if v["id"] == a][0]
        found = bpftool("map", "lookup", "pinned", PINS / str(server.pid) / "coros", "key", *index.to_bytes(4, "little"))
        check("map lookup of one row", found["formatted"]["value"]["switches"] == after[a]["switches"], found)
        moved = {name: sum(histogram(server.pid, name)) - sum(counts) for name, counts in histograms.items()}
        # who waits parks; main switches a few times too
        check("map dump: a histogram counts each time in a queue, on the CPU, parked", all(2 * count <= n <= 2 * count + 20 for n in moved.values()), moved)
        bounds = [(v["from_ns"], v["below_ns"]) for key, v in sorted(values(server.pid, "hist_oncpu"), key=lambda row: row[0])]
        check("map dump: the rows of a histogram say from where to where",
              bounds[0] == (0, 1) and all(below == next_from for (_, below), (next_from, _) in zip(bounds, bounds[1:])), bounds)
        ring = sorted((v for key, v in values(server.pid, "rings") if v["kind"] and v["worker"] == server.pid), key=lambda v: v["seq"])
        check("map dump: the ring of the worker has its newest events without a gap",
              len(ring) == 128 and [v["seq"] for v in ring] == list(range(ring[0]["seq"], ring[0]["seq"] + 128)), ring[:3])
        check("map dump: events by name", all(any(v["kind"] == kind and v["co"] == t and v["call"] == "futex" for v in ring)
              for kind in ("OC_EV_SWITCH", "OC_EV_PARK", "OC_EV_WAKE") for t in (a, b)), ring[:6])
        worker = values(server.pid, "workers")[0][1]
        check("the worker's row", worker["tid"] == server.pid and worker["switches"] >= 2 * count, worker)
        lost = dict(values(server.pid, "dropped"))
        check("dropped is zero", set(lost.values()) == {0} and "rows_wanting" in lost, lost)
        names = {p.get("name") for p in bpftool("prog", "show")}
        check("prog show names the programs", {"oc_sched_switch", "oc_print_switch", *(["oc_top"] if "top" in pins() else [])} <= names, names)
        check("link show shows the tracing link", any(l.get("type") in ("tracing", "raw_tracepoint") and l.get("prog_id") in ours()[0] for l in bpftool("link", "show")), bpftool("link", "show"))
        table = (PINS / str(server.pid) / "top").read_text() if "top" in pins() else ""
        if "top" in pins():
            check("the iterator prints a table", table.split()[0] == "id" and all(re.search(rf"^ *{t} observed .*parked", table, re.M) for t in (a, b)), table)
        def printed_lines():
            lines = lines_file.read_text()
            return [len(re.findall(rf"ocrun switch \d+ -> {t} worker", lines)) for t in (a, b)]

        wait_until(lambda: printed_lines() == [count, count], 10)
        log.terminate()
        log.wait(20)
        printed = printed_lines()
        check("prog tracelog has a line for each switch", printed == [count, count], printed)
        if tracer:
            tracer.send_signal(2)
            hits = tracer.communicate(timeout=20)[0]
            got = [int(m) for t in (a, b) for m in re.findall(rf"@hits\[{t}\]: (\d+)", hits)]
            check("bpftrace counts the same hits of the probe", got == [count, count], hits)
        else:
            suite.skip("bpftrace", "not installed")
        agent.stop()
        check("when the agent ends the pins go", not (PINS / str(server.pid)).exists())
        tell(server)
    finally:
        if tracer and tracer.poll() is None:
            tracer.kill()
        status = server.stop()
    check("the observed guest ends as ever", status == 0, status)


def blocked_worker():
    server = start([suite.guest("observed"), "block", "300"], ("-w", "1", "-c", policy("native.json", {**NATIVE_SLEEP, "tracing": {"bpf": True}})))
    try:
        server.line()
        check("the policy's tracing attaches", wait_until(lambda: (PINS / str(server.pid) / "coros").exists() and len(rows(server.pid)) == 2))
        time.sleep(0.3)
        tell(server)
        worked = int(server.line().split()[1])
        check("the others go on while a worker is blocked", worked > 0, worked)
        counts = {key: v for key, v in values(server.pid, "hist_kblock")}
        # the runtime makes the guest's nanosleep with an absolute end, so that ticks do not prolong it
        sleeps = [v for key, v in counts.items() if key in ("nanosleep", "clock_nanosleep")]
        check("the kernel counts the block under its system call", len(sleeps) == 1 and sleeps[0]["blocks"] >= 1, counts)
        check("and its time", sleeps and sleeps[0]["ns"] >= 250_000_000, counts)
        # a tick may have cut the sleep in two
        told = [v for key, v in values(server.pid, "events") if v["seq"] and "nanosleep" in v["call"]]
        check("map dump: the block is an event, with its coroutine", sum(v["ns"] for v in told) >= 250_000_000
              and all(v["co"] in rows(server.pid) and v["expected"] == 1 for v in told), told)
        blocked = [w for key, w in values(server.pid, "workers") if w["kblocks"]]
        check("the worker's row shows it", blocked and any("nanosleep" in w["kcall"] for w in blocked), blocked)
        tell(server)
    finally:
        status = server.stop()
    check("the blocked guest ends as ever", status == 0, status)


def stuck_worker(tries=3):
    """a block that nobody could expect: the queue goes on the kernel's word, unless the monitor happened to look just then"""
    server = start([suite.guest("observed"), "stuck", "300"], ("-w", "1", "--bpf"))
    try:
        server.line()
        check("--bpf attaches to three threads", wait_until(lambda: (PINS / str(server.pid) / "coros").exists() and len(rows(server.pid)) == 3))
        time.sleep(0.3)
        tell(server)
        worked = int(server.line().split()[1])
        check("the others go on while a worker is stuck", worked > 0, worked)
        counts = dict(values(server.pid, "hist_kblock"))
        check("the kernel counts it under the right system call", counts.get("uname", {}).get("blocks", 0) >= 1, counts)
        slots = [w for key, w in values(server.pid, "workers") if w["kblocks"]]
        told = sum(w["handovers_told"] for w in slots)
        if told or tries == 1:
            check("the queue was handed over on the kernel's word", told >= 1, slots)
        tell(server)
    finally:
        status = server.stop()
    check("the stuck guest ends as ever", status == 0, status)
    if not told and tries > 1:
        stuck_worker(tries - 1)


def lifecycle():
    clean = ours()

    def all_gone(title):
        check(title, wait_until(lambda: all(now <= before for now, before in zip(ours(), clean)) and not PINS.exists(), 30), (ours(), clean, list(PINS.glob("*/*"))[:9]))

    def attached(server):
        return wait_until(lambda: (PINS / str(server.pid) / "coros").exists() and len(rows(server.pid)) >= 2)

    spin = [suite.guest("observed"), "switch", "10"]
    all_gone("nothing is left of the tests before")
    several = [start(spin, ("-w", "2", "--bpf")) for _ in range(3)]
    for s in several:
        s.line()
    check("several ocruns at once have maps of their own", all(attached(s) for s in several))
    several[0].stop()
    os.kill(several[1].pid, 9)
    several[1].process.wait()
    check("only those of the others stay", wait_until(lambda: os.listdir(PINS) == [str(several[2].pid)]), os.listdir(PINS))
    several[2].stop()
    all_gone("nothing stays after exit and kill -9")

    server = start(spin, ("-w", "1"))
    server.line()
    agent = Agent(server.pid)
    children = Path(f"/proc/{agent.process.pid}/task/{agent.process.pid}/children").read_text().split()
    os.kill(int(children[0]), 9)
    agent.process.wait(15)
    check("a killed agent leaves no pins", not PINS.exists(), list(PINS.glob("*")))
    agent = Agent(server.pid)
    check("another agent may follow", "BPF is on" in agent.line, agent.line)
    again = ocrun("bpf", server.pid)
    check("a second agent at the same time is refused", again.returncode == 125 and "has BPF already" in again.stderr, again.stderr)
    server.stop()
    agent.process.wait(15)
    all_gone("nothing stays when the process ends under its agent")

    # a tree: a shell that forks and executes; the guest sees no child that it did not make
    server = start(["/bin/bash", "-c", "read line; (sleep 1; exit 3) & wait $!; echo status $?; wait; echo $(ps -o pid= --ppid $$ | wc -l); exec "
                    + " ".join(spin)], ("-w", "1", "--bpf"))
    wait_until(lambda: (PINS / str(server.pid)).exists())
    tell(server)
    check("children are waited for as ever", server.line() == "status 3")
    check("the agent is no child of the guest", server.line() in ("1", "2"))
    server.line()
    check("after exec the new image has the maps", attached(server))
    server.stop()
    all_gone("nothing stays of a process tree")

    fork_code = "import os,threading,time\nt=threading.Thread(target=time.sleep,args=(2,))\nt.start()\ntime.sleep(.5)\np=os.fork()\nif p==0:\n  os._exit(7)\nprint(os.waitpid(p,0)[1]>>8,flush=True)\nt.join()"
    server = start(["python3", "-c", fork_code], ("-w", "2", "--bpf"))
    check("a process with maps forks as ever", server.line() == "7")
    server.stop()
    all_gone("nothing stays after a fork")

    # the agent's first signal and its clocks meet images that are just starting
    tree = 'for i in 1 2 3 4 5 6; do /bin/true || exit 1; done; exec /bin/sh -c "exec /bin/true"'
    died = [s for s in (ocrun("--bpf", "/bin/sh", "-c", tree).returncode for _ in range(15)) if s]
    check("no program dies of the agent's signals at its start or exec", not died, died)
    all_gone("nothing stays of many short trees")


def without_rights():
    if os.geteuid() or not shutil.which("setpriv"):
        return suite.skip("bpf without rights", "needs root and setpriv")
    as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
    done = subprocess.run(as_user + [suite.ocrun_file, "--bpf", "/bin/echo", "hello"], capture_output=True, text=True, timeout=30, cwd="/")
    check("without rights the program runs, one line says that BPF is off",
          done.stdout == "hello\n" and done.returncode == 0 and done.stderr.count("\n") == 1 and "BPF is off" in done.stderr, done.stderr)


def skip(title, why):
    """what needs BPF and cannot be had: a failure where it is required"""
    if os.environ.get("OCRUN_REQUIRE_BPF") == "1":
        return suite.fail(title, suite.config, f"OCRUN_REQUIRE_BPF is set, but: {why}")
    print(f"SKIP: {title}: {why}")
    return suite.skip(title, why)


def bpf_tests():
    why = unusable()
    if why or not shutil.which("bpftool"):
        why = why or "no bpftool"
        return skip("BPF", why)
    if no_iterators() and kernel_takes_iterators():
        suite.fail("the table `top`", suite.config, "ours is refused, an iterator that does nothing is not")
    elif no_iterators():
        print("SKIP: the table `top`: this kernel refuses every BPF iterator, even one that does nothing")
        suite.skip("the table `top`", "the kernel refuses every BPF iterator")
    exact_counts(100 if short else 1000)
    if short:
        return
    blocked_worker()
    stuck_worker()
    lifecycle()
    without_rights()


if not suite.options.native:
    bpf_tests()
suite.end()
