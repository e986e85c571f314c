/** @file ocrun.h
 * The task API of ocrun, C11. Link with -locrun; pkg-config and CMake packages are called `ocrun`.
 *
 * A task is a function that runs on a coroutine of its own: it has a stack, an errno and thread-local storage, may make any call
 * that blocks, and costs its thread nothing meanwhile. Tasks run under `ocrun`: oc_init() restarts a process that is not under it
 * yet. The same calls work on plain threads (OC_MODE_THREADS), at the price of threads.
 *
 * Rules that hold for every call:
 * - Times are nanoseconds of CLOCK_MONOTONIC; a timeout is a span, OC_FOREVER is none.
 * - An int result is 0 or a negative errno value; `errno` itself is left alone except where a call says so.
 * - Every call may be made from tasks and from ordinary threads, main included, but not from signal handlers.
 * - Calls that wait suspend the caller only. In a task they are points of cancellation.
 * - Thread-local variables belong to the pooled coroutine: a task may find what an earlier one left. Use oc_local_*.
 */
#ifndef OCRUN_H
#define OCRUN_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OC_API __attribute__((visibility("default")))

/** No timeout. */
#define OC_FOREVER UINT64_MAX

/** A task as its creator holds it. oc_task_drop() gives it back; the task itself goes on (it is then detached). */
typedef struct oc_task oc_task;

/** What a task runs; its result is the task's value. */
typedef void* (*oc_function)(void* argument);

/** How oc_init() provides for tasks. */
enum oc_mode {
    OC_MODE_OCRUN = 0,        /**< under ocrun; a process that is not restarts itself under it */
    OC_MODE_THREADS = 1,      /**< on plain threads where the process is not under ocrun; never restarts */
    OC_MODE_PREFER_OCRUN = 2, /**< as OC_MODE_OCRUN, but on plain threads where no ocrun is found */
};

/** Settings of oc_init(); what is 0 takes its default. Start with OC_CONFIG_INIT. */
typedef struct oc_config {
    uint32_t size;          /**< sizeof(oc_config), for later versions */
    uint32_t mode;          /**< enum oc_mode */
    uint32_t workers;       /**< kernel threads that run tasks; 0: as many as CPUs are allowed. Used by a restart only: under ocrun
                                 its own options and policy decide */
    uint32_t pin_workers;   /**< 1: each worker stays on a CPU of its own. Used by a restart only */
    uint32_t tasks_min;     /**< pooled coroutines kept when idle (default 1) */
    uint32_t tasks_max;     /**< tasks that can be under way at once (default 65536 under ocrun, 1024 on threads) */
    uint32_t queue_max;     /**< tasks waiting for a coroutine before oc_task_create() waits too (default 65536) */
    int32_t cancel_signal;  /**< real-time signal that interrupts a task to be cancelled (default SIGRTMAX - 1) */
    uint64_t keep_alive_ns; /**< how long a pooled coroutine above tasks_min stays idle (default 10 s) */
    uint64_t stack_bytes;   /**< stack of a task (default 256 KiB), guarded, touched lazily */
} oc_config;
#define OC_CONFIG_INIT { sizeof(oc_config), 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/** Starts the framework. Call it early: a restart runs the program again from its beginning, with its arguments, environment and
 * open descriptors, but nothing else it did so far. ocrun is found at its place of installation, then by the environment variable
 * OCRUN, then in PATH; in a set-user-ID context at its place of installation only.
 * @param config NULL: defaults
 * @return 0; -EALREADY when started already; -EINVAL; -ENOMEM; -ENOENT when no ocrun is found; another error of execve(2) */
OC_API int oc_init(const oc_config* config);

/** Refuses new tasks (-ESHUTDOWN), waits for all there are, ends the pool. Not from a task (-EDEADLK). May be called again after
 * a -ETIMEDOUT; after a 0 oc_init() may be called again.
 * @return 0; -ETIMEDOUT; -EINVAL when not started; -EALREADY while another thread is in it */
OC_API int oc_stop(uint64_t timeout_ns);

