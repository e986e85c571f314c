// PR_GET_TID_ADDRESS tells a thread its own address; set_tid_address with it changes nothing, so a join still returns.
#include <sys/prctl.h>

#include "../check.h"

static void* body(void* p) {
    int* address = NULL;
    CHECK(prctl(PR_GET_TID_ADDRESS, &address, 0, 0, 0) == 0);
    CHECK(address && *address == (int)syscall(SYS_gettid));
    CHECK(syscall(SYS_set_tid_address, address) == syscall(SYS_gettid));
    return p;
}

int main(void) {
    int* address = NULL;
    CHECK(prctl(PR_GET_TID_ADDRESS, &address, 0, 0, 0) == 0 && address && *address == getpid());
    for (int i = 0; i < 10; i++) {
        pthread_t t;
        CHECK(pthread_create(&t, NULL, body, NULL) == 0 && pthread_join(t, NULL) == 0);
    }
    say("ok");
}
