// observed.c - a program that does what tests/suites/views.py and bpf.py look for, and says when
//
// observed switch N    two threads hand a turn to each other: each of them is switched in exactly N times between the lines
//                      "armed A B" (their thread ids) and "done"; a line on standard input starts it, another ends it
// observed deadlock    two threads take two mutexes in opposite order; the first thread joins them
// observed spin MS     a thread computes for so long without a system call while another one is ready all the time
// observed block MS    a thread sleeps in the kernel for so long (a policy makes nanosleep native) while another one works; says
//                      how often that one ran meanwhile
// observed stuck MS    a thread is stuck in uname(2) for so long, in a page fault inside the kernel that a userfaultfd answers, while
//                      another one works; says also after how long that one went on
#pragma GCC optimize("omit-frame-pointer")  // call chains must be found by call frame information
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_int turn_a, turn_b, finished, over;
static atomic_int tid_a, tid_b;
static long rounds;

static void wait_while(atomic_int* word, int value) {
    while (atomic_load(word) == value) syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}
static void set_and_wake(atomic_int* word, int value) {
    atomic_store(word, value);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static __attribute__((noinline)) void take_turns(atomic_int* mine, atomic_int* other) {
    for (long i = 0; i < rounds; i++) {
        wait_while(mine, 0);
        atomic_store(mine, 0);
        set_and_wake(other, 1);
    }
}
static void* run_a(void* unused) {
    (void)unused;
    atomic_store(&tid_a, (int)syscall(SYS_gettid));
    take_turns(&turn_a, &turn_b);
    wait_while(&over, 0);
    return NULL;
}
static void* run_b(void* unused) {
    (void)unused;
    atomic_store(&tid_b, (int)syscall(SYS_gettid));
    take_turns(&turn_b, &turn_a);
    set_and_wake(&finished, 1);
    wait_while(&over, 0);
    return NULL;
}

static void wait_for_line(void) {
    char line[16];
    if (!fgets(line, sizeof line, stdin)) exit(1);
}

static int switches(void) {
    pthread_t a, b;
    pthread_create(&a, NULL, run_a, NULL);
    pthread_create(&b, NULL, run_b, NULL);
    while (!atomic_load(&tid_a) || !atomic_load(&tid_b)) sched_yield();
    sched_yield();  // both are in their futex now: nothing else runs here
    printf("armed %d %d\n", tid_a, tid_b);
    wait_for_line();
    set_and_wake(&turn_a, 1);
    wait_while(&finished, 0);
    printf("done\n");
    wait_for_line();
    set_and_wake(&over, 1);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    return 0;
}

static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER, second = PTHREAD_MUTEX_INITIALIZER;
static atomic_int holding;
static __attribute__((noinline)) void lock_other_mutex(pthread_mutex_t* other) {
    atomic_fetch_add(&holding, 1);
    while (atomic_load(&holding) < 2) sched_yield();
    pthread_mutex_lock(other);
    pthread_mutex_unlock(other);  // keeps the call above from being a jump: the caller stays on the stack
}
static void* lock_both(void* reversed) {
    pthread_mutex_lock(reversed ? &second : &first);
    lock_other_mutex(reversed ? &first : &second);
    return NULL;
}
static int deadlock(void) {
    pthread_t a, b;
    pthread_create(&a, NULL, lock_both, NULL);
    pthread_create(&b, NULL, lock_both, &first);
    printf("armed\n");
    pthread_join(a, NULL);
    return 0;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
static atomic_long worked;
static double stuck_since, worked_since;  // the first step of work() after the other thread got stuck
static void* work(void* unused) {
    while (!atomic_load(&over)) {
        if (atomic_load(&finished) && worked_since == 0) worked_since = now();
        atomic_fetch_add(&worked, 1);
        sched_yield();
    }
    return unused;
}
static __attribute__((noinline)) void compute_without_calls(double seconds) {
    double end = now() + seconds;
    while (now() < end) {
    }
}
static int spin(double seconds) {
    pthread_t other;
    pthread_create(&other, NULL, work, NULL);
    printf("armed\n");
    wait_for_line();
    compute_without_calls(seconds);
    atomic_store(&over, 1);
    pthread_join(other, NULL);
    printf("done\n");
    return 0;
}
static char* page;
static long page_bytes;
static int uffd;
static void* answer_later(void* seconds) {
    struct timespec t = {0, (long)(*(double*)seconds * 1e9)};
    while (!atomic_load(&finished)) sched_yield();
    clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
    struct uffdio_zeropage zero = {.range = {(unsigned long)page, (unsigned long)page_bytes}};
    ioctl(uffd, UFFDIO_ZEROPAGE, &zero);
    return NULL;
}
static int stuck(double seconds) {
    struct uffdio_api api = {.api = UFFD_API};
    page_bytes = sysconf(_SC_PAGESIZE);
    page = mmap(NULL, (size_t)page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register area = {.range = {(unsigned long)page, (unsigned long)page_bytes}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &area)) return 3;
    pthread_t other, answers;
    pthread_create(&other, NULL, work, NULL);
    pthread_create(&answers, NULL, answer_later, &seconds);
    while (!atomic_load(&worked)) sched_yield();
    printf("armed\n");
    wait_for_line();
    long before = atomic_load(&worked);
    stuck_since = now();
    atomic_store(&finished, 1);
    syscall(SYS_uname, page);
    printf("worked %ld after %.0f us\n", atomic_load(&worked) - before, (worked_since - stuck_since) * 1e6);
    wait_for_line();
    atomic_store(&over, 1);
    pthread_join(other, NULL);
    return 0;
}
static int block(double seconds) {
    pthread_t other;
    pthread_create(&other, NULL, work, NULL);
    while (!atomic_load(&worked)) sched_yield();
    printf("armed\n");
    wait_for_line();
    long before = atomic_load(&worked);
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    syscall(SYS_nanosleep, &t, NULL);
    printf("worked %ld\n", atomic_load(&worked) - before);
    // Nothing more is recorded: who reads the newest events may come late.
    atomic_store(&over, 1);
    pthread_join(other, NULL);
    wait_for_line();
    return 0;
}

int main(int argc, char** argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1 && !strcmp(argv[1], "deadlock")) return deadlock();
    if (argc != 3) return 2;
    rounds = atol(argv[2]);
    if (!strcmp(argv[1], "switch")) return switches();
    if (!strcmp(argv[1], "spin")) return spin(atof(argv[2]) / 1e3);
    if (!strcmp(argv[1], "stuck")) return stuck(atof(argv[2]) / 1e3);
    if (!strcmp(argv[1], "block")) return block(atof(argv[2]) / 1e3);
    return 2;
}
