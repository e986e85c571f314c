#!/usr/bin/python3
# sites.py - every system call site of this machine's libraries and programs: is what rewriting would move what objdump sees?
"""usage: tests/suites/sites.py [--build DIR] [-v] [FILE…]

For each file the plans of build/unit/site_plans are compared with objdump's linear disassembly: the replaced instruction and every
moved one must begin where objdump begins one. Sites left to the trap are no failure; how many of each tactic there are is printed.
Last line: N passed, N failed, N skipped (one a file)."""
import argparse, collections, glob, re, shutil, subprocess, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DEFAULT = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libpthread.so.0",
           "/lib/x86_64-linux-gnu/libc.musl-x86_64.so.1", "/usr/lib/x86_64-linux-musl/libc.so", "/lib/ld-musl-x86_64.so.1",
           "/usr/lib/go-1.19/bin/go", "/usr/lib/go/bin/go", "/usr/bin/go", "/usr/bin/node", "/usr/bin/python3", "/bin/bash",
           "/bin/busybox", "/usr/bin/redis-server", "/usr/sbin/nginx"]
JAVA = "/usr/lib/jvm/*/lib/server/libjvm.so"


def disassembled(path):
    """(addresses of instructions, those of system calls)"""
    starts, calls = set(), set()
    line = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)")
    with subprocess.Popen(["objdump", "-d", "--no-show-raw-insn", path], stdout=subprocess.PIPE, text=True, errors="replace") as p:
        for text in p.stdout:
            m = line.match(text)
            if m:
                starts.add(int(m.group(1), 16))
                if m.group(2) == "syscall":
                    calls.add(int(m.group(1), 16))
    return starts, calls


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--build", default=str(ROOT / "build"))
    parser.add_argument("-v", action="store_true")
    parser.add_argument("files", nargs="*")
    o = parser.parse_args()
    tool = next((t for t in (Path(o.build) / "site_plans", Path(o.build) / "tests/unit/site_plans") if t.exists()), None)
    if not tool or not shutil.which("objdump"):
        print("SKIP: site_plans is not built, or there is no objdump")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    files = o.files or [f for f in DEFAULT + sorted(glob.glob(JAVA)) if Path(f).exists()]
    seen, passed, failed = set(), 0, 0
    for name in files:
        real = str(Path(name).resolve())
        if real in seen:
            continue
        seen.add(real)
        done = subprocess.run([tool, real], capture_output=True, text=True)
        if done.returncode:
            continue  # a script
        starts, calls = disassembled(real)
        tactics, wrong = collections.Counter(), []
        for text in done.stdout.splitlines():
            site, tactic, patch, rest = (text + " ").split(" ", 3)
            site, patch = int(site, 16), int(patch, 16)
            if site not in calls:
                continue  # the bytes 0f 05 inside of another instruction, or data
            tactics[tactic] += 1
            if tactic == "none":
                if o.v:
                    print(f"  {name} {site:x}: left to the trap: {rest.strip()}")
                continue
            for offset in rest.strip().split(","):
                if patch + int(offset) not in starts:
                    wrong.append(f"{site:x}: nothing begins at {patch + int(offset):x}")
        print(f"{'FAIL' if wrong else 'ok  '} {name}: {len(calls)} sites: " + ", ".join(f"{t} {n}" for t, n in tactics.most_common()))
        for w in wrong[:10]:
            print("     ", w)
        passed, failed = passed + (not wrong), failed + bool(wrong)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
