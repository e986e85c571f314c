#!/usr/bin/python3
# cpython.py - CPython's own tests of threads, signals, processes and sockets: what passes natively must pass under ocrun.
"""Needs Debian's libpython3.11-testsuite. NAME is a module (test_signal) or a part of names. Every test of a module counts:
one that does not pass natively is skipped. A test that fails under ocrun is run once more alone (the machine may be busy);
what passes then is counted as passed and named. OCRUN_CPYTHON_CACHE=DIR keeps the native results between runs."""
import json, os, re, sys, time
import xml.etree.ElementTree as xml
from pathlib import Path

from common import Suite, show, status_text

PYTHON = "/usr/bin/python3.11"
MODULES = """test_threading test_thread test_signal test_threadsignals test_queue test_select test_poll test_epoll test_selectors
test_subprocess test_socket test_os test_posix test_pty test_faulthandler test_concurrent_futures test_asyncio
test_socketserver test_multiprocessing_fork test_multiprocessing_spawn""".split()

# Tests that cannot pass under ocrun: (module, pattern of the test's name) -> the cause.
EXCEPTIONS = [
]

# What a module needs beside its name.
OPTIONS = {
    # Hangs natively too in a virtual machine whose own vsock address cannot be reached from inside.
    "test_socket": ["-i", "ThreadedVSOCKSocketStreamTest"],
    "test_socketserver": ["-u", "network"],  # the loopback device
}

suite = Suite("CPython's own tests natively and under ocrun")
CACHE = os.environ.get("OCRUN_CPYTHON_CACHE")
LINE = re.compile(r"^(\w+) \(((?:\w+\.)*\w+)\)")


def excepted(module, test):
    return next((why for m, pattern, why in EXCEPTIONS if m == module and re.search(pattern, test)), None)


def chosen():
    names = suite.options.names
    return [m for m in MODULES if not names or m in names or any(n not in MODULES and n in m for n in names)]


def from_xml(path):
    """{test: ok | skip | fail} of a --junit-xml file, {} when there is none (the module crashed or was killed)"""
    found = {}
    try:
        cases = xml.parse(path).getroot().iter("testcase")
    except (OSError, xml.ParseError):
        return {}
    for case in cases:
        kinds = {child.tag for child in case}
        verdict = "fail" if kinds & {"failure", "error"} or case.get("result") not in ("completed", None) else "ok"
        verdict = "skip" if "skipped" in kinds else verdict
        name = case.get("name")
        if found.get(name, "ok") != "fail":  # subtests repeat the name
            found[name] = verdict
    return found


def from_text(text):
    """the same of -v output, for a run that did not come to its end"""
    found, test = {}, None
    for line in text.splitlines():
        head = LINE.match(line)
        if head:
            test = f"{head[2]}" if head[2].endswith("." + head[1]) else f"{head[2]}.{head[1]}"
        end = re.search(r"(?:\.\.\. |^)(ok|skipped.*|FAIL|ERROR|expected failure)$", line)
        if end and test:
            found[test] = {"o": "ok", "s": "skip", "e": "ok"}.get(end[1][0], "fail")
            test = None
    return found


def run(prefix, module, timeout, only=()):
    report = Path(suite.directory) / "report.xml"
    report.unlink(missing_ok=True)
    command = [PYTHON, "-m", "test", "-v", "--junit-xml", str(report), *OPTIONS.get(module, []), module]
    for test in only:
        command += ["-m", test]
    began = time.monotonic()
    outcome = suite.run(prefix, command, suite.place(), timeout, env={"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"})
    results = from_xml(report) or from_text(outcome.out.decode(errors="replace") + outcome.err.decode(errors="replace"))
    return outcome, results, time.monotonic() - began


def native(module):
    file = Path(CACHE) / f"{module}.json" if CACHE else None
    if file and file.exists():
        return json.loads(file.read_text())
    outcome, results, seconds = run([], module, 900)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps([results, seconds]))
    return results, seconds


def explain(outcome, test):
    """the part of the output that tells why the test failed"""
    text = outcome.out.decode(errors="replace") + outcome.err.decode(errors="replace")
    short = ".".join(test.split(".")[-2:])
    for block in re.split(r"^={60,}$", text, flags=re.M):
        if re.match(r"\s*(ERROR|FAIL):", block) and short in block.split("\n", 3)[1]:
            return show("why", "\n".join(block.strip().splitlines()[-25:]).encode())
    return show("end", "\n".join(text.splitlines()[-25:]).encode())


def compare(module):
    expected, native_seconds = native(module)
    steady = [t for t, v in expected.items() if v == "ok"]
    for test in expected:
        if expected[test] != "ok":
            suite.skip(f"{module} {test}", f"natively: {expected[test]}")
    if suite.options.native or not steady:
        for test in steady:
            suite.ok(f"{module} {test}", "native")
        print(f"{module}: {len(steady)} natively, {native_seconds:.0f} s", flush=True)
        return
    timeout = 3 * native_seconds + 60
    outcome, results, seconds = run(suite.ocrun, module, timeout)
    if outcome.timed_out:
        print(f"{module}: timed out after {timeout:.0f} s\n{show('end', outcome.out[-600:])}{outcome.dump}", flush=True)
        if os.environ.get("OCRUN_CPYTHON_KEEP"):
            Path(f"{os.environ['OCRUN_CPYTHON_KEEP']}/{module}.dump").write_text(outcome.dump)
    if os.environ.get("OCRUN_CPYTHON_KEEP"):
        Path(f"{os.environ['OCRUN_CPYTHON_KEEP']}/{module}.out").write_bytes(outcome.out + outcome.err)
    good = bad = 0
    for test in steady:
        verdict, why = results.get(test, "missing"), excepted(module, test)
        if verdict != "ok" and not why and not (outcome.timed_out and verdict == "missing"):
            again, second, _ = run(suite.ocrun, module, timeout, [test])
            if second.get(test) == "ok":
                print(f"{module} {test}: {verdict} at first, passed when run alone\n{explain(outcome, test)}", end="", flush=True)
                verdict = "ok"
        if verdict == "ok":
            suite.ok(f"{module} {test}", suite.config)
            good += 1
        elif why:
            suite.skip(f"{module} {test}", why)
        else:
            detail = f"{verdict}, the module ended with {status_text(outcome.status)}\n"
            suite.fail(f"{module} {test}", suite.config, detail + (explain(outcome, test) if verdict != "missing" else ""))
            bad += 1
    print(f"{module}: {good} passed, {bad} failed, {len(expected) - good - bad} skipped; natively {native_seconds:.0f} s, "
          f"under ocrun {seconds:.0f} s", flush=True)


if not Path("/usr/lib/python3.11/test/test_threading.py").exists():
    print("skip cpython: libpython3.11-testsuite is not installed\n0 passed, 0 failed, 1 skipped")
    sys.exit(0)
for name in chosen():
    compare(name)
suite.end()
