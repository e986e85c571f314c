// address_space_limit_is_respected.c - under RLIMIT_AS a big allocation fails with ENOMEM, a modest program with
// threads runs.
// TEST: link=dynamic,static
#include "check.h"

static void* small(void* arg) {
    char* m = malloc(100000);
    memset(m, 1, 100000);
    sleep_ms(2);
    free(m);
    return NULL;
}

static int inside(void) {
    pthread_attr_t attr;
    pthread_t t[20];
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    for (int i = 0; i < 20; i++) CHECK_0(pthread_create(&t[i], &attr, small, NULL));
    for (int i = 0; i < 20; i++) finish(t[i]);
    CHECK(mmap(NULL, 2ul << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    CHECK_EQ(errno, ENOMEM);
    CHECK(malloc(2ul << 30) == NULL);
    void* m = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(m != MAP_FAILED);
    munmap(m, 64 << 20);
    return 0;
}

int main(int argc, char** argv) {
    if (argc == 2) return inside();
    struct rlimit limit = {1ul << 30, 1ul << 30};
    char self[4096] = {0};
    CHECK_OK(readlink("/proc/self/exe", self, sizeof self - 1));
    CHECK_OK(setrlimit(RLIMIT_AS, &limit));
    pid_t p = fork();
    if (p == 0) {
        execl(self, self, "again", NULL);
        _exit(99);
    }
    CHECK_EXIT(p, 0);
    CHECK_EQ(inside(), 0);
    say("ok");
}
