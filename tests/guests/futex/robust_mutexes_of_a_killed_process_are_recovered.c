// robust_mutexes_of_a_killed_process_are_recovered.c - a thread that is not the first one holds a mutex in shared memory when a signal kills
// its process. Who waits for it already, and who comes later, gets it with EOWNERDEAD: a process of one thread, several threads,
// with a time limit; also for a mutex with priority inheritance.
// TEST: timeout=60
#include "../check.h"

struct shared {
    pthread_mutex_t mutex;
    int told[2];
} *shared;

static void* hold(void* dies) {
    CHECK_EQ(pthread_mutex_lock(&shared->mutex), 0);
    CHECK_EQ(write(shared->told[1], "x", 1), 1);
    if (dies) abort();
    for (;;) pause();
    return NULL;
}

static void make(int protocol) {
    pthread_mutexattr_t a;
    CHECK_EQ(pthread_mutexattr_init(&a), 0);
    CHECK_EQ(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST), 0);
    CHECK_EQ(pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED), 0);
    CHECK_EQ(pthread_mutexattr_setprotocol(&a, protocol), 0);
    CHECK_EQ(pthread_mutex_init(&shared->mutex, &a), 0);
}

static pid_t holder(void* dies) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        pthread_t t;
        CHECK_EQ(pthread_create(&t, NULL, hold, dies), 0);
        for (;;) pause();
    }
    char c;
    CHECK_EQ(read(shared->told[0], &c, 1), 1);
    return child;
}

static void end(pid_t child, int sig, int reap) {
    int status;
    CHECK_EQ(kill(child, sig), 0);
    if (!reap) return;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(WTERMSIG(status), sig);
}

static void* recover(void* timed) {
    struct timespec far = {INT32_MAX, 0};
    int r = timed ? pthread_mutex_timedlock(&shared->mutex, &far) : pthread_mutex_lock(&shared->mutex);
    if (r == EOWNERDEAD) r = pthread_mutex_consistent(&shared->mutex) ? -1 : EOWNERDEAD;
    if (r == 0 || r == EOWNERDEAD) CHECK_EQ(pthread_mutex_unlock(&shared->mutex), 0);
    return (void*)(long)r;
}

static void* killer(void* child) {
    usleep(30000);
    end((pid_t)(long)child, SIGKILL, 0);
    return NULL;
}

// One who does not wait finds it free, too.
static void aborts(void) {
    CHECK_EQ(waitpid(holder(shared), NULL, 0) > 0, 1);
    CHECK_EQ(pthread_mutex_trylock(&shared->mutex), EOWNERDEAD);
    CHECK_EQ(pthread_mutex_consistent(&shared->mutex), 0);
    CHECK_EQ(pthread_mutex_unlock(&shared->mutex), 0);
}

// Everybody may have come before or after the end; one of them finds the owner dead.
static void several_wait(void) {
    pid_t child = holder(NULL);
    pthread_t k, t[3];
    CHECK_EQ(pthread_create(&k, NULL, killer, (void*)(long)child), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&t[i], NULL, recover, i ? shared : NULL), 0);
    int dead = 0;
    for (int i = 0; i < 3; i++) {
        void* r;
        CHECK_EQ(pthread_join(t[i], &r), 0);
        CHECK(r == NULL || r == (void*)(long)EOWNERDEAD);
        dead += r != NULL;
    }
    CHECK_EQ(dead, 1);
    CHECK_EQ(pthread_join(k, NULL), 0);
    CHECK_EQ(waitpid(child, NULL, 0), child);
}

// The killer is a process, so that this one has a thread only.
static void one_waits(void* timed) {
    pid_t child = holder(NULL), other = fork();
    if (other == 0) {
        killer((void*)(long)child);
        _exit(0);
    }
    CHECK_EQ((long)recover(timed), EOWNERDEAD);
    CHECK_EQ(waitpid(other, NULL, 0), other);
    CHECK_EQ(waitpid(child, NULL, 0), child);
}

int main(void) {
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    CHECK_EQ(pipe(shared->told), 0);
    for (int protocol = PTHREAD_PRIO_NONE; protocol <= PTHREAD_PRIO_INHERIT; protocol++) {
        make(protocol);
        end(holder(NULL), SIGKILL, 1);
        CHECK_EQ((long)recover(NULL), EOWNERDEAD);
        end(holder(NULL), SIGSEGV, 1);
        CHECK_EQ((long)recover(shared), EOWNERDEAD);
        one_waits(NULL);
        one_waits(shared);
        aborts();
        say("one thread: ok");
    }
    for (int protocol = PTHREAD_PRIO_NONE; protocol <= PTHREAD_PRIO_INHERIT; protocol++) {
        make(protocol);
        for (int i = 0; i < 3; i++) several_wait();
        say("several threads: ok");
    }
}
