// a_stuck_thread_holds_up_no_waiting_one.c - one thread is suspended in the kernel by vfork; what the others wait for comes
// meanwhile, and only they can end the suspension.
#include "futex/futex.h"

enum { kKinds = 6 };
static int* shared;
static int pipe_fds[2], release_fds[2], start_fds[2], file;
static int waiting, done;
static pid_t child;

static void arrived(void) {
    __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
    if (done == kKinds) CHECK_EQ(write(release_fds[1], "x", 1), 1);
}

static void* waits(void* kind) {
    char c;
    __atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
    switch ((long)kind) {
        case 0:
            while (!__atomic_load_n(shared, __ATOMIC_SEQ_CST)) futex(shared, FUTEX_WAIT, 0, NULL, NULL, 0);
            break;
        case 1:
            CHECK_EXIT(child, 5);
            break;
        case 2:
            CHECK_EQ(read(pipe_fds[0], &c, 1), 1);
            break;
        case 3:
            sleep_ms(200);
            break;
        case 4:
            while (!__atomic_load_n(shared, __ATOMIC_SEQ_CST)) sleep_ms(1);
            CHECK_EQ(write(file, "data", 4), 4);
            CHECK_OK(fsync(file));
            break;
        case 5:
            while (!__atomic_load_n(shared, __ATOMIC_SEQ_CST)) sleep_ms(1);
            posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
            char page[4096];
            CHECK_EQ(pread(file, page, sizeof page, 4096), 4096);
            break;
    }
    arrived();
    return NULL;
}

static volatile int spinning;
static void* spins(void* arg) {
    while (!spinning) {
    }
    return NULL;
}

int main(void) {
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    make_pipe(pipe_fds);
    make_pipe(release_fds);
    make_pipe(start_fds);
    file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    static char pages[16 * 4096];
    CHECK_EQ(write(file, pages, sizeof pages), sizeof pages);
    CHECK_OK(fsync(file));
    // The helper outside: wakes everybody once the vfork child runs.
    child = fork();
    if (child == 0) {
        char c;
        if (read(start_fds[0], &c, 1) != 1) _exit(1);
        sleep_ms(100);
        __atomic_store_n(shared, 1, __ATOMIC_SEQ_CST);
        futex(shared, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
        if (write(pipe_fds[1], "x", 1) != 1) _exit(2);
        _exit(5);
    }
    // Two threads that compute: every processor there is comes into use.
    pthread_t s[2] = {start(spins, NULL), start(spins, NULL)};
    sleep_ms(100);
    pthread_t t[kKinds];
    for (long i = 0; i < kKinds; i++) t[i] = start(waits, (void*)i);
    while (__atomic_load_n(&waiting, __ATOMIC_SEQ_CST) < kKinds) sleep_ms(1);
    spinning = 1;
    finish(s[0]);
    finish(s[1]);
    settle();
    pid_t v = vfork();
    if (v == 0) {
        char c;
        if (write(start_fds[1], "x", 1) != 1) _exit(1);
        // Until all six have what they waited for.
        _exit(read(release_fds[0], &c, 1) == 1 ? 3 : 2);
    }
    CHECK_EXIT(v, 3);
    CHECK_EQ(done, kKinds);
    for (int i = 0; i < kKinds; i++) finish(t[i]);
    say("ok");
}
