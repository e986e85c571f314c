// A mapping made for a stack is ordinary memory: protections, faults, unmapping, moving and contents are as mmap(2) and its
// relatives say, whatever is done to parts of it.
#include "../check.h"

#include <setjmp.h>

#define PAGE 4096L
#define PAGES 16L

static sigjmp_buf back;
static int code;
static char* place;

static void on_fault(int sig, siginfo_t* info, void* context) {
    code = info->si_code;
    place = info->si_addr;
    siglongjmp(back, 1);
}

// 0: readable and writable; else the si_code of the fault
static int touch(char* at) {
    if (sigsetjmp(back, 1)) {
        CHECK(place == at);
        return code;
    }
    *(volatile char*)at = *(volatile char*)at;
    return 0;
}

static char* stack(void) {
    char* m = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    CHECK(m != MAP_FAILED);
    CHECK_EQ((long)m % PAGE, 0);
    return m;
}

static char* guarded(long low, long high) {
    char* m = stack();
    CHECK_OK(mprotect(m + low * PAGE, (PAGES - low - high) * PAGE, PROT_READ | PROT_WRITE));
    return m;
}

static void expect(char* m, const char* map) {
    for (long i = 0; map[i]; i++) {
        int got = touch(m + i * PAGE + 8);
        int want = map[i] == 'w' ? 0 : map[i] == '-' ? SEGV_ACCERR : SEGV_MAPERR;
        if (got != want) check_failed(__FILE_NAME__, __LINE__, "page %ld of %s: %d", i, map, got);
    }
}

static void protections(void) {
    char* m = stack();
    expect(m, "----------------");
    CHECK_OK(mprotect(m, PAGES * PAGE, PROT_NONE));
    expect(m, "----------------");
    CHECK_OK(mprotect(m + PAGE, (PAGES - 1) * PAGE, PROT_READ | PROT_WRITE));
    expect(m, "-wwwwwwwwwwwwwww");
    m[PAGE] = 7;
    CHECK_OK(mprotect(m, 2 * PAGE, PROT_READ | PROT_WRITE));  // the guard goes
    expect(m, "wwwwwwwwwwwwwwww");
    CHECK(m[PAGE] == 7 && m[0] == 0);
    m[0] = 5;
    CHECK_OK(mprotect(m, 2 * PAGE, PROT_NONE));  // a wider one comes
    expect(m, "--wwwwwwwwwwwwww");
    CHECK_OK(mprotect(m, PAGE, PROT_READ | PROT_WRITE));
    expect(m, "w-wwwwwwwwwwwwww");
    CHECK_OK(mprotect(m + PAGE, PAGE, PROT_READ | PROT_WRITE));
    CHECK(m[0] == 5 && m[PAGE] == 7);  // contents outlive PROT_NONE
    CHECK_OK(munmap(m, PAGES * PAGE));
    expect(m, "................");

    m = guarded(4, 0);
    CHECK_OK(mprotect(m + PAGE, PAGE, PROT_READ | PROT_WRITE));  // a hole in the guard
    expect(m, "-w--wwwwwwwwwwww");
    CHECK_OK(munmap(m, PAGES * PAGE));
    m = guarded(0, 3);
    expect(m, "wwwwwwwwwwwww---");
    CHECK_OK(munmap(m, PAGES * PAGE));
    m = guarded(2, 2);
    expect(m, "--wwwwwwwwwwww--");
    CHECK_OK(munmap(m, PAGES * PAGE));
    m = guarded(0, 0);
    expect(m, "wwwwwwwwwwwwwwww");
    CHECK_OK(munmap(m, PAGES * PAGE));
    m = stack();
    CHECK_OK(mprotect(m + PAGE, (PAGES - 1) * PAGE, PROT_READ));
    CHECK_EQ(touch(m + PAGE), SEGV_ACCERR);
    CHECK_EQ(*(volatile char*)(m + PAGE), 0);
    CHECK_OK(munmap(m, PAGES * PAGE));
    CHECK(mprotect(m, PAGE, PROT_READ) == -1 && errno == ENOMEM);
    CHECK(mprotect(m + 1, PAGE, PROT_READ) == -1 && errno == EINVAL);
}

static void parts_go(void) {
    char* m = guarded(1, 0);
    m[9 * PAGE] = 9;
    CHECK_OK(munmap(m + 4 * PAGE, 2 * PAGE));
    expect(m, "-www..wwwwwwwwww");
    CHECK_OK(munmap(m, PAGE));
    CHECK_OK(munmap(m + 15 * PAGE, PAGE));
    expect(m, ".www..wwwwwwwww.");
    CHECK_EQ(m[9 * PAGE], 9);
    char* other = stack();  // never over what is still there
    CHECK_OK(mprotect(other, PAGES * PAGE, PROT_READ | PROT_WRITE));
    memset(other, 1, PAGES * PAGE);
    CHECK_EQ(m[9 * PAGE], 9);
    CHECK_EQ(m[PAGE], 0);
    CHECK_OK(munmap(other, PAGES * PAGE));
    CHECK_OK(munmap(m, PAGES * PAGE));  // holes are no mistake
    expect(m, "................");
    m = stack();
    CHECK_OK(munmap(m, 4 * PAGE));  // before it is known what it is for
    expect(m, "....------------");
    CHECK_OK(munmap(m + 4 * PAGE, 12 * PAGE));
    expect(m, "................");
}

