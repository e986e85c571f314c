# harness.py - what all test drivers share: running a process tree with a time-out and a coroutine dump, showing, counting.
import os, re, resource, signal, subprocess, threading, time, uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DUMP_TIMEOUT = 5.0
DUMP_LINES = 40  # of each process
MARK = "OCRUN_GUEST_RUN"  # environment variable that tells the processes of one run from all others


class Outcome:
    """What one run showed: stdout, stderr, status (negative: the signal), or the time-out with its dump."""

    def __init__(self, out, err, status, timed_out, dump, left):
        self.out, self.err, self.status, self.timed_out, self.dump, self.left = out, err, status, timed_out, dump, left


def processes_of(session, mark):
    """pids of one run: members of its session, and whoever left the session but still carries the mark"""
    found = []
    needle = f"{MARK}={mark}".encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            stat = Path(f"/proc/{entry}/stat").read_text()
            fields = stat[stat.rindex(")") + 2:].split()
            if fields[0] in "ZX":
                continue
            if int(fields[3]) == session or needle in Path(f"/proc/{entry}/environ").read_bytes().split(b"\0"):
                found.append(int(entry))
        except (OSError, ValueError):
            continue
    return found


def kill_run(session, mark):
    for _ in range(50):
        pids = processes_of(session, mark)
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.02)


def coroutine_dump(ocrun, pids):
    text = ""
    for pid in pids:
        try:
            done = subprocess.run([ocrun, "dump", str(pid)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=DUMP_TIMEOUT)
            lines = done.stdout.decode(errors="replace").splitlines(keepends=True)
            text += f"--- coroutine dump of {pid} (exit {done.returncode})\n{''.join(lines[:DUMP_LINES])}"
            if len(lines) > DUMP_LINES:
                text += f"    … and {len(lines) - DUMP_LINES} lines more\n"
        except (OSError, subprocess.TimeoutExpired) as e:
            text += f"--- no coroutine dump of {pid}: {e}\n"
        text += kernel_view(pid)
    return text


def kernel_view(pid):
    """where the kernel threads of a stuck process are"""
    lines = []
    try:
        for task in sorted(os.listdir(f"/proc/{pid}/task")):
            base = f"/proc/{pid}/task/{task}"
            comm = Path(f"{base}/comm").read_text().strip()
            state = re.search(r"State:\s+(\S+)", Path(f"{base}/status").read_text()).group(1)
            wchan = Path(f"{base}/wchan").read_text().strip()
            call = Path(f"{base}/syscall").read_text().strip()
            lines.append(f"    task {task} {comm} {state} {wchan} syscall {call}\n")
    except (OSError, AttributeError):
        pass
    return "".join(lines)


def limits():
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.RLIM_INFINITY if os.geteuid() == 0 else 0))
    # nohup and a shell's & leave some of them ignored, which programs inherit.
    for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def base_environment(home):
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": home, "TMPDIR": home,
            "LC_ALL": "C"}


def run_process(command, cwd, env, stdin, files, timeout, ocrun=None, close_stdin=False):
    """Runs the command in a session of its own with stdout and stderr in files/out and files/err. After `timeout` seconds
    it asks `ocrun dump` for the coroutines of every process of the run and then kills the run, and nothing else."""
    mark = uuid.uuid4().hex
    env = dict(env)
    env[MARK] = mark
    with open(f"{files}/out", "w+b") as out, open(f"{files}/err", "w+b") as err:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=stdin, stdout=out, stderr=err, start_new_session=True,
            preexec_fn=(lambda: (limits(), os.close(0))) if close_stdin else limits)
        timed_out, dump = False, ""
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
            pids = processes_of(process.pid, mark)
            dump = coroutine_dump(ocrun, pids) if ocrun else "".join(kernel_view(p) for p in pids)
            kill_run(process.pid, mark)
            process.wait()
        left = [] if timed_out else processes_of(process.pid, mark)
        if left:  # a child on its way out is no fault: look again
            time.sleep(0.3)
            left = processes_of(process.pid, mark)
            kill_run(process.pid, mark)
        out.seek(0)
        err.seek(0)
        return Outcome(out.read(), err.read(), process.returncode, timed_out, dump, left)


def show(label, data):
    text = data.decode(errors="replace")
    return "".join(f"    {label}| {line}\n" for line in text.splitlines()[:40])


def status_text(status):
    if status >= 0:
        return f"exit {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


class Tally:
    def __init__(self, verbose):
        self.passed = self.failed = self.skipped = 0
        self.failures = {}
        self.lock = threading.Lock()
        self.verbose = verbose

    def report(self, verdict, title, config, detail="", seconds=0.0):
        with self.lock:
            if verdict == "pass":
                self.passed += 1
                if self.verbose:
                    print(f"pass {title} [{config}] {seconds:.2f} s", flush=True)
            elif verdict == "skip":
                self.skipped += 1
                if self.verbose:
                    print(f"skip {title} [{config}]: {detail}", flush=True)
            else:
                self.failed += 1
                self.failures[f"{title} [{config}]"] = self.failures.get(f"{title} [{config}]", 0) + 1
                print(f"FAIL {title} [{config}]: {detail}", flush=True)
