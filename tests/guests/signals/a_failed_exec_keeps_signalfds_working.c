// An exec that the kernel refuses late (too long an argument) leaves signals as they were: a signalfd in a threaded
// process still gets its own.
#include <sys/signalfd.h>

#include "../check.h"

static void* waits(void* arg) {
    for (;;) pause();
    return NULL;
}

int main(void) {
    block_signal(SIGUSR1);
    sigset_t set = signal_set(SIGUSR1, 0);
    start(waits, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    CHECK_OK(fd);
    static char text[200000];
    memset(text, 'x', sizeof text - 1);
    char* args[] = {(char*)"true", text, NULL};
    CHECK_ERR(execv("/bin/true", args), E2BIG);
    CHECK_OK(kill(getpid(), SIGUSR1));
    struct signalfd_siginfo info;
    CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
    CHECK_EQ(info.ssi_signo, SIGUSR1);
    say("ok");
}
