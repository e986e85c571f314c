// A storm of signals without SA_RESTART: a call that does not wait is not interrupted, alone and beside another thread.
#include "../check.h"

static volatile long handled;
static void count(int sig) {
    (void)sig;
    handled++;
}
static void* parked(void* p) {
    block_signal(SIGALRM);
    sem_wait(p);
    return NULL;
}
static void read_and_write(void) {
    char block[64];
    int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);
    int file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600), fd[2];
    CHECK(zero >= 0 && null >= 0 && file >= 0 && pipe(fd) == 0);
    struct itimerval every = {{0, 100}, {0, 100}}, off = {{0, 0}, {0, 0}};
    long before = handled;
    CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
    for (int i = 0; i < 3000 || handled < before + 20; i++) {
        CHECK(read(zero, block, sizeof block) == sizeof block);
        CHECK(write(null, block, sizeof block) == sizeof block);
        CHECK(pwrite(file, block, sizeof block, 0) == sizeof block);
        CHECK(pread(file, block, sizeof block, 0) == sizeof block);
        CHECK(write(fd[1], block, sizeof block) == sizeof block);
        CHECK(read(fd[0], block, sizeof block) == sizeof block);
    }
    CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
    close(zero), close(null), close(file), close(fd[0]), close(fd[1]);
}

int main(void) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = count;
    CHECK(sigaction(SIGALRM, &a, NULL) == 0);
    read_and_write();
    sem_t end;
    sem_init(&end, 0, 0);
    pthread_t t;
    CHECK(pthread_create(&t, NULL, parked, &end) == 0);
    read_and_write();
    sem_post(&end);
    CHECK(pthread_join(t, NULL) == 0);
    say("ok");
}
