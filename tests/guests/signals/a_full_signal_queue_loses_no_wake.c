// a_full_signal_queue_loses_no_wake.c - with no room for a queued signal (RLIMIT_SIGPENDING, which all processes of a user share)
// threads still end their waits for children, for words in shared memory and for files, and still fork.
// TEST: timeout=60
#include "check.h"

#include <linux/futex.h>

enum { kRounds = 60 };
static int* word;

static void* waits_for_children(void* p) {
    for (int i = 0; i < kRounds; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (!child) _exit(i & 63);
        int status;
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(WEXITSTATUS(status), i & 63);
    }
    return p;
}

static void* waits_for_a_word(void* p) {
    pid_t other = fork();
    CHECK(other >= 0);
    if (!other) {
        for (int v; (v = __atomic_load_n(word, __ATOMIC_SEQ_CST)) < 2 * kRounds;)
            if (v % 2) {
                __atomic_store_n(word, v + 1, __ATOMIC_SEQ_CST);
                syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
            } else {
                syscall(SYS_futex, word, FUTEX_WAIT, v, NULL, NULL, 0);
            }
        _exit(9);
    }
    for (int i = 0; i < kRounds; i++) {
        int v = __atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
        syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
        while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == v) syscall(SYS_futex, word, FUTEX_WAIT, v, NULL, NULL, 0);
    }
    int status;
    CHECK_EQ(waitpid(other, &status, 0), other);
    CHECK_EQ(WEXITSTATUS(status), 9);
    return p;
}

static void* waits_for_a_file(void* p) {
    char name[] = "/tmp/ocrun-guest-XXXXXX", page[4096] = "", back[4096];
    int fd = mkstemp(name);
    CHECK(fd >= 0);
    CHECK_OK(unlink(name));
    for (int i = 0; i < kRounds; i++) {
        memset(page, i, sizeof page);
        CHECK_EQ(pwrite(fd, page, sizeof page, 0), (long)sizeof page);
        CHECK_OK(fdatasync(fd));
        CHECK_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        CHECK_EQ(pread(fd, back, sizeof back, 0), (long)sizeof back);
        CHECK_EQ(back[4095], (char)i);
    }
    close(fd);
    return p;
}

static void* waits_for_ever(void* p) {
    for (;;) pause();
    return p;
}

int main(void) {
    word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(word != MAP_FAILED);
    pthread_t t[5];
    t[0] = start(waits_for_ever, NULL);
    struct rlimit none = {0, 0};
    CHECK_OK(setrlimit(RLIMIT_SIGPENDING, &none));
    t[1] = start(waits_for_children, NULL);
    t[2] = start(waits_for_a_word, NULL);
    t[3] = start(waits_for_a_file, NULL);
    t[4] = start(waits_for_children, NULL);
    for (int i = 1; i < 5; i++) CHECK_EQ(pthread_join(t[i], NULL), 0);
    say("ok");
    return 0;
}
