# observed.py - what the suites of observers share: a program under ocrun, and the views of it
import json, subprocess, sys, time
from pathlib import Path

short = "--short" in sys.argv
sys.argv = [a for a in sys.argv if a != "--short"]
from common import Server, Suite

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


def wait_until(condition, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False
