// a_thread_may_unshare_directory_and_descriptors.c - its own from then on, its new threads' too; the others keep theirs.
#include "check.h"

static int fds[2];
static pthread_barrier_t meet;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static int turn;

static void take_turn(int mine) {
    pthread_mutex_lock(&lock);
    while (turn % 3 != mine) pthread_cond_wait(&turned, &lock);
    turn++;
    pthread_cond_broadcast(&turned);
    pthread_mutex_unlock(&lock);
}

static void* heir(void* arg) {
    char where[64], c;
    CHECK(getcwd(where, sizeof where) && !strcmp(where, "/"));
    CHECK_ERR(fcntl(fds[1], F_GETFD), EBADF);
    CHECK_EQ(read(fds[0], &c, 1), 1);  // waits
    CHECK_EQ(c, 'b');
    for (int i = 0; i < 20; i++) take_turn(2);
    return NULL;
}

static void* apart(void* arg) {
    CHECK_OK(unshare(CLONE_FS | CLONE_FILES));
    CHECK_OK(chdir("/"));
    umask(077);
    CHECK_OK(close(fds[1]));
    char c;
    pthread_barrier_wait(&meet);
    CHECK_EQ(read(fds[0], &c, 1), 1);  // waits
    CHECK_EQ(c, 'a');
    sleep_ms(5);
    pthread_t t = start(heir, NULL);
    pthread_barrier_wait(&meet);
    for (int i = 0; i < 20; i++) take_turn(1);
    finish(t);
    CHECK_ERR(fcntl(fds[1], F_GETFD), EBADF);
    pid_t child = fork();
    if (child == 0) _exit(fcntl(fds[1], F_GETFD) == -1 && fcntl(fds[0], F_GETFD) == 0 ? 5 : 1);
    CHECK_EXIT(child, 5);
    return NULL;
}

int main(void) {
    char before[256], now[256];
    CHECK(getcwd(before, sizeof before));
    make_pipe(fds);
    CHECK_0(pthread_barrier_init(&meet, NULL, 2));
    for (int round = 0; round < 5; round++) {
        turn = 0;
        pthread_t t = start(apart, NULL);
        pthread_barrier_wait(&meet);
        CHECK_EQ(fcntl(fds[1], F_GETFD), 0);
        sleep_ms(5);
        CHECK_EQ(write(fds[1], "a", 1), 1);
        pthread_barrier_wait(&meet);
        sleep_ms(2);
        CHECK_EQ(write(fds[1], "b", 1), 1);
        for (int i = 0; i < 20; i++) take_turn(0);
        finish(t);
        CHECK(getcwd(now, sizeof now) && !strcmp(now, before));
        mode_t mask = umask(022);
        CHECK(mask != 077);
        umask(mask);
    }
    say("ok");
}
