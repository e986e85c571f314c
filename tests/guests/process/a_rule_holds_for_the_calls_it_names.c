// a_rule_holds_for_the_calls_it_names.c - `nth` and `probability` of a policy: calls are counted by process, a child begins anew, threads
// count together; chance keeps to its share, differs between processes and is the same in each run with one seed.
// TEST: native=skip ocrun="-c ${ROOT}/tests/guests/process/rules_for_some_calls.json" needs=policy
#include "../check.h"

static unsigned pattern(int calls, int* hits) {
    unsigned hash = 0;
    for (int i = 0; i < calls; i++) {
        int hit = syscall(SYS_umask, 022) == 12345;
        *hits += hit;
        hash = hash * 31 + hit;
    }
    return hash;
}

static void numbered(void) {
    for (int i = 1; i <= 5; i++) {
        long r = syscall(SYS_getsid, 0);
        CHECK((r == -1) == (i == 3));
        if (i == 3) CHECK_EQ(errno, EIO);
    }
    for (int i = 1; i <= 10; i++) CHECK((syscall(SYS_getpgid, 0) == 77) == (i == 2 || i == 4 || i == 6));
}

static void* four_hundred(void* hits) {
    for (int i = 0; i < 400; i++)
        if (syscall(SYS_getpriority, PRIO_PROCESS, 0) == -1 && errno == ENOMEM) __atomic_add_fetch((int*)hits, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void* sleeper(void* out) {
    struct timespec t = {0, 1000000};
    *(int*)out = syscall(SYS_nanosleep, &t, NULL) ? errno : 0;
    return NULL;
}

int main(void) {
    int hits = 0;
    numbered();
    CHECK_EQ(pattern(2000, &hits), 0xef784201);
    CHECK(hits > 350 && hits < 650);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        int of_child = 0;
        numbered();
        CHECK_EQ(pattern(2000, &of_child), 0xb697ac8f);
        CHECK(of_child > 350 && of_child < 650);
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);

    // From the 101st call of all threads together every second on average.
    pthread_t threads[5];
    int denied = 0, errors[5];
    for (int i = 0; i < 5; i++) CHECK_EQ(pthread_create(&threads[i], NULL, four_hundred, &denied), 0);
    for (int i = 0; i < 5; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK(denied > 750 && denied < 1150);
    int refused = 0;
    for (int i = 0; i < 5; i++) CHECK_EQ(pthread_create(&threads[i], NULL, sleeper, &errors[i]), 0);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
        CHECK(errors[i] == 0 || errors[i] == EPERM);
        refused += errors[i] == EPERM;
    }
    CHECK_EQ(refused, 1);
}
