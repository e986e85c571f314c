// TEST: status=SIGTRAP
// int3 does not happen again when the handler returns: with its signal blocked the process dies on the spot.
#include "../check.h"

int main(void) {
    block_signal(SIGTRAP);
    __asm__ volatile("int3");
    say("went on after int3");
}
