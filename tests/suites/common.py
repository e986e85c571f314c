# common.py - what the suites share: run one command natively and under ocrun in the same place, compare, count.
"""A suite is an executable file of this folder; scripts/test --suite NAME runs it. Common options:

  --native       only natively: checks the suite itself
  --build DIR    where ocrun is (default: build/)
  --configs A,B  configurations of tests/run_guests.py (w1, w2-epoll ...; all: every number of workers with each back end)
  --long         the full length of what takes minutes
  -v             names what passed
  NAME…          only tests whose title contains one of these

OCRUN_SUITE_OPTIONS in the environment: the options of ocrun where no configuration is named (default: -w 1).
"""
import argparse, ctypes, os, shlex, shutil, signal, socket, subprocess, sys, tempfile, time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness
from run_guests import CONFIGS
from harness import ROOT, Tally, base_environment, run_process, show, status_text


class Suite:
    def __init__(self, description):
        parser = argparse.ArgumentParser(description=description, epilog=__doc__,
                                         formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("names", nargs="*")
        parser.add_argument("--native", action="store_true")
        parser.add_argument("--build", default=str(ROOT / "build"))
        parser.add_argument("--configs", default="")
        parser.add_argument("--long", action="store_true")
        parser.add_argument("-v", "--verbose", action="store_true")
        self.options = parser.parse_args()
        self.build = Path(self.options.build).resolve()
        self.ocrun_file = str(self.build / "ocrun")
        self.ocrun = [self.ocrun_file] + shlex.split(os.environ.get("OCRUN_SUITE_OPTIONS", "-w 1"))
        self.config = " ".join(self.ocrun[1:]) or "default"
        names = ",".join(c for c in CONFIGS if "trap" not in c) if self.options.configs == "all" else self.options.configs
        unknown = [c for c in filter(None, names.split(",")) if c not in CONFIGS]
        if unknown:
            sys.exit(f"no configuration {', '.join(unknown)}; there are: {', '.join(CONFIGS)}")
        self.configs = [(c, [self.ocrun_file] + CONFIGS[c]) for c in filter(None, names.split(","))]
        if self.configs:  # for tests that know of one only
            self.config, self.ocrun = self.configs[0]
        else:
            self.configs = [(self.config, self.ocrun)]
        self.tally = Tally(self.options.verbose)
        self.directory = tempfile.mkdtemp(prefix="ocrun-suite-")
        os.chmod(self.directory, 0o755)
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER

    def wanted(self, title):
        return not self.options.names or any(n in title for n in self.options.names)

    def needs(self, title, *programs):
        """may this test run? Says so when a program is missing."""
        if not self.wanted(title):
            return False
        missing = [p for p in programs if not shutil.which(p)]
        if missing:
            self.skip(title, f"no {', '.join(missing)}")
        return not missing

    def modes(self):
        """[(name, command prefix)] to run everything in"""
        return [("native", [])] + ([] if self.options.native else self.configs)

    def seconds(self, short, long):
        """how long a load lasts"""
        return long if self.options.long else short

    def guest(self, name):
        return str(self.build / "guests" / name)

    def place(self, prepare=None):
        """a fresh working directory; the same path every time, so that output may show it"""
        work = os.path.join(self.directory, "work")
        shutil.rmtree(work, ignore_errors=True)
        os.mkdir(work)
        if prepare:
            prepare(Path(work))
        return work

    def source(self, name):
        return str(ROOT / "tests" / "suites" / name)

    def built(self, command, environment=None, cwd=None, timeout=600):
        """something the suite builds for itself, natively; False after a complaint"""
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                              cwd=cwd, env={**os.environ, **(environment or {})})
        if done.returncode:
            self.fail(" ".join(command[:3]), "build", done.stdout.decode(errors="replace")[-3000:])
        return done.returncode == 0

    def run(self, prefix, command, work, timeout, stdin=None, env=None):
        environment = base_environment(work)
        environment.update(env or {})
        data = Path(self.directory) / "stdin"
        data.write_bytes((stdin or "").encode())
        with open(data, "rb") as f:
            return run_process(prefix + command, work, environment, f, self.directory, timeout,
                               self.ocrun_file if prefix else None)

    def compare(self, title, command, prepare=None, timeout=60, stdin=None, env=None, status=0, normalise=None, expect=None):
        """`command`: a list, or a text for bash. Both runs must end with `status` and say the same; `normalise` is applied
        to stdout and stderr (bytes) first; `expect`: bytes that the native stdout must contain."""
        if not self.wanted(title):
            return
        if isinstance(command, str):
            command = ["/bin/bash", "-c", command]
        normalise = normalise or (lambda b: b)
        native = None
        for mode, prefix in self.modes():
            began = time.monotonic()
            outcome = self.run(prefix, command, self.place(prepare), timeout, stdin, env)
            if outcome.timed_out:
                self.fail(title, mode, f"timed out\n{show('out', outcome.out)}{show('err', outcome.err)}{outcome.dump}")
                continue
            why = []
            if outcome.status != status:
                why.append(f"{status_text(outcome.status)}, expected {status_text(status)}")
            if native is None and mode != "native":
                why.append("the native run failed")
            if native and normalise(outcome.out) != normalise(native.out):
                why.append("stdout differs")
            if native and normalise(outcome.err) != normalise(native.err):
                why.append("stderr differs")
            if mode == "native" and expect and expect not in outcome.out:
                why.append(f"stdout lacks {expect!r}")
            if outcome.left:
                why.append(f"left {len(outcome.left)} process(es) behind")
            if why:
                text = ", ".join(why) + "\n" + show("err", outcome.err)
                text += difference(native.out, outcome.out) if native else show("out", outcome.out)
                if native and native.err != outcome.err:
                    text += show("native err", native.err)
                self.fail(title, mode, text)
            else:
                self.ok(title, mode, time.monotonic() - began)
                if mode == "native":
                    native = outcome

    def check(self, title, mode, condition, detail=""):
        if condition:
            self.ok(title, mode)
        else:
            self.fail(title, mode, detail)

    def ok(self, title, mode, seconds=0.0):
        self.tally.report("pass", title, mode, "", seconds)

    def fail(self, title, mode, detail):
        self.tally.report("fail", title, mode, detail)

    def skip(self, title, why):
        self.tally.report("skip", title, self.config, why)

    def end(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        print(f"{self.tally.passed} passed, {self.tally.failed} failed, {self.tally.skipped} skipped", flush=True)
        sys.exit(1 if self.tally.failed else 0)


class Server:
    """A server process in its own session; stopped by its own id, politely first."""

    def __init__(self, suite, prefix, command, env=None, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=None):
        environment = base_environment(suite.directory)
        environment.update(env or {})
        self.mark = os.urandom(8).hex()
        environment[harness.MARK] = self.mark
        self.suite = suite
        self.under_ocrun = bool(prefix)
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(prefix + command, env=environment, stdin=stdin, stdout=stdout, stderr=self.errors,
                                        cwd=cwd or suite.directory, start_new_session=True, preexec_fn=harness.limits)
        self.pid = self.process.pid

    def line(self, timeout=20):
        """the next line of its stdout, or '' when none comes in time"""
        import select
        text = b""
        end = time.monotonic() + timeout
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            piece = os.read(self.process.stdout.fileno(), 1) if ready else b""
            if not piece:
                break
            text += piece
        return text.decode(errors="replace").strip()

    def dump(self):
        pids = harness.processes_of(self.pid, self.mark)
        text = harness.coroutine_dump(self.suite.ocrun_file, pids) if self.under_ocrun else ""
        self.errors.seek(0)
        return text + show("err", self.errors.read())

    def stop(self, timeout=10):
        """closes its input, asks with SIGTERM, then kills; returns the status"""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(20 if self.process.stdin else 0.01)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        harness.kill_run(self.pid, self.mark)
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        return self.process.returncode


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port, timeout=20):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False


def tasks(pid):
    """number of kernel threads"""
    return len(os.listdir(f"/proc/{pid}/task"))


def status_field(pid, name):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split(":", 1)[1].strip()
    return ""


def difference(native, other):
    import difflib
    a, b = (x.decode(errors="replace").splitlines(keepends=True) for x in (native, other))
    lines = list(difflib.unified_diff(a[:5000], b[:5000], "native", "ocrun", n=1))[:40]
    return "".join("    " + (l if l.endswith("\n") else l + "\n") for l in lines)


# The kernel threads of ocrun itself in a process that has one worker: the worker, the monitor, the ring or poller, the
# offload pool. A guest with hundreds of threads must not show more.
MOST_TASKS = 24  # 8 workers, the monitor, helpers, and spares of workers that were stuck on a busy machine
