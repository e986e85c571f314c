#!/usr/bin/python3
# run_guests.py - runs every guest program natively and then under ocrun in every configuration; both must say the same.
"""
tests/run_guests.py [-j N] [--repeat N] [--native] [--list] [--configs A,B|all] [--build DIR] [-v] [NAME…]

NAME is a part of a guest's name or folder (`signals/`, `futex`); several are or-ed. Directives of a guest, on one or more
leading lines `// TEST: key=value …` (a value with blanks is written in double quotes):

  args="a b"          arguments
  timeout=SECONDS     default 45
  stdin=TEXT          bytes on standard input (\\n understood); default: /dev/null; `stdin=closed`: none at all
  status=N|SIGNAME    what the native run must end with (default 0)
  env="A=1 B=2"       added to the environment
  ocrun="OPTIONS"     further options of ocrun (then the native run is skipped: native=skip is implied)
  native=skip         there is nothing to compare with: the run under ocrun must end with `status`
  native-differs=WHY  output may differ from the native one; both must still end with `status`
  needs=A,B           root; or a feature of ocrun (see FEATURES): the guest is skipped where it is missing
  restart=skip        in api/ and examples/: not started natively to restart itself under ocrun (oc_init)
  configs=A,B         only in these configurations, unless all were asked for (a guest that takes seconds)
  serial=yes          not beside other guests (it measures the machine)
  link=, std=, libs=  how it is built (tests/guests/CMakeLists.txt)

Exit status 0 when nothing failed. The last line is `N passed, N failed, N skipped`; a guest in one configuration is one.
"""
import argparse, concurrent.futures, ctypes, os, shlex, shutil, signal, sys, tempfile, time
from pathlib import Path

sys.dont_write_bytecode = True
from harness import ROOT, Tally, base_environment, run_process, show, status_text

GUESTS = ROOT / "tests" / "guests"

# Every configuration a guest must pass in: name -> options of ocrun. The one list to extend. Workers x back ends; `auto` is
# io_uring wherever the kernel gives it, `epoll` is helper threads.
CONFIGS = {
    "w1": ["-w", "1"],
    "w2": ["-w", "2"],
    "w8": ["-w", "8"],
    "w1-epoll": ["-w", "1", "--io-backend", "epoll"],
    "w2-epoll": ["-w", "2", "--io-backend", "epoll"],
    "w8-epoll": ["-w", "8", "--io-backend", "epoll"],
    "w1-trap": ["-w", "1", "--no-rewrite"],
    "w2-trap": ["-w", "2", "--no-rewrite"],
    "w8-epoll-trap": ["-w", "8", "--io-backend", "epoll", "--no-rewrite"],
}
# What runs when nothing is said: each number of workers and each back end once, in about a minute on two processors.
DEFAULT_CONFIGS = ["w1", "w2", "w8-epoll"]

# What ocrun can do by now; a guest that `needs=` something else is skipped.
FEATURES = {"guest-seccomp", "policy", "preemption", "thread_credentials", "thread_pdeathsig"}

DEFAULT_TIMEOUT = 45.0  # machines on which a system call takes a microsecond are among those that must pass


class Guest:
    def __init__(self, source, name, link, keys):
        self.source, self.name, self.link, self.keys = source, name, link, keys
        self.title = f"{source.parent.name}/{name}"

    @property
    def status(self):
        text = self.keys.get("status", "0")
        return -getattr(signal, text) if text.startswith("SIG") else int(text)

    @property
    def native(self):
        return self.keys.get("native") != "skip" and "ocrun" not in self.keys


def directives(source):
    keys = {}
    with open(source, encoding="utf-8") as f:
        for line in f:
            if not line.startswith("//"):
                break
            if " TEST: " in line and not line.startswith("// TEST: "):  # as a formatter may leave it
                sys.exit(f"run_guests.py: {source}: a TEST directive must stand at the beginning of its own line")
            if line.startswith("// TEST:"):
                for word in shlex.split(line[len("// TEST:"):]):
                    key, _, value = word.partition("=")
                    keys[key] = value
    return keys


def discover():
    guests = []
    for source in sorted(GUESTS.glob("*/*.c")) + sorted(GUESTS.glob("*/*.cc")):
        if source.parent.name == "programs":  # servers, load clients: driven by tests/suites, not by this runner
            continue
        keys = directives(source)
        links = keys.get("link", "dynamic").split(",")
        for i, link in enumerate(links):
            guests.append(Guest(source, source.stem if i == 0 else f"{source.stem}.{link}", link, keys))
    examples = ROOT / "runtime" / "api" / "examples"  # of libocrun
    for source in sorted(examples.glob("*.c")) + sorted(examples.glob("*.cc")):
        guests.append(Guest(source, f"example_{source.stem}", "dynamic", {}))
    return sorted(guests, key=lambda g: g.title)


def stdin_of(guest, directory):
    text = guest.keys.get("stdin")
    if text is None or text == "closed":
        return open("/dev/null", "rb")
    path = Path(directory) / ".stdin"
    path.write_bytes(text.encode().decode("unicode_escape").encode())
    return open(path, "rb")


