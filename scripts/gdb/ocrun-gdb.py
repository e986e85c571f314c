# ocrun-gdb.py - gdb and coroutines: `info coroutines`, `coroutine TID COMMAND`, symbols of the guest, quiet traps
#
# gdb loads this by itself when it reads the ocrun beside which it lies (build/ocrun-gdb.py), if that directory is in gdb's
# auto-load safe-path; by hand: source ocrun-gdb.py. Works on live processes; on core files `info coroutines` does.
import ctypes

import gdb

# The runtime's own signals: every hooked system call is a SIGSYS, ticks and kicks are signal 64.
for name in ("SIGSYS", "SIG64"):
    gdb.execute(f"handle {name} nostop noprint pass", to_string=True)



class LostFs(gdb.Function):
    """$ocrun_lost_fs(): the instruction uses FS"""

    PREFIXES = b"\x26\x2e\x36\x3e\x65\x66\x67\xf0\xf2\xf3"

    def __init__(self):
        super().__init__("ocrun_lost_fs")

    def invoke(self):
        try:
            code = bytes(gdb.selected_inferior().read_memory(int(gdb.parse_and_eval("$rip")), 5))
        except gdb.MemoryError:
            return False
        return code.lstrip(self.PREFIXES).startswith(b"\x64")


# Where the kernel does not keep FS its loss is a fault, which the runtime repairs (seccomp/segment_bases.h): only others stop.
FSGSBASE = 2
if not ctypes.CDLL(None).getauxval(26) & FSGSBASE:  # AT_HWCAP2
    LostFs()
    gdb.execute("handle SIGSEGV nostop noprint pass", to_string=True)
    gdb.execute("catch signal SIGSEGV", to_string=True)
    gdb.execute("condition $bpnum !$ocrun_lost_fs()", to_string=True)

REGISTERS = ["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx", "rax", "rcx", "rsp", "rip"]
NO_CALL = 0xFFFFFFFF
loaded = {}  # pid -> files whose symbols are there


def value(expression):
    return gdb.parse_and_eval(expression)


def coroutines():
    """each live coroutine as a gdb.Value of type ocrun::Coroutine"""
    pool = value("ocrun::g_pool")
    chunks, fresh, slot = (int(pool[f]) for f in ("chunk_count", "fresh", "slot_bytes"))
    per_chunk = int(value("((oc_board*)&oc_board_table)->slots_per_chunk"))
    pointer = gdb.lookup_type("ocrun::Coroutine").pointer()
    for i in range(chunks):
        base = int(pool["chunks"][i])
        for k in range(fresh if i + 1 == chunks else per_chunk):
            c = gdb.Value(base + k * slot).cast(pointer).dereference()
            if c["registered"] or c["direct"]:
                yield c


def text(pointer, most=24):
    return pointer.string(length=-1, errors="replace")[:most] if int(pointer) else ""


def atomic(v):
    return v["_M_b"]["_M_p"] if "_M_b" in [f.name for f in v.type.strip_typedefs().fields()] else v["_M_i"]


def state(c):
    worker = int(atomic(c["on"]))
    if worker:
        thread = gdb.Value(worker).cast(gdb.lookup_type("ocrun::TrapThread").pointer())
        return f"on {int(thread['tid'])}"
    if int(c["waits_for"]) and not int(c["sched_state"]["_M_i"]) & 1:
        return "parked"
    return "ready"


def guest_symbols():
    """files of the guest that gdb does not know: it was told of ocrun alone"""
    pid = gdb.selected_inferior().pid
    known = loaded.setdefault(pid, set())
    try:
        maps = open(f"/proc/{pid}/maps").read().splitlines()
    except OSError:
        return
    own = {o.filename for o in gdb.objfiles() if o.filename}
    for line in maps:
        fields = line.split(None, 5)
        if len(fields) < 6 or not fields[5].startswith("/") or int(fields[2], 16) != 0 or fields[5] in known | own:
            continue
        known.add(fields[5])
        base = int(fields[0].split("-")[0], 16)
        try:
            with open(fields[5], "rb") as f:
                head = f.read(18)
            if head[:4] != b"\x7fELF":
                continue
            fixed = head[16] == 2  # ET_EXEC lies where it says
            gdb.execute(f"add-symbol-file '{fields[5]}' -o {0 if fixed else base}", to_string=True)
        except (OSError, gdb.error):
            continue


class InfoCoroutines(gdb.Command):
    """List the coroutines (guest threads): id, name, state, system call, what it waits for, where it made the call."""

    def __init__(self):
        super().__init__("info coroutines", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        guest_symbols()
        print(f"{'Id':>10} {'Name':<15} {'State':<12} {'Call':>4} {'Waits for':<12} Where")
        for c in coroutines():
            rip = int(c["regs"]["rip"])
            where = gdb.execute(f"info symbol {rip}", to_string=True).strip()
            where = f"{rip:#x}" if where.startswith("No symbol") else where.split(" in section")[0]
            nr = int(c["call_nr"])
            print(f"{int(c['tid']):>10} {c['name'].string(errors='replace'):<15} {state(c):<12} {'' if nr == NO_CALL else nr:>4} "
                  f"{text(c['waits_for']):<12} {where}")


class CoroutineCommand(gdb.Command):
    """Run a command with the registers of a parked coroutine: coroutine ID bt. Without a command: bt.
Registers of the selected thread are put back afterwards. For one that runs, use its thread (info threads)."""

    def __init__(self):
        super().__init__("coroutine", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = argument.split(None, 1)
        if not words:
            raise gdb.GdbError("coroutine ID [COMMAND]; info coroutines lists them")
        tid, command = int(words[0], 0), words[1] if len(words) > 1 else "bt"
        c = next((c for c in coroutines() if int(c["tid"]) == tid), None)
        if c is None:
            raise gdb.GdbError(f"no coroutine {tid}")
        if int(atomic(c["on"])) and int(c["call_nr"]) == NO_CALL:
            raise gdb.GdbError(f"coroutine {tid} runs guest code {state(c)}: select that thread")
        guest_symbols()
        gdb.newest_frame().select()
        before = {r: int(gdb.selected_frame().read_register(r)) & (1 << 64) - 1 for r in REGISTERS}
        wanted = {r: int(c["regs"][r]) for r in REGISTERS}
        try:
            for r in REGISTERS:
                gdb.execute(f"set ${r} = {wanted[r]}", to_string=True)
            gdb.execute(command)
        finally:
            gdb.newest_frame().select()
            for r in REGISTERS:
                gdb.execute(f"set ${r} = {before[r]}", to_string=True)


InfoCoroutines()
CoroutineCommand()
