// unknown_system_calls_are_enosys.c - numbers without a call: -ENOSYS, also huge and negative ones.
#include "check.h"

int main(void) {
    long numbers[] = {387, 400, 511, 600, 1000, 0xffff, 0x7fffffff, -1, -2};
    for (int i = 0; i < 9; i++) CHECK_ERR(syscall(numbers[i], 1, 2, 3, 4, 5, 6), ENOSYS);
    say("ok");
}
