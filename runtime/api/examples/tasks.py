#!/usr/bin/env python3
# tasks.py - libocrun from Python by ctypes: tasks that run a C function, and tasks that run Python
"""usage: tasks.py [LIBRARY]   (default: libocrun.so.0)"""
import ctypes, sys

FUNCTION = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)


class Config(ctypes.Structure):  # oc_config
    _fields_ = [(name, ctypes.c_uint32) for name in ("size", "mode", "workers", "pin_workers", "tasks_min", "tasks_max", "queue_max")] + [
        ("cancel_signal", ctypes.c_int32), ("keep_alive_ns", ctypes.c_uint64), ("stack_bytes", ctypes.c_uint64)]


def library(path):
    oc = ctypes.CDLL(path, use_errno=True)
    oc.oc_init.argtypes = [ctypes.POINTER(Config)]
    oc.oc_stop.argtypes = [ctypes.c_uint64]
    oc.oc_task_create.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long]
    oc.oc_task_create.restype = ctypes.c_void_p
    oc.oc_task_timeout_join.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.POINTER(ctypes.c_void_p)]
    oc.oc_task_join.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
    oc.oc_task_cancel.argtypes = [ctypes.c_void_p]
    oc.oc_task_drop.argtypes = [ctypes.c_void_p]
    oc.oc_sleep.argtypes = [ctypes.c_uint64]
    return oc


oc = library(sys.argv[1] if len(sys.argv) > 1 else "libocrun.so.0")
PREFER_OCRUN = 2
# A task that runs Python needs the stack that the interpreter is used to.
config = Config(size=ctypes.sizeof(Config), mode=PREFER_OCRUN, stack_bytes=8 << 20)
error = oc.oc_init(ctypes.byref(config))
if error:
    sys.exit(f"oc_init: {error}")


def join(task):
    value = ctypes.c_void_p()
    error = oc.oc_task_join(task, ctypes.byref(value))
    oc.oc_task_drop(task)
    return error, value.value


# a C function: labs of the argument, cast to what a task runs
labs = ctypes.cast(ctypes.CDLL(None).labs, ctypes.c_void_p)
assert join(oc.oc_task_create(labs, ctypes.c_void_p(-5), 0)) == (0, 5)

# Python functions: each waits without holding the interpreter's lock (ctypes releases it)
@FUNCTION
def square(n):
    oc.oc_sleep(1000000)
    return (n or 0) ** 2


tasks = [oc.oc_task_create(ctypes.cast(square, ctypes.c_void_p), n, 0) for n in range(200)]
assert [join(t)[1] or 0 for t in tasks] == [n * n for n in range(200)]

# a task that sleeps for ever is left waiting, then cancelled
sleep = ctypes.cast(ctypes.CDLL(None).sleep, ctypes.c_void_p)
task = oc.oc_task_create(sleep, ctypes.c_void_p(1000000), 0)
assert oc.oc_task_timeout_join(task, 5000000, None) == -110  # -ETIMEDOUT
oc.oc_task_cancel(task)
assert join(task)[0] == -125  # -ECANCELED
assert oc.oc_stop(2**64 - 1) == 0
print("done")
