// page_faults_can_be_repaired_by_the_handler.c - a write barrier: mprotect in the handler, the instruction is run
// again; 8 threads.
#include "check.h"

enum { PAGES = 100, THREADS = 8 };
static char* area;
static _Atomic int faults;

static void open_page(int sig, siginfo_t* info, void* context) {
    CHECK((char*)info->si_addr >= area && (char*)info->si_addr < area + THREADS * PAGES * 4096);
    faults++;
    CHECK_OK(mprotect((void*)((uintptr_t)info->si_addr & ~4095ul), 4096, PROT_READ | PROT_WRITE));
}

static void* touch(void* arg) {
    char* mine = area + (long)arg * PAGES * 4096;
    for (int i = 0; i < PAGES; i++) {
        mine[i * 4096 + 7] = i;
        CHECK_EQ(mine[i * 4096 + 7], i);
    }
    return NULL;
}

int main(void) {
    area = mmap(NULL, THREADS * PAGES * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    handle_info(SIGSEGV, open_page, 0);
    pthread_t t[THREADS];
    for (long i = 0; i < THREADS; i++) t[i] = start(touch, (void*)i);
    for (int i = 0; i < THREADS; i++) finish(t[i]);
    say("faults %d", faults);
}
