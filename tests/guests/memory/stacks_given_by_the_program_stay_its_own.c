// A stack that the program itself provides is used where it is, and left as it is after the thread.
#include "../check.h"

#define BYTES (256 * 1024)

static void* note_place(void* arg) {
    volatile char here[64 * 1024];  // the end of a thread uses less than this
    here[0] = 'x';
    *(uintptr_t*)arg = (uintptr_t)here;
    return NULL;
}

int main(void) {
    static char in_data[BYTES] __attribute__((aligned(4096)));
    char* heap = aligned_alloc(4096, BYTES);
    char* mapped = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    char* pieces = mmap(NULL, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    CHECK(heap && mapped != MAP_FAILED && pieces != MAP_FAILED);
    CHECK_OK(mprotect(pieces, BYTES, PROT_READ | PROT_WRITE));
    char* stacks[] = {in_data, heap, mapped, pieces};
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 4; i++) {
            pthread_attr_t attr;
            uintptr_t seen = 0;
            memset(stacks[i], round + 1, 4096);  // far below what the thread uses
            pthread_attr_init(&attr);
            CHECK_EQ(pthread_attr_setstack(&attr, stacks[i], BYTES), 0);
            pthread_t t;
            CHECK_EQ(pthread_create(&t, &attr, note_place, &seen), 0);
            CHECK_EQ(pthread_join(t, NULL), 0);
            CHECK(seen > (uintptr_t)stacks[i] && seen < (uintptr_t)stacks[i] + BYTES);
            CHECK(*(char*)seen == 'x');  // nobody took it away
            for (int k = 0; k < 4096; k++) CHECK(stacks[i][k] == round + 1);
        }
    return 0;
}