/** Starts a task. Waits while oc_config.queue_max tasks wait for a coroutine, unless the caller is a task itself.
 * @param priority smaller starts sooner, equal ones in order; usually 0. Under ocrun it also decides who goes on when several tasks
 * of a worker are ready again, and who computes is not preempted for larger ones. It never starves anybody: every 1024th start and
 * every 16th choice go to others in turn
 * @return NULL with errno: EINVAL (no function), ESHUTDOWN (oc_stop), ENODEV (no oc_init), ENOMEM */
OC_API oc_task* oc_task_create(oc_function function, void* argument, long priority);

/** More about a task to be. */
typedef struct oc_task_attributes {
    uint32_t size;           /**< sizeof(oc_task_attributes) */
    uint32_t flags;          /**< 0 */
    long priority;           /**< as of oc_task_create() */
    void (*ended)(void* argument); /**< called once, when the task ended or will never run; must not wait. May be NULL */
} oc_task_attributes;
/** As oc_task_create(). */
OC_API oc_task* oc_task_create_with(oc_function function, void* argument, const oc_task_attributes* attributes);

/** Waits for the end of a task. Any number of callers may, any number of times.
 * @param value where the task's value goes; may be NULL
 * @return 0; -ECANCELED: cancelled; -EPROTO: it threw an exception; -EFAULT: it raised SIGSEGV, SIGBUS, SIGFPE or SIGILL (a stack
 * overflow too); -EDEADLK: the task is the caller */
OC_API int oc_task_join(oc_task* task, void** value);
/** oc_task_join() for at most timeout_ns. @return as oc_task_join(), or -ETIMEDOUT (the task goes on) */
OC_API int oc_task_timeout_join(oc_task* task, uint64_t timeout_ns, void** value);
/** Waits until one of n tasks has ended. The others go on.
 * @return its index (the lowest one, if several had ended before); -ETIMEDOUT; -EINVAL when n is 0 */
OC_API long oc_task_any_join(oc_task* const* tasks, size_t n, uint64_t timeout_ns);
/** Asks a task to end; does not wait for it. One that has not started never runs. One that waits in a system call, a lock or a call
 * of this header is unwound from there, destructors and cleanup handlers included; one that computes, at its next suspension or
 * preemption, unless it is inside libc or under a frame that cannot be unwound (noexcept, no unwind tables): then later. The
 * objects of a function that computes on and on without a call are lost where the compiler made no way to destroy them from there;
 * those of its callers are destroyed. In a statically linked program a task that computes is cancelled at its next suspension only. No effect on one that ended.
 * `catch (...)` blocks must throw on, as for pthread_cancel(3). A lock of C++ (std::mutex, not std::shared_mutex) that is waited
 * for throws std::system_error with ECANCELED. @return 0 */
OC_API int oc_task_cancel(oc_task* task);
/** Gives the handle back. NULL is allowed. */
OC_API void oc_task_drop(oc_task* task);
/** A number > 0, unique in the process. */
OC_API uint64_t oc_task_id(const oc_task* task);

/** Where a task is. */
enum oc_state {
    OC_READY = 1,     /**< created, not started yet, or preempted */
    OC_RUNNING = 2,   /**< executing, or about to */
    OC_SUSPENDED = 3, /**< waits in a call of this header */
    OC_SYSCALL = 4,   /**< waits in a system call (known under ocrun only; on plain threads it shows as running) */
    OC_COMPLETE = 5,  /**< returned a value */
    OC_CANCELLED = 6,
    OC_ERROR = 7,     /**< ended by an exception or a fault */
};
/** The state at this moment. */
OC_API enum oc_state oc_task_state(const oc_task* task);
/** Why a task ended in OC_ERROR: what() of its exception or the signal with its address; "" otherwise. Lives as long as the
 * handle. */
OC_API const char* oc_task_error_text(const oc_task* task);
/** For C++: copies the exception that ended the task to a std::exception_ptr. @return 0, or -ENOENT when there is none */
OC_API int oc_task_exception(const oc_task* task, void* std_exception_ptr);

/** The calling task's id; 0 in an ordinary thread. */
OC_API uint64_t oc_current_id(void);
/** 1 when somebody cancelled the calling task. */
OC_API int oc_cancel_requested(void);
/** Ends the calling task if it was cancelled. Returns 0; -ECANCELED when it was but cannot be unwound from here. */
OC_API int oc_cancel_point(void);
/** Switches cancellation of the calling task off (0) or on (1), as pthread_setcancelstate(3). @return what it was */
OC_API int oc_cancel_enable(int on);

