#!/usr/bin/python3
# bad_input.py - what ocrun says to bad input: exactly one clear line on stderr, nothing on stdout, the right exit status.
import os, shutil, struct, subprocess
from pathlib import Path

from common import Suite, base_environment, run_process, show

suite = Suite("bad input: one clear line, exit 125, 126 or 127")
OWN, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127
here = Path(suite.place())


def write(name, data, mode=0o755):
    path = here / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    path.chmod(mode)
    return str(path)


def expect(title, arguments, status, mentions="", env=None, prefix=(), lines=1):
    """`status`: one exit status or several; `lines`: how many lines on stderr, None: at least one, each `mentions` must be there"""
    if not suite.wanted(title):
        return
    environment = base_environment(str(here))
    environment.update(env or {})
    with open("/dev/null", "rb") as null:
        outcome = run_process([*prefix, suite.ocrun_file, *arguments], str(here), environment, null, suite.directory, 20)
    statuses = status if isinstance(status, tuple) else (status,)
    said = outcome.err.decode(errors="replace").splitlines()
    why = []
    if outcome.timed_out:
        why.append("timed out")
    elif outcome.status not in statuses:
        why.append(f"exit {outcome.status}, expected {statuses}")
    if outcome.out:
        why.append("something on stdout")
    if (len(said) != lines) if lines is not None else not said:
        why.append(f"{len(said)} lines on stderr")
    if mentions not in "\n".join(said):
        why.append(f"does not mention {mentions!r}")
    if why:
        suite.fail(title, "ocrun", ", ".join(why) + "\n" + show("err", outcome.err) + show("out", outcome.out))
    else:
        suite.ok(title, "ocrun")


if suite.options.native:
    suite.skip("bad input", "there is nothing to compare with natively")
    suite.end()

elf = Path("/bin/true").read_bytes()
expect("a missing file", ["./missing"], NOT_FOUND, "missing")
expect("a missing command", ["no-such-command-anywhere"], NOT_FOUND, "no-such-command-anywhere")
expect("an empty name", [""], NOT_FOUND)
expect("a directory", [str(here)], NOT_EXECUTABLE, str(here))
expect("no x bit", [write("no-x", elf, 0o644)], NOT_EXECUTABLE, "no-x")
expect("text without #!", [write("text", "just text\n")], NOT_EXECUTABLE, "text")
expect("an empty file", [write("empty", "")], NOT_EXECUTABLE, "empty")
expect("a script with a missing interpreter", [write("script", "#!/no/such/interpreter\n")], (NOT_FOUND, NOT_EXECUTABLE), "script")
expect("a script that is its own interpreter", [write("loop", f"#!{here}/loop\n")], NOT_EXECUTABLE, "loop")
header32 = struct.pack("<4sBBBBB7xHHIIIIIHHHHHH", b"\x7fELF", 1, 1, 1, 0, 0, 2, 3, 1, 0x08048054, 52, 0, 0, 52, 32, 1, 0, 0, 0)
segment32 = struct.pack("<IIIIIIII", 1, 0, 0x08048000, 0x08048000, 96, 96, 5, 4096)
expect("a 32-bit ELF", [write("elf32", header32 + segment32 + b"\xb8\x01\0\0\0\x31\xdb\xcd\x80\0\0\0")], NOT_EXECUTABLE, "elf32")
expect("an ELF of another machine", [write("arm", elf[:18] + b"\xb7\0" + elf[20:])], NOT_EXECUTABLE, "arm")
expect("an ELF cut off in its header", [write("cut", elf[:40])], NOT_EXECUTABLE, "cut")
expect("an ELF cut off in its program headers", [write("cut-more", elf[:100])], NOT_EXECUTABLE, "cut-more")
expect("an ELF with a missing interpreter", [write("no-ld", elf.replace(b"/lib64/ld-linux-x86-64.so.2", b"/lib64/ld-missing-x86-64.so2"[:27]))],
       (NOT_FOUND, NOT_EXECUTABLE), "no-ld")
