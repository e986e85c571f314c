// TEST: native=skip timeout=150 configs=w1
// Stacks mapped in number beyond vm.max_map_count, unmapped in an order that leaves as many holes as there can be: no call
// fails, what stays keeps its contents, what is mapped anew is zero, and the program can still map something else.
#include "../check.h"

#define N 100000
#define PAGE 4096L
#define BYTES (4 * PAGE)
static char* m[N];

static char* stack(void) {
    char* s = mmap(NULL, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    CHECK(s != MAP_FAILED);
    CHECK_OK(mprotect(s + PAGE, BYTES - PAGE, PROT_READ | PROT_WRITE));
    return s;
}

static void fill(long i) {
    CHECK(m[i][2 * PAGE] == 0 && m[i][3 * PAGE] == 0);
    *(long*)(m[i] + 2 * PAGE) = i;
    m[i][3 * PAGE] = 1;
}

int main(void) {
    for (long i = 0; i < N; i++) m[i] = stack();
    for (long i = 0; i < N; i++) fill(i);
    for (long i = 0; i < N; i += 2) CHECK_OK(munmap(m[i], BYTES));
    for (long i = 1; i < N; i += 2) CHECK(*(long*)(m[i] + 2 * PAGE) == i && m[i][3 * PAGE] == 1);
    for (int i = 0; i < 1000; i++) {
        char* other = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(other != MAP_FAILED);
        CHECK_OK(mprotect(other, PAGE, PROT_READ | PROT_WRITE));
    }
    for (long i = 0; i < N; i += 2) m[i] = stack();
    for (long i = 0; i < N; i += 2) fill(i);
    for (long i = 1; i < N; i += 2) CHECK(*(long*)(m[i] + 2 * PAGE) == i && m[i][3 * PAGE] == 1);
    for (long i = 0; i < N; i += 2) CHECK_OK(munmap(m[i], BYTES));
    for (long i = 1; i < N; i += 2) CHECK_OK(munmap(m[i], BYTES));
    for (long i = 0; i < N; i++) {  // with every hole grown together all is gone
        unsigned char there;
        CHECK(mincore(m[i], PAGE, &there) == -1 && errno == ENOMEM);
    }
    return 0;
}