static void mapped_over_and_moved(void) {
    char* m = guarded(2, 0);
    m[8 * PAGE] = 8;
    char* f = mmap(m + PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    CHECK(f == m + PAGE);
    expect(m, "-wwwwwwwwwwwwwww");
    CHECK(mmap(m, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED && errno == EEXIST);
    char* target = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(target != MAP_FAILED);
    CHECK(mremap(m + 3 * PAGE, 13 * PAGE, 13 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target);
    CHECK_EQ(target[5 * PAGE], 8);
    expect(m, "-ww.............");
    CHECK_OK(munmap(target, PAGES * PAGE));
    CHECK_OK(munmap(m, 3 * PAGE));

    m = guarded(1, 0);
    m[PAGE] = 3;
    CHECK(mremap(m + PAGE, 15 * PAGE, 4 * PAGE, 0) == m + PAGE);
    expect(m, "-wwww...........");
    char* moved = mremap(m + PAGE, 4 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED);
    CHECK(moved[0] == 3 && moved[63 * PAGE] == 0);
    CHECK_OK(munmap(moved, 64 * PAGE));
    CHECK_OK(munmap(m, PAGE));

    // a hint falls on nothing that is there
    m = stack();
    char* hinted = mmap(m, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(hinted != MAP_FAILED && (hinted < m || hinted >= m + PAGES * PAGE));
    CHECK_OK(mprotect(m, PAGES * PAGE, PROT_READ | PROT_WRITE));
    expect(m, "wwwwwwwwwwwwwwww");
    CHECK_OK(munmap(hinted, PAGE));
    CHECK_OK(munmap(m, PAGES * PAGE));
}

static void advice_and_locks(void) {
    char* m = guarded(1, 0);
    memset(m + PAGE, 6, 15 * PAGE);
    CHECK_OK(madvise(m, 8 * PAGE, MADV_DONTNEED));  // the guard included
    CHECK(m[PAGE] == 0 && m[7 * PAGE] == 0 && m[8 * PAGE] == 6);
    expect(m, "-wwwwwwwwwwwwwww");
    CHECK(madvise(m, PAGE, 12345) == -1 && errno == EINVAL);
    CHECK_OK(mlock(m + PAGE, PAGE));
    CHECK_OK(munlock(m + PAGE, PAGE));
    unsigned char there[PAGES];
    CHECK_OK(mincore(m, PAGES * PAGE, there));
    CHECK((there[8] & 1) && !(there[0] & 1));
    // a child sees the same, and changes its own copy alone
    pid_t child = fork();
    CHECK_OK(child);
    if (!child) {
        expect(m, "-wwwwwwwwwwwwwww");
        CHECK(m[8 * PAGE] == 6);
        CHECK_OK(mprotect(m, PAGE, PROT_READ | PROT_WRITE));
        m[8 * PAGE] = 1;
        char* mine = guarded(1, 0);
        CHECK(mine + PAGES * PAGE <= m || mine >= m + PAGES * PAGE);
        CHECK_OK(munmap(m, PAGES * PAGE));
        expect(m, "................");
        expect(mine, "-wwwwwwwwwwwwwww");
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    expect(m, "-wwwwwwwwwwwwwww");
    CHECK(m[8 * PAGE] == 6);
    // the kernel refuses what it may not touch
    int p[2];
    CHECK_OK(pipe(p));
    CHECK_EQ(write(p[1], "x", 1), 1);
    CHECK(read(p[0], m, 1) == -1 && errno == EFAULT);
    CHECK_OK(madvise(m, PAGES * PAGE, MADV_WIPEONFORK));
    child = fork();
    CHECK_OK(child);
    if (!child) {
        expect(m, "-wwwwwwwwwwwwwww");
        _exit(m[8 * PAGE]);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_OK(munmap(m, PAGES * PAGE));
    expect(m, "................");
}

static void many_in_disorder(void) {
    enum { N = 300 };
    static char* m[N];
    for (int i = 0; i < N; i++) {
        m[i] = guarded(1, 0);
        memset(m[i] + PAGE, i & 127, 15 * PAGE);
    }
    for (int i = 0; i < N; i += 3) CHECK_OK(munmap(m[i], PAGES * PAGE));
    for (int i = 1; i < N; i += 3) CHECK_OK(munmap(m[i], PAGES * PAGE));
    for (int i = 2; i < N; i += 3) CHECK(m[i][PAGE] == (i & 127) && m[i][15 * PAGE] == (i & 127));
    for (int i = 0; i < N; i += 3) {
        m[i] = guarded(1, 0);
        for (long k = 1; k < PAGES; k++) CHECK(m[i][k * PAGE] == 0);  // new memory is zero
        m[i][PAGE] = 77;
    }
    for (int i = 2; i < N; i += 3) CHECK(m[i][PAGE] == (i & 127) && m[i][15 * PAGE] == (i & 127));
}

int main(void) {
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &act, NULL);
    protections();
    parts_go();
    mapped_over_and_moved();
    advice_and_locks();
    many_in_disorder();
    return 0;
}
