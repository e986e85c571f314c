// the_shadow_of_address_sanitizer_can_be_mapped.c - programs built with -fsanitize=address map their shadow at fixed addresses from
// 0x7fff7000 up.
#include "check.h"

int main(void) {
    char* low = mmap((void*)0x7fff7000, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0);
    CHECK_EQ(low, 0x7fff7000);
    low[0] = low[0xffff] = 1;
    CHECK_OK(munmap(low, 0x10000));
    say("ok");
}
