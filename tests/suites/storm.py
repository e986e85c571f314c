#!/usr/bin/python3
# storm.py - the storm programs of tests/suites/storm, many times: totals exact, no hang, no word from ocrun; kills from outside.
"""OCRUN_STORM_REPEAT in the environment: how often each program runs (default 10). The storm of everything, under ticks of 100 us,
lasts 10 seconds a configuration, with --long ten minutes."""
import json, os, shutil, signal, subprocess, time
from pathlib import Path

from common import Suite, show

suite = Suite("storms: threads, signals, forks, execs, descriptors at once")
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup's, which programs would inherit
SOURCES = Path(__file__).resolve().parent / "storm"
REPEAT = int(os.environ.get("OCRUN_STORM_REPEAT", "10"))
TIMEOUT = 60

# footprint: kind, cycles[, with a second thread]
FOOTPRINTS = ["threads 50000 x", "fork 1000", "exec 300 x", "vfork 2000", "vfork 2000 x", "wexec-after-vfork 300", "posix_spawn 400",
              "posix_spawn 400 x"]


def build(source):
    program = Path(suite.directory) / source.stem
    done = subprocess.run(["cc", "-O1", "-g", "-Wall", "-Wno-cast-function-type", "-pthread", "-o", program, source],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        suite.fail(source.stem, "build", done.stdout.decode(errors="replace"))
        return None
    return str(program)


def storm(title, command, repeat):
    """every run of every mode must say ok; the first that does not is shown, the others are counted"""
    if not suite.wanted(title):
        return
    for mode, prefix in suite.modes():
        began, bad, first = time.monotonic(), 0, ""
        for _ in range(repeat if prefix else 2):
            o = suite.run(prefix, command, suite.place(), TIMEOUT)
            if o.timed_out or o.status or o.out != b"ok\n" or o.err or o.left:
                bad += 1
                first = first or f"status {o.status}{', timed out' if o.timed_out else ''}\n{show('out', o.out)}{show('err', o.err)}{o.dump}"
        if bad:
            suite.fail(title, mode, f"{bad} of {repeat} runs failed; the first: {first}")
        else:
            suite.ok(title, mode, time.monotonic() - began)


def everything(program):
    """64 threads, everything at once, under the shortest ticks; with and without native children is one run each"""
    if not suite.wanted("everything") or not program:
        return
    policy = Path(suite.directory) / "policy.json"
    policy.write_text(json.dumps({"version": 1, "scheduler": {"quantum_min_us": 100, "quantum_max_us": 100}}))
    for mode, prefix in suite.modes():
        seconds = suite.seconds(10, 600) if prefix else 5
        began = time.monotonic()
        o = suite.run(prefix + ["-c", str(policy)] if prefix else [], [program, str(seconds), "counts"], suite.place(), 2 * seconds + 60)
        good = not o.timed_out and not o.status and o.out == b"ok\n" and o.err.endswith(b" signals\n") and o.err.count(b"\n") == 1 and not o.left
        if good:
            suite.ok("everything", mode, time.monotonic() - began)
            if suite.options.verbose:
                print("    " + o.err.decode().strip())
        else:
            suite.fail("everything", mode, f"status {o.status}{', timed out' if o.timed_out else ''}\n{show('out', o.out)}{show('err', o.err)}{o.dump}")


def state(pid):
    text = Path(f"/proc/{pid}/stat").read_text()
    return text[text.rindex(")") + 2]


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def killed_from_outside(program):
    """a busy process with many threads stops, goes on, and dies of the signal that was sent"""
    title = "kill"
    if not suite.wanted(title) or not program:
        return
    for mode, prefix in suite.modes():
        bad = []
        for i in range(REPEAT):
            sig = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)[i % 3]
            p = subprocess.Popen(prefix + [program, "100000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, start_new_session=True)
            time.sleep(0.05 + 0.02 * (i % 5))
            for _ in range(3):
                os.kill(p.pid, signal.SIGSTOP)
                if not wait_for(lambda: state(p.pid) == "T"):
                    bad.append("did not stop")
                os.kill(p.pid, signal.SIGCONT)
                if not wait_for(lambda: state(p.pid) != "T"):
                    bad.append("did not go on")
            os.kill(p.pid, sig)
            try:
                status = p.wait(10)
            except subprocess.TimeoutExpired:
                status = "a hang"
            try:
                os.killpg(p.pid, signal.SIGKILL)  # its children
            except ProcessLookupError:
                pass
            p.wait()
            if status != -sig:
                bad.append(f"signal {sig} ended it with {status}")
        suite.check(title, mode, not bad, "\n".join(bad))


if not shutil.which("cc"):
    suite.skip("storm", "no C compiler")
    suite.end()
programs = {s.stem: build(s) for s in sorted(SOURCES.glob("*.c")) if suite.wanted(s.stem) or s.stem in ("mixed", "footprint")}
for name, program in programs.items():
    if program and name not in ("footprint", "everything"):
        storm(name, [program], REPEAT)
for arguments in FOOTPRINTS:
    if programs.get("footprint"):
        storm(f"footprint {arguments}", [programs["footprint"]] + arguments.split(), 1)
everything(programs.get("everything"))
killed_from_outside(programs.get("mixed"))
suite.end()
