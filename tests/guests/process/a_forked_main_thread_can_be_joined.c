// The only thread of a fork's child starts another and ends; that one joins it.
#include "../check.h"

static pthread_t main_thread;

static void* joins(void* arg) {
    CHECK_0(pthread_join(main_thread, NULL));
    _exit(3);
}

int main(void) {
    pid_t p = fork();
    if (!p) {
        main_thread = pthread_self();
        start(joins, NULL);
        pthread_exit(NULL);
    }
    CHECK_EXIT(p, 3);
    say("ok");
}