if shutil.which("gcc"):
    (here / "overlap.c").write_text('void _start(void) { __asm__("mov $60, %eax; xor %edi, %edi; syscall"); }\n')
    built = subprocess.run(["gcc", "-nostdlib", "-static", "-no-pie", "-Wl,-Ttext-segment=0x7c000000", "-o", here / "overlap",
                            here / "overlap.c"], capture_output=True)
    if built.returncode == 0:
        expect("an ELF overlapping the runtime", [str(here / "overlap")], (OWN, NOT_EXECUTABLE), "overlap")
if os.geteuid() == 0:
    setuid = write("set-uid", elf)
    os.chown(setuid, 65534, 65534)
    os.chmod(setuid, 0o6755)
    expect("a set-uid program", [setuid], (OWN, NOT_EXECUTABLE), "set-uid")
else:
    suite.skip("a set-uid program", "needs root")

# ---- policies: every mistake with its place; `check` and the run agree ---------------------------------------------------
mistakes = {
    "a policy that is missing": (None, ["no-such-policy.json"]),
    "a policy that is a directory": (None, [str(here)]),
    "a policy that is empty": ("", ["policy.json"]),
    "a policy that is no JSON": ("{ this is not", ["policy.json"]),
    "a policy with an unknown key": ('{"no_such_key": 1}', ["policy.json", "no_such_key"]),
    "a policy with a wrong type": ('{"scheduler": 5}', ["policy.json", "scheduler"]),
    "a policy with an unknown call": ('{"syscalls": {"no_such_call": "park"}}', ["policy.json", "no_such_call"]),
    "a policy with an unknown action": ('{"syscalls": {"read": "fly"}}', ["policy.json", "read"]),
    "a policy with a key twice": ('{"scheduler": {}, "scheduler": {}}', ["policy.json", "scheduler"]),
    "a policy over 1 MiB": ('{"$schema": "' + "x" * (1 << 20) + '"}', ["policy.json"]),
    "a policy that is an array": ("[]", ["policy.json"]),
}
for title, (text, mentions) in mistakes.items():
    name = mentions[0] if text is None else write("policy.json", text, 0o644)
    expect(title, ["-c", name, "/bin/true"], OWN, mentions[-1], lines=1)
    expect(title + ", from the environment", ["/bin/true"], OWN, mentions[-1], env={"OCRUN_CONFIG": name}, lines=1)
    expect(title + ", by check", ["check", name], OWN, mentions[-1], lines=1)
expect("a policy with several mistakes, by check", ["check", write("policy.json", '{"a": 1,\n "b": 2}', 0o644)], OWN, "b", lines=2)
if os.geteuid() == 0 and shutil.which("setpriv"):
    here.chmod(0o755)
    readable = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", "test", "-x", suite.ocrun_file]).returncode == 0
    if readable:
        expect("a policy that may not be read", ["-c", write("policy.json", "{}", 0o600), "/bin/true"], OWN, "policy.json",
               prefix=["setpriv", "--reuid", "65534", "--clear-groups"])
expect("an unknown option", ["--no-such-option", "/bin/true"], OWN, "--no-such-option", lines=None)
expect("no program", [], OWN, lines=None)
expect("a wrong number of workers", ["-w", "many", "/bin/true"], OWN, lines=None)
expect("too many workers", ["-w", "100000", "/bin/true"], OWN, lines=None)
refuse = suite.guest("refuse_seccomp")
if os.access(refuse, os.X_OK):
    expect("seccomp is refused", ["/bin/true"], OWN, "seccomp", prefix=[refuse])
else:
    suite.skip("seccomp is refused", "guest refuse_seccomp is not built")

# ---- inside a guest: the errno that Linux gives --------------------------------------------------------------------------------
inside = "; ".join(f"./{n}; echo $?" for n in ("missing", "no-x", "empty", "script", "cut", "arm"))


def prepare(directory):
    for name, data, mode in (("no-x", elf, 0o644), ("empty", b"", 0o755), ("script", b"#!/no/such/interpreter\n", 0o755),
                             ("cut", elf[:40], 0o755), ("arm", elf[:18] + b"\xb7\0" + elf[20:], 0o755)):
        (directory / name).write_bytes(data)
        (directory / name).chmod(mode)


suite.compare("the same inside a guest", inside + "; true", prepare=prepare)
suite.end()
