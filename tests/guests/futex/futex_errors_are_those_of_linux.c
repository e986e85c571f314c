// futex_errors_are_those_of_linux.c - bad addresses, alignment, operations.
#include "futex.h"

int main(void) {
    static int words[2];
    struct timespec soon = timespec_of(ms(1));
    int* misaligned = (int*)((char*)words + 1);
    int* read_only = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int* nothing = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int flag = 0; flag <= FUTEX_PRIVATE_FLAG; flag += FUTEX_PRIVATE_FLAG) {
        CHECK_ERR(futex(misaligned, FUTEX_WAIT | flag, 0, &soon, NULL, 0), EINVAL);
        CHECK_ERR(futex(misaligned, FUTEX_WAKE | flag, 1, NULL, NULL, 0), EINVAL);
        CHECK_ERR(futex(NULL, FUTEX_WAIT | flag, 0, &soon, NULL, 0), EFAULT);
        CHECK_ERR(futex(nothing, FUTEX_WAIT | flag, 0, &soon, NULL, 0), EFAULT);
        CHECK_ERR(futex((int*)-4096L, FUTEX_WAIT | flag, 0, &soon, NULL, 0), EFAULT);
        CHECK_ERR(futex(words, 99 | flag, 0, NULL, NULL, 0), ENOSYS);
        CHECK_EQ(futex(words, FUTEX_WAKE | flag, 0, NULL, NULL, 0), 0);
    }
    CHECK_ERR(futex(read_only, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &soon, NULL, 0), ETIMEDOUT);
    CHECK_ERR(futex(words, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0), ENOSYS);
    say("ok");
}
