// Threads that read and receive from pipes and sockets of all kinds, alone or several at one descriptor, while others write now and then,
// send them signals (with SA_RESTART and without) and fork: every byte arrives, once.
// TEST: timeout=90
#include <arpa/inet.h>
#include <sys/socket.h>

#include "../check.h"

enum { kKinds = 5, kEach = 4, kPairs = kKinds * kEach, kBytes = 400, kMostReaders = 3, kWriters = 3 };

static int in[kPairs], out[kPairs];
static long sums[kPairs], counts[kPairs], written[kPairs], interrupted;
static pthread_t readers[kPairs][kMostReaders];
static pthread_mutex_t locks[kPairs];

static void on_signal(int sig) { (void)sig; }

// With several readers, or a poisoned byte behind the others: one at a time.
static void* reader(void* arg) {
    long pair = (long)arg;
    int fd = in[pair], kind = pair % kKinds;
    unsigned turn = (unsigned)pair;
    for (;;) {
        unsigned char c;
        ssize_t n = kind == 0 || turn++ % 2 ? read(fd, &c, 1) : recv(fd, &c, 1, turn % 3 ? 0 : MSG_WAITALL);
        if (n == -1) {
            CHECK_EQ(errno, EINTR);
            __atomic_fetch_add(&interrupted, 1, __ATOMIC_RELAXED);
            continue;
        }
        CHECK_EQ(n, 1);
        if (!c) return NULL;
        __atomic_fetch_add(&sums[pair], c, __ATOMIC_RELAXED);
        __atomic_fetch_add(&counts[pair], 1, __ATOMIC_RELAXED);
    }
}

static int readers_of(long pair) { return pair % 2 ? kMostReaders : 1; }

static void* writer(void* arg) {
    unsigned r = (unsigned)(long)arg * 2654435761u + 1;
    for (int left = kPairs; left;) {
        r = r * 1664525u + 1013904223u;
        long pair = (r >> 16) % kPairs;
        if (r >> 28 == 0) sched_yield();
        if (r >> 27 == 1) {
            struct timespec t = {0, 50000};
            nanosleep(&t, NULL);
        }
        pthread_mutex_lock(&locks[pair]);
        for (unsigned burst = r % 4; burst && written[pair] < kBytes; burst--) {
            unsigned char c = (unsigned char)(1 + written[pair]++ % 255);
            CHECK_EQ(write(out[pair], &c, 1), 1);
        }
        if (r % 16 == 5 && written[pair] < kBytes) {  // its readers are there until all is written
            CHECK_EQ(pthread_kill(readers[pair][r / 16 % readers_of(pair)], r & 64 ? SIGUSR1 : SIGUSR2), 0);
        }
        pthread_mutex_unlock(&locks[pair]);
        if (r >> 25 == 2) {
            pid_t pid = fork();
            CHECK_OK(pid);
            if (!pid) _exit(7);
            int status;
            while (waitpid(pid, &status, 0) == -1) CHECK_EQ(errno, EINTR);
            CHECK_EQ(WEXITSTATUS(status), 7);
        }
        left = 0;
        for (int i = 0; i < kPairs; i++) left += __atomic_load_n(&written[i], __ATOMIC_RELAXED) < kBytes;
    }
    return NULL;
}

static void tcp_pair(int two[2]) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_OK(bind(listener, (struct sockaddr*)&a, sizeof a));
    CHECK_OK(listen(listener, 1));
    CHECK_OK(getsockname(listener, (struct sockaddr*)&a, &length));
    two[1] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_OK(connect(two[1], (struct sockaddr*)&a, sizeof a));
    CHECK_OK(two[0] = accept(listener, NULL, NULL));
    close(listener);
}

int main(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR2, &action, NULL);
    for (long i = 0; i < kPairs; i++) {
        int two[2];
        switch (i % kKinds) {
            case 0: CHECK_OK(pipe(two)); break;
            case 1: CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, two)); break;
            case 2: CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, two)); break;
            case 3: CHECK_OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, two)); break;
            default: tcp_pair(two);
        }
        in[i] = two[0];
        out[i] = two[1];
        pthread_mutex_init(&locks[i], NULL);
    }
    for (long i = 0; i < kPairs; i++)
        for (int k = 0; k < readers_of(i); k++) readers[i][k] = start(reader, (void*)i);
    pthread_t writers[kWriters];
    for (long i = 0; i < kWriters; i++) writers[i] = start(writer, (void*)i);
    for (int i = 0; i < kWriters; i++) finish(writers[i]);
    long expected = 0;
    for (int i = 0; i < kBytes; i++) expected += 1 + i % 255;
    for (int i = 0; i < kPairs; i++) {
        for (int k = 0; k < readers_of(i); k++) CHECK_EQ(write(out[i], "", 1), 1);
        for (int k = 0; k < readers_of(i); k++) finish(readers[i][k]);
        CHECK_EQ(counts[i], kBytes);
        CHECK_EQ(sums[i], expected);
    }
    say("ok");
}
