# trace_cost.py - what observation costs: rows trace_* of scripts/bench
"""One process is measured with and without, in turns of a fraction of a second, while the load goes on. The figure is CPU time, not
elapsed time: on one CPU, which server, load and recorder share, throughput is the inverse of the CPU time that a request takes of
all three, and other programs of the machine do not count. Of the turns the median of (with / the two without beside it) is taken."""
import mmap, os, select, signal, statistics, struct, subprocess, tempfile, time
from servers import Failed, Missing, Server


def cpu_s(pid):
    """CPU time of a process so far, threads that ended included"""
    return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) makes of a pid


class Load:
    """keeps 1,000 connections busy; can be held"""

    def __init__(self, bench, port):
        self.file = tempfile.NamedTemporaryFile()
        self.file.write(bytes(8))
        self.file.flush()
        self.progress = mmap.mmap(self.file.fileno(), 8)
        self.process = subprocess.Popen(["taskset", "-c", str(bench.first_cpu), bench.built("load.c"), str(port), "1000", "600", "x" * 64, "64"],
                                        stdout=subprocess.PIPE, env={**os.environ, "LOAD_PROGRESS": self.file.name})
        if not self.process.stdout.readline().startswith(b"connected"):
            self.end()
            raise Failed("not all connections stand")

    def answers(self):
        return struct.unpack("q", self.progress[:8])[0]

    def hold(self, yes):
        self.process.send_signal(signal.SIGSTOP if yes else signal.SIGCONT)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def pinned(bench, *command):
    return ["taskset", "-c", str(bench.first_cpu), *map(str, command)]


def echo(bench, ocrun):
    return Server(pinned(bench, ocrun, "-w", "1", bench.guest("echo_server")))


def cost(load, pids, seconds):
    """CPU time of an answer, in the next `seconds`"""
    begin, answers = sum(map(cpu_s, pids)), load.answers()
    time.sleep(seconds)
    answers = load.answers() - answers
    if not answers:
        raise Failed("the server stopped answering")
    return (sum(map(cpu_s, pids)) - begin) / answers


def loss(without, with_):
    """per cent of throughput; `without` has one turn more"""
    return statistics.median((1 - (a + b) / 2 / w) * 100 for a, w, b in zip(without, with_, without[1:]))


def turns(bench):
    return (40, 0.6) if bench.full else (20, 0.4)


# ---- T0: the hooks while nobody looks ----------------------------------------------------------------------------------

def unobserved(bench):
    """an ocrun of the same tree without hooks and slots, built when it is first asked for"""
    where = bench.build.parent / "build-unobserved"  # not inside: scripts/check-core looks at every object there
    if "unobserved" not in bench.made:
        for command in (["cmake", "-S", bench.sources.parent.parent, "-B", where, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DOCRUN_OBSERVE=OFF",
                         "-DOCRUN_TESTS=OFF"], ["ninja", "-C", where, "ocrun"]):
            done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode:
                raise Failed("the build without hooks failed: " + done.stdout.strip()[-200:])
        bench.made["unobserved"] = str(where / "ocrun")
    return bench.made["unobserved"]


def always_on(bench, mode):
    count, seconds = turns(bench)
    with echo(bench, unobserved(bench)) as bare, echo(bench, bench.build / "ocrun") as usual:
        loads = []
        try:
            for server in (bare, usual):
                loads.append(Load(bench, server.port))
                loads[-1].hold(True)

            def turn(server, load):
                load.hold(False)
                time.sleep(0.05)
                figure = cost(load, [server.process.pid, load.process.pid], seconds)
                load.hold(True)
                return figure

            without, with_ = [turn(bare, loads[0])], []
            for _ in range(count):
                with_.append(turn(usual, loads[1]))
                without.append(turn(bare, loads[0]))
        finally:
            for load in loads:
                load.end()
    return loss(without, with_)


# ---- T1: a view that records ------------------------------------------------------------------------------------------

