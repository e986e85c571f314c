// faults_carry_their_true_address_and_code.c - SIGSEGV (MAPERR, ACCERR), SIGBUS, SIGFPE, SIGILL, SIGTRAP, in main and
// threads.
#include <setjmp.h>
#include <ucontext.h>

#include "check.h"

static __thread sigjmp_buf env;
static __thread siginfo_t last;
static __thread uintptr_t ip;

static void keep(int sig, siginfo_t* info, void* context) {
    last = *info;
    ip = ((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP];
    siglongjmp(env, 1);
}

#define FAULT(statement)               \
    do {                               \
        memset(&last, 0, sizeof last); \
        if (sigsetjmp(env, 1) == 0) {  \
            statement;                 \
            CHECK(!"reached");         \
        }                              \
    } while (0)

static void* all(void* arg) {
    char* page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char name[32];
    snprintf(name, sizeof name, "file-%ld", (long)arg);
    int fd = open(name, O_RDWR | O_CREAT, 0600);
    char* file = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    FAULT(*(volatile char*)(page + 123) = 1);
    CHECK(last.si_signo == SIGSEGV && last.si_code == SEGV_ACCERR && last.si_addr == page + 123);
    munmap(page, 8192);
    FAULT(*(volatile char*)0x7123);
    CHECK(last.si_signo == SIGSEGV && last.si_code == SEGV_MAPERR && last.si_addr == (void*)0x7123);
    FAULT(*(volatile char*)(file + 5000) = 1);
    CHECK(last.si_signo == SIGBUS && last.si_code == BUS_ADRERR && last.si_addr == file + 5000);
    FAULT(__asm__ volatile("xor %%ecx, %%ecx; mov $1, %%eax; cltd; idivl %%ecx" ::: "eax", "ecx", "edx"));
    CHECK(last.si_signo == SIGFPE && last.si_code == FPE_INTDIV);
    CHECK((uintptr_t)last.si_addr == ip);
    FAULT(__asm__ volatile("ud2"));
    CHECK(last.si_signo == SIGILL && (uintptr_t)last.si_addr == ip);
    FAULT(__asm__ volatile("int3"));
    CHECK_EQ(last.si_signo, SIGTRAP);
    CHECK_EQ(*(unsigned char*)(ip - 1), 0xcc);
    FAULT(((void (*)(void))0x1000)());
    CHECK(last.si_signo == SIGSEGV && ip == 0x1000 && last.si_addr == (void*)0x1000);
    FAULT(__asm__ volatile("hlt"));
    CHECK(last.si_signo == SIGSEGV && last.si_code == SI_KERNEL);
    munmap(file, 8192);
    close(fd);
    return NULL;
}

int main(void) {
    int sigs[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (int i = 0; i < 5; i++) handle_info(sigs[i], keep, 0);
    all(NULL);
    pthread_t t[6];
    for (long i = 0; i < 6; i++) t[i] = start(all, (void*)(i + 1));
    for (int i = 0; i < 6; i++) finish(t[i]);
    say("ok");
}
