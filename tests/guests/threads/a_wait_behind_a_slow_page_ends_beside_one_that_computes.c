// A thread is kept in the kernel by a page that comes late (userfaultfd), and then begins to wait for a time, while another one computes
// without ever making a call: the wait ends although its worker's place is taken.
// TEST: timeout=30 needs=root,preemption
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#include "check.h"

static volatile int done, going;
static volatile unsigned long sum;
static struct timespec* late;

static void* sleeper(void* arg) {
    going = 1;
    CHECK_OK(syscall(SYS_nanosleep, late, NULL));
    done = 1;
    return arg;
}

int main(void) {
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    if (fd == -1) {
        CHECK(errno == ENOSYS || errno == EPERM);
        say("no userfaultfd here");
        return 0;
    }
    struct uffdio_api api = {.api = UFFD_API};
    CHECK_OK(ioctl(fd, UFFDIO_API, &api));
    late = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(late != MAP_FAILED);
    struct uffdio_register where = {.range = {(uintptr_t)late, 4096}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    CHECK_OK(ioctl(fd, UFFDIO_REGISTER, &where));
    pid_t pid = fork();
    CHECK_OK(pid);
    if (!pid) {
        usleep(400000);
        static char page[4096] __attribute__((aligned(4096)));
        *(struct timespec*)page = (struct timespec){0, 20000000};
        struct uffdio_copy copy = {.dst = (uintptr_t)late, .src = (uintptr_t)page, .len = sizeof page};
        _exit(ioctl(fd, UFFDIO_COPY, &copy) != 0);
    }
    pthread_t t = start(sleeper, NULL);
    while (!going) sched_yield();
    sched_yield();
    unsigned long h = 1;  // nothing like a loop that waits
    while (!done)
        for (int i = 0; i < 1000; i++) h = h * 6364136223846793005ul + 1442695040888963407ul;
    sum += h;
    finish(t);
    CHECK_EXIT(pid, 0);
    say("ok");
}