def recording(recorder):
    """waits until the process writes its records, and the view reads them"""
    for _ in range(500):
        try:
            with open(f"/proc/{recorder.pid}/maps") as maps:
                if any("/ocrun-" in line and not line.endswith("/session\n") for line in maps):
                    return
        except OSError:
            pass
        if recorder.poll() is not None:
            break
        time.sleep(0.02)
    raise Failed("the view does not record")


def view(*command):
    """the loss while `ocrun COMMAND PID` runs, its own CPU time included; a loss of events fails the row"""
    def run(bench, mode):
        count, seconds = turns(bench)
        with echo(bench, bench.build / "ocrun") as server:
            load = Load(bench, server.port)
            pids = [server.process.pid, load.process.pid]

            def turn(pids):
                """from the same state each time: a load that was held asks with all connections at once, and is in step for a while"""
                load.hold(True)
                time.sleep(0.05)
                load.hold(False)
                time.sleep(0.25)
                return cost(load, pids, seconds)

            try:
                without, with_ = [turn(pids)], []
                for _ in range(count):
                    recorder = subprocess.Popen(pinned(bench, bench.build / "ocrun", *command, server.process.pid), stdout=subprocess.PIPE,
                                                stderr=subprocess.STDOUT, text=True)
                    recording(recorder)  # from then on it counts
                    time.sleep(0.2)  # it looks at all coroutines first
                    with_.append(turn(pids + [recorder.pid]))
                    load.hold(True)  # its summary is not part of it
                    recorder.send_signal(signal.SIGINT)
                    said = recorder.communicate(timeout=60)[0]
                    if "dropped 0" not in said:
                        raise Failed(f"ocrun {command[0]}: {said.strip()[-200:]}")
                    without.append(turn(pids))
            finally:
                load.end()
        return loss(without, with_)

    return run


# ---- T2: a tracer on the probe of the switch --------------------------------------------------------------------------

class Bpftrace:
    """bpftrace counts at ocrun:co_switch"""

    def __init__(self, bench, pid):
        script = f"usdt:{bench.build}/ocrun:ocrun:co_switch {{ @ = count(); }}"
        self.process = subprocess.Popen(["bpftrace", "-p", str(pid), "-e", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = self.process.stdout.readline()
        while "WARNING" in said or "RLIMIT_MEMLOCK" in said:  # it cannot raise the limit and goes on all the same
            said = self.process.stdout.readline()
        if "Attaching" not in said:
            raise Failed("bpftrace: " + said.strip())
        time.sleep(2)  # it says so before it has

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)


class Printing:
    """the agent of `ocrun bpf --print`: a line in the kernel's trace buffer"""

    def __init__(self, bench, pid):
        self.process = subprocess.Popen([str(bench.build / "ocrun"), "bpf", "--print", str(pid)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = self.process.stdout.readline()
        if "BPF is on" not in said:
            self.process.communicate(timeout=30)
            raise Missing(said.strip())

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)


def probe(tracer):
    """what a switch takes more with the tracer attached: two threads hand a turn to each other"""
    def run(bench, mode):
        figure = {}
        if not os.path.ismount("/sys/fs/bpf"):
            subprocess.run(["mount", "-t", "bpf", "none", "/sys/fs/bpf"], stderr=subprocess.DEVNULL)
        for attached in (False, True):
            program = subprocess.Popen(pinned(bench, bench.build / "ocrun", "-w", "1", bench.built("handover.c")), stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
            tracing = None
            try:
                if program.stdout.readline() != "ready\n":
                    raise Failed("the program did not start")
                tracing = tracer(bench, program.pid) if attached else None
                program.stdin.write("200000\n" if bench.full else "50000\n")
                program.stdin.flush()
                if not select.select([program.stdout], [], [], 60)[0]:
                    raise Failed("the program did not end")
                figure[attached] = float(program.stdout.readline().split()[1])
            finally:
                program.stdin.close()
                program.wait(20)
                program.stdout.close()
                if tracing:
                    tracing.end()
        return figure[True] - figure[False]

    return run
