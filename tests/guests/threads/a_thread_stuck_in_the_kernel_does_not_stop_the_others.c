// A thread is stuck in the kernel, out of reach of any signal, until another thread helps it out of there.
// TEST: needs=root
//
// uname(2) fills a page whose fault only a userfaultfd answers: the thread sleeps in the middle of a call that nobody expects
// to wait. The others must run, sleep and wake each other meanwhile.
#include "../check.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { kRounds = 3, kSteps = 50 };

static char *page;
static int inside, steps;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stepped = PTHREAD_COND_INITIALIZER;

static void *stuck(void *unused) {
    __atomic_store_n(&inside, 1, __ATOMIC_SEQ_CST);
    CHECK(syscall(SYS_uname, page) == 0);
    __atomic_store_n(&inside, 0, __ATOMIC_SEQ_CST);
    return unused;
}

static void *stepper(void *unused) {
    for (int i = 0; i < kSteps; i++) {
        struct timespec ms = {0, 200000};
        CHECK(nanosleep(&ms, NULL) == 0);
        pthread_mutex_lock(&lock);
        steps++;
        pthread_cond_signal(&stepped);
        pthread_mutex_unlock(&lock);
    }
    return unused;
}

int main(void) {
    long size = sysconf(_SC_PAGESIZE);
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    CHECK(fd >= 0);
    struct uffdio_api api = {.api = UFFD_API};
    CHECK(ioctl(fd, UFFDIO_API, &api) == 0);
    page = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    struct uffdio_register area = {.range = {(unsigned long)page, (unsigned long)size}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    CHECK(ioctl(fd, UFFDIO_REGISTER, &area) == 0);
    for (int round = 0; round < kRounds; round++) {
        CHECK(madvise(page, (size_t)size, MADV_DONTNEED) == 0);
        steps = 0;
        pthread_t a, b;
        CHECK(pthread_create(&a, NULL, stuck, NULL) == 0);
        while (!__atomic_load_n(&inside, __ATOMIC_SEQ_CST)) sched_yield();
        CHECK(pthread_create(&b, NULL, stepper, NULL) == 0);
        pthread_mutex_lock(&lock);
        while (steps < kSteps) pthread_cond_wait(&stepped, &lock);
        pthread_mutex_unlock(&lock);
        CHECK(__atomic_load_n(&inside, __ATOMIC_SEQ_CST) == 1);
        struct uffdio_zeropage zero = {.range = area.range};
        CHECK(ioctl(fd, UFFDIO_ZEROPAGE, &zero) == 0);
        pthread_join(a, NULL);
        pthread_join(b, NULL);
        CHECK(inside == 0);
        CHECK(strcmp(((struct utsname *)page)->sysname, "Linux") == 0);
    }
    puts("ok");
    return 0;
}
