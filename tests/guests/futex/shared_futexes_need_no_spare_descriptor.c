// A process-shared semaphore in a threaded process that has used up all its descriptors.
#include "../check.h"

static void* waits(void* arg) {
    for (;;) pause();
    return NULL;
}

int main(void) {
    sem_t* s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK_OK(sem_init(s, 1, 0));
    pid_t p = fork();
    if (!p) {
        sleep_ms(300);
        sem_post(s);
        _exit(0);
    }
    start(waits, NULL);
    struct rlimit r = {64, 64};
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &r));
    while (open("/dev/null", O_RDONLY) >= 0) {
    }
    CHECK_OK(sem_wait(s));
    CHECK_EXIT(p, 0);
    say("ok");
}
