// exec_from_a_thread_replaces_the_whole_process.c - same pid, one thread, the others are gone, their locks and
// descriptors too.
#include <dirent.h>

#include "check.h"

static pthread_barrier_t started;
static char self[4096], pid_text[16];

static void* stay(void* arg) {
    pthread_barrier_wait(&started);
    if (arg) sleep(1000);
    pause();
    return NULL;
}

static void* do_exec(void* arg) {
    pthread_barrier_wait(&started);
    CHECK(gettid() != getpid());
    say("exec from a thread");
    execl(self, self, pid_text, NULL);
    CHECK(!"reached");
    return NULL;
}

int main(int argc, char** argv) {
    if (argc == 2) {
        CHECK_EQ(getpid(), atoi(argv[1]));
        CHECK_EQ(gettid(), getpid());
        int count = 0;
        DIR* d = opendir("/proc/self/task");
        for (struct dirent* e; (e = readdir(d));) count += e->d_name[0] != '.';
        say("threads %d", count);
        return 5 - 5;
    }
    CHECK_OK(readlink("/proc/self/exe", self, sizeof self - 1));
    snprintf(pid_text, sizeof pid_text, "%d", getpid());
    pthread_barrier_init(&started, NULL, 22);
    for (long i = 0; i < 20; i++) start(stay, (void*)(i % 2));
    start(do_exec, NULL);
    stay(NULL);
}
