#!/usr/bin/python3
# go.py - Go's own tests of its scheduler's clients and of what they stand on: what passes natively must pass under ocrun.
"""Needs Debian's golang-go with golang-src. NAME is a package (sync, os/signal ...) or part of a test's name (Test...). A test that
does not pass natively is skipped; one that fails under ocrun is run once more alone (the machine may be busy). Short mode;
--long: the full tests."""
import os, re, shutil, subprocess, time
from pathlib import Path

from common import Suite, show, status_text

PACKAGES = ["sync", "sync/atomic", "context", "os/signal", "os/exec", "time", "net", "os", "runtime"]

# Tests that cannot pass under ocrun: (package, pattern of the test's name) -> the cause.
EXCEPTIONS = [
    ("runtime", "TestGdb", "gdb sees the image of ocrun, not the program that it loads: breakpoints are not hit; and it stops at every SIGSYS"),
]

suite = Suite("Go's own tests natively and under ocrun")
LINE = re.compile(r"^--- (PASS|FAIL|SKIP): (\S+)", re.M)
STARTED = re.compile(r"^=== RUN +([^\s/]+)$", re.M)
CACHE = os.path.expanduser("~/.cache/go-build")
ENVIRONMENT = {"GOCACHE": CACHE, "GOFLAGS": "-mod=mod", "GO111MODULE": "auto"}


def excepted(package, test):
    return next((why for p, pattern, why in EXCEPTIONS if p == package and re.search(pattern, test)), None)


def build(package):
    program = f"{suite.directory}/{package.replace('/', '_')}.test"
    ok = suite.built(["go", "test", "-c", "-tags=timetzdata", "-o", program, package], {"GOFLAGS": ""}, timeout=900)
    return program if ok else None


def run(prefix, package, program, only, timeout):
    """{test: PASS | FAIL | SKIP}, and the outcome"""
    command = [program, "-test.v", f"-test.timeout={timeout - 10}s"] + ([] if suite.options.long else ["-test.short"])
    if only:
        command += ["-test.run", "^(" + "|".join(map(re.escape, only)) + ")$"]
    work = suite.place()
    source = Path(goroot, "src", package)
    # The tests expect to stand in their source, and write only into temporary folders.
    outcome = suite.run(["/usr/bin/env", "-C", str(source), *prefix],
                        command, work, timeout, env={**ENVIRONMENT, "PATH": os.environ["PATH"]})
    text = outcome.out.decode(errors="replace")
    found = {test: verdict for verdict, test in LINE.findall(text)}
    for test in STARTED.findall(text):
        found.setdefault(test, "FAIL")  # began and never ended
    return found, outcome


def package_tests(package):
    program = build(package)
    if not program:
        return
    names = [n for n in suite.options.names if n.startswith("Test")]
    timeout = 1800 if suite.options.long else 420
    native = {}
    for mode, prefix in suite.modes():
        began = time.monotonic()
        # An exception may hang, so it does not even run.
        wanted = [t for t, v in native.items() if v == "PASS" and not excepted(package, t)]
        found, outcome = run(prefix, package, program, wanted if prefix else names, timeout)
        if not prefix:
            native = found
            suite.check(package, mode, any(v == "PASS" for v in found.values()), show("out", outcome.out[-3000:]) + show("err", outcome.err[-2000:]))
            bad = [t for t, v in found.items() if v == "FAIL"]
            if bad and suite.options.verbose:
                print(f"    {package}: natively failing, so not compared: {' '.join(bad)}")
            continue
        again = [t for t in wanted if found.get(t) != "PASS"]
        good = len(wanted) - len(again)
        if again and outcome.dump and suite.options.verbose:
            print(outcome.dump)
        for test in again:
            alone, o = run(prefix, package, program, [test], timeout)
            if alone.get(test) == "PASS":
                good += 1
                print(f"    {package} {test} [{mode}]: failed in the whole, passes alone")
                if suite.options.verbose:
                    print(about(test, outcome))
            else:
                suite.fail(f"{package} {test}", mode,
                           f"{status_text(o.status)}{', timed out' if o.timed_out else ''}\n{show('out', o.out[-4000:])}{show('err', o.err[-3000:])}{o.dump}")
        suite.tally.passed += good
        if suite.options.verbose:
            print(f"    {package} [{mode}]: {good} of {len(wanted)} in {time.monotonic() - began:.0f} s")


def about(test, outcome):
    """what the whole run said about a test"""
    text = outcome.out.decode(errors="replace")
    at = text.find(f"--- FAIL: {test} ")
    return text[at:at + 1500] if at >= 0 else text[-3000:] + outcome.err.decode(errors="replace")[-2000:]


if not shutil.which("go"):
    suite.skip("go", "no go")
    suite.end()
goroot = subprocess.run(["go", "env", "GOROOT"], stdout=subprocess.PIPE, text=True).stdout.strip()
if not Path(goroot, "src", "sync", "mutex_test.go").exists():
    suite.skip("go", "no golang-src")
    suite.end()
chosen = [p for p in PACKAGES if p in suite.options.names] or PACKAGES
for package in chosen:
    package_tests(package)
suite.end()
