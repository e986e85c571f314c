#!/usr/bin/python3
# stress_ng.py - stress-ng, one class after the other: the same exit status as natively, no hang, no word from ocrun.
"""Each class runs 2 seconds with 4 instances, with --long 10; OCRUN_STRESS_SECONDS in the environment: another time. NAME is a class."""
import os, shutil

from common import Suite, show

suite = Suite("stress-ng's stressors of threads, signals, processes and I/O")
SECONDS = os.environ.get("OCRUN_STRESS_SECONDS") or str(suite.seconds(2, 10))

CLASSES = """futex mutex sem sem-sysv pthread switch yield clone fork vfork vforkmany exec daemon wait kill sigq sigpending sigsuspend
sigfd sigsegv sigchld sigrt sigabrt sigfpe sigtrap timer timerfd itimer nanosleep clock sock sockpair sockfd pipe fifo epoll poll
eventfd msg mq shm memfd zombie schedpolicy set getrandom io dup close sendfile splice tee vm-splice context full fcntl flock
lockf lease inotify""".split()
CLASSES_ON_DEMAND = ["mmapfork"]

if not shutil.which("stress-ng"):
    suite.skip("stress-ng", "stress-ng is not installed")
    suite.end()
def reap_orphans():
    """this process is the one that orphans come to: tens of thousands of them fill the machine's table of processes"""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


for name in CLASSES + [c for c in CLASSES_ON_DEMAND if c in suite.options.names]:
    if suite.options.names and name not in suite.options.names:
        continue
    command = ["stress-ng", f"--{name}", "4", "--timeout", f"{SECONDS}s"]
    native = None
    for mode, prefix in suite.modes():
        work = suite.place()
        o = suite.run(prefix, command + ["--temp-path", work], work, 40 + 4 * float(SECONDS))
        if mode == "native":
            native = o
            if o.timed_out:
                suite.skip(name, "hangs natively")
                break
            if o.status:
                suite.skip(name, f"fails natively with {o.status}")
                break
        text = o.out + o.err
        if o.timed_out or o.status or b"ocrun:" in text or b" fail: " in text:
            suite.fail(name, mode, f"status {o.status}{', timed out' if o.timed_out else ''}\n{show('out', o.out)}{show('err', o.err)}{o.dump}")
        else:
            suite.ok(name, mode)
        reap_orphans()
suite.end()
