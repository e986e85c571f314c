// poll_of_proc_files_tells_what_is_new.c - /proc/sys/kernel/hostname and /proc/self/mounts tell each open file once of a change; who
// waits in poll is told.
// TEST: needs=root
#include <poll.h>
#include <sys/mount.h>

#include "check.h"

static void* pauses(void* arg) {
    for (;;) pause();
    return arg;
}

static void wait_for_news(const char* name, int go) {
    int fd = open(name, O_RDONLY);
    CHECK_OK(fd);
    char text[4096];
    while (read(fd, text, sizeof text) > 0) {
    }
    CHECK_EQ(write(go, "g", 1), 1);
    struct pollfd p = {fd, POLLPRI, 0};
    CHECK_EQ(poll(&p, 1, -1), 1);
    CHECK(p.revents & POLLPRI);
    close(fd);
}

int main(void) {
    CHECK_OK(unshare(CLONE_NEWUTS | CLONE_NEWNS));
    CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    int go[2];
    CHECK_OK(pipe(go));
    pid_t child = fork();
    CHECK_OK(child);
    if (child == 0) {
        char c;
        CHECK_EQ(read(go[0], &c, 1), 1);
        settle();
        CHECK_OK(sethostname("changed", 7));
        CHECK_EQ(read(go[0], &c, 1), 1);
        settle();
        CHECK_OK(mount("none", "/mnt", "tmpfs", 0, NULL));
        _exit(0);
    }
    start(pauses, NULL);
    wait_for_news("/proc/sys/kernel/hostname", go[1]);
    wait_for_news("/proc/self/mounts", go[1]);
    CHECK_EXIT(child, 0);
    say("ok");
}