def run(guest, command, ocrun, timeout, more_env=None):
    directory = tempfile.mkdtemp(prefix="ocrun-guest-")
    work = os.path.join(directory, "work")
    os.mkdir(work)
    os.chmod(directory, 0o755)
    os.chmod(work, 0o777)
    env = base_environment(work)
    for item in shlex.split(guest.keys.get("env", "")):
        key, _, value = item.partition("=")
        env[key] = value
    env.update(more_env or {})
    try:
        with stdin_of(guest, directory) as stdin:
            return run_process(command, work, env, stdin, directory, timeout, ocrun, guest.keys.get("stdin") == "closed")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def complaint(guest, outcome, native):
    """why this outcome is a failure, or None; native is None for the native run itself"""
    if outcome.timed_out:
        return f"timed out\n{show('out', outcome.out)}{show('err', outcome.err)}{outcome.dump}"
    expected = native.status if native else guest.status
    why = []
    if outcome.status != expected:
        why.append(f"{status_text(outcome.status)}, expected {status_text(expected)}")
    if native and "native-differs" not in guest.keys:
        if outcome.out != native.out:
            why.append("stdout differs")
        if outcome.err != native.err:
            why.append("stderr differs")
    elif not native and guest.status == 0 and outcome.err:
        why.append("stderr is not empty")
    if outcome.left:
        why.append(f"left {len(outcome.left)} process(es) behind")
    if not why:
        return None
    text = ", ".join(why) + "\n" + show("out", outcome.out) + show("err", outcome.err)
    if native and (outcome.out != native.out or outcome.err != native.err):
        text += show("native out", native.out) + show("native err", native.err)
    return text


def missing_need(guest, config):
    for need in filter(None, guest.keys.get("needs", "").split(",")):
        if need == "root":
            if os.geteuid() != 0:
                return "needs root"
        elif need not in FEATURES:
            return f"needs {need}, which ocrun does not have yet"
    return None


def test(guest, options, tally):
    build = Path(options.build)
    program = build / "guests" / guest.name
    timeout = float(guest.keys.get("timeout", DEFAULT_TIMEOUT)) * options.slower
    command = [str(program)] + shlex.split(guest.keys.get("args", ""))
    configs = [] if options.native else options.configs
    if "configs" in guest.keys and configs != [c for c in CONFIGS]:
        configs = [c for c in configs if c in guest.keys["configs"].split(",")]
    if not program.exists():
        for config in ["native"] + configs:
            tally.report("skip" if guest.link == "musl" else "fail", guest.title, config, "not built")
        return
    native = None
    if guest.native and not ("root" in guest.keys.get("needs", "").split(",") and os.geteuid() != 0):
        began = time.monotonic()
        native = run(guest, command, None, timeout)
        bad = complaint(guest, native, None)
        tally.report("fail" if bad else "pass", guest.title, "native", bad or "", time.monotonic() - began)
        if bad:
            for config in configs:
                tally.report("fail", guest.title, config, "the native run failed")
            return
    for config in configs:
        lacks = missing_need(guest, config)
        if lacks:
            tally.report("skip", guest.title, config, lacks)
            continue
        began = time.monotonic()
        ocrun = str(build / "ocrun")
        outcome = run(guest, [ocrun] + CONFIGS[config] + shlex.split(guest.keys.get("ocrun", "").replace("${ROOT}", str(ROOT))) + command, ocrun, timeout)
        bad = complaint(guest, outcome, native)
        tally.report("fail" if bad else "pass", guest.title, config, bad or "", time.monotonic() - began)
    if guest.source.parent.name in ("api", "examples") and configs and guest.keys.get("restart") != "skip":
        began = time.monotonic()
        ocrun = str(build / "ocrun")
        outcome = run(guest, command, ocrun, timeout, {"OC_API_MODE": "restart", "OCRUN": ocrun})
        bad = complaint(guest, outcome, native)
        tally.report("fail" if bad else "pass", guest.title, "restart", bad or "", time.monotonic() - began)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("-j", type=int, default=min(4, 2 * (os.cpu_count() or 1)), dest="jobs")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--native", action="store_true", help="only the native runs")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--configs", default=",".join(DEFAULT_CONFIGS), help="a list, or all")
    parser.add_argument("--build", default=str(ROOT / "build"))
    parser.add_argument("--slower", type=float, default=1.0, help="multiplies every time-out")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    if options.configs == "all":
        options.configs = ",".join(CONFIGS)
    options.configs = [c for c in options.configs.split(",") if c]
    unknown = [c for c in options.configs if c not in CONFIGS]
    if unknown:
        sys.exit(f"run_guests.py: unknown configuration {', '.join(unknown)}; there are: {', '.join(CONFIGS)}")
    options.build = os.path.abspath(options.build)
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans of guests come here, not to init

    guests = [g for g in discover() if not options.names or any(n in g.title for n in options.names)]
    if options.list:
        for g in guests:
            print(g.title)
        return 0
    if not guests:
        sys.exit("run_guests.py: no guest has such a name")
    if not options.native and not os.access(f"{options.build}/ocrun", os.X_OK):
        sys.exit(f"run_guests.py: there is no {options.build}/ocrun; build it, or use --native")
    tally = Tally(options.verbose)
    together = [g for g in guests if g.keys.get("serial") != "yes"] * options.repeat
    alone = [g for g in guests if g.keys.get("serial") == "yes"] * options.repeat
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for future in [pool.submit(test, g, options, tally) for g in together]:
            future.result()
    for g in alone:
        test(g, options, tally)
    if options.repeat > 1 and tally.failures:
        print("failures by guest:")
        for name, count in sorted(tally.failures.items(), key=lambda x: -x[1]):
            print(f"  {count:3} of {options.repeat}  {name}")
    print(f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped", flush=True)
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