/** Lets other tasks run. */
OC_API void oc_yield(void);
/** Suspends the caller; signal handlers run meanwhile and do not shorten it.
 * @return 0; -ECANCELED in a task that was cancelled and cannot be unwound */
OC_API int oc_sleep(uint64_t span_ns);

/** Runs function(argument) with at least red_zone bytes of stack: here when the present stack has them left, else on a segment of
 * `size` bytes, guarded and taken from a pool, to which it goes back on return. Exceptions and cancellation pass through.
 * @param red_zone 0: 16 KiB and a page
 * @param size 0: 128 KiB
 * @param value what the function returned; may be NULL
 * @return 0; -ENOMEM (the function did not run) */
OC_API int oc_maybe_grow_stack(size_t red_zone, size_t size, oc_function function, void* argument, void** value);
/** Bytes left on the caller's stack or segment. */
OC_API size_t oc_stack_left(void);

/** Storage of a task, or of an ordinary thread. */
typedef uint32_t oc_local;
/** A new key; `destructor`, if any, is called with each value that is not NULL when its task or thread ends.
 * @return 0; -EAGAIN when 1024 keys are in use */
OC_API int oc_local_create(oc_local* key, void (*destructor)(void*));
/** Forgets a key; values are not destroyed. */
OC_API void oc_local_delete(oc_local key);
OC_API void* oc_local_get(oc_local key);            /**< NULL when never set */
OC_API int oc_local_set(oc_local key, void* value); /**< 0; -EINVAL: no such key; -ENOMEM */

/** A change of a task's state. */
typedef struct oc_event {
    uint64_t task;         /**< its id */
    enum oc_state before;  /**< 0 when it was just created */
    enum oc_state now;
    int error;             /**< 0 or the error that oc_task_join() will return, when it ended */
    long call;             /**< number of the system call when now is OC_SYSCALL, else -1 */
    uint64_t at_ns;        /**< CLOCK_MONOTONIC */
} oc_event;
/** Called where the change happens, before the task goes on. OC_SYSCALL and the OC_RUNNING behind it are told by a thread of the
 * library that looks every millisecond at tasks that began while somebody listened: shorter waits in system calls are not heard, and
 * on plain threads none.
 * Must not wait nor call this library. */
typedef void (*oc_listener)(void* argument, const oc_event* event);
/** At most 16 at a time. @return 0; -EAGAIN */
OC_API int oc_listener_add(oc_listener listener, void* argument);
/** @return 0; -ENOENT. A callback may still be under way in another thread. */
OC_API int oc_listener_remove(oc_listener listener, void* argument);

struct addrinfo;
/** Connects to the first address that answers, each tried for its share of the time; names are looked up as by getaddrinfo(3).
 * @return a connected, blocking, close-on-exec stream socket; -ETIMEDOUT; -EHOSTUNREACH when the name has no address; else the
 * error of the last address tried */
OC_API int oc_connect_timeout(const char* host, const char* service, uint64_t timeout_ns);
/** The same for a list of addresses that the caller keeps. */
OC_API int oc_connect_addresses(const struct addrinfo* addresses, uint64_t timeout_ns);

/** Figures of the framework at this moment. */
typedef struct oc_stats {
    uint32_t size;         /**< in: sizeof(oc_stats) */
    uint32_t under_ocrun;  /**< 1 or 0 */
    uint32_t workers;      /**< kernel threads that may run tasks */
    uint32_t pooled;       /**< coroutines of the pool, idle ones included */
    uint32_t idle;
    uint32_t most_pooled;  /**< the most there ever were */
    uint64_t queued;       /**< tasks that wait for a coroutine */
    uint64_t under_way;    /**< tasks that have not ended */
    uint64_t created;      /**< since oc_init() */
} oc_stats;
/** @return 0; -EINVAL when not started or size is 0 */
OC_API int oc_get_stats(oc_stats* stats);

#ifdef __cplusplus
}
#endif
#endif
