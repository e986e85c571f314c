// few_descriptors_are_enough.c - with RLIMIT_NOFILE=16 the program gets all of 3…15, EMFILE after; threads and exec
// still work.
// TEST: link=dynamic,static
#include "check.h"

static void* take_part(void* arg) {
    char c;
    CHECK_EQ(read((int)(long)arg, &c, 1), 1);
    sleep_ms(3);
    return NULL;
}

static int all(void) {
    int fds[2];
    for (int i = 3; i < 16; i++) CHECK_EQ(dup(0), i);
    CHECK_ERR(dup(0), EMFILE);
    CHECK_ERR(open("/dev/null", O_RDONLY), EMFILE);
    CHECK_ERR(pipe(fds), EMFILE);
    CHECK_ERR(dup2(0, 16), EBADF);
    for (int i = 10; i < 16; i++) CHECK_OK(close(i));
    make_pipe(fds);
    pthread_t t[10];
    for (int i = 0; i < 10; i++) t[i] = start(take_part, (void*)(long)fds[0]);
    settle();
    CHECK_EQ(write(fds[1], "0123456789", 10), 10);
    for (int i = 0; i < 10; i++) finish(t[i]);
    CHECK_EQ(system("true | cat | exit 4") >> 8, 4);
    return 0;
}

int main(int argc, char** argv) {
    if (argc == 2) return all();
    struct rlimit limit;
    char self[4096] = {0};
    CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = 16;
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
    CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
    CHECK_EQ(limit.rlim_cur, 16);
    pid_t p = fork();
    if (p == 0) _exit(all());
    CHECK_EXIT(p, 0);
    CHECK_OK(readlink("/proc/self/exe", self, sizeof self - 1));
    limit.rlim_max = 16;
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
    p = fork();
    if (p == 0) {
        execl(self, self, "again", NULL);
        _exit(99);
    }
    CHECK_EXIT(p, 0);
    struct rlimit more = {1 << 30, 1 << 30};
    CHECK(setrlimit(RLIMIT_NOFILE, &more) == -1);
    CHECK_EQ(errno, EPERM);
    say("ok");
}
