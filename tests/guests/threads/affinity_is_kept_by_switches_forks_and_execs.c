// affinity_is_kept_by_switches_forks_and_execs.c - threads bound to different processors and unbound ones switch all the time: each
// runs where it asked to, and what they fork, execute and start inherits exactly that.
// TEST: link=dynamic
#include "check.h"

enum { kRounds = 400 };
static cpu_set_t all;
static int cpus[CPU_SETSIZE], count;
static char own_path[PATH_MAX];

static cpu_set_t only(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return set;
}

static cpu_set_t mine(void) {
    cpu_set_t set;
    CHECK_OK(sched_getaffinity(0, sizeof set, &set));
    return set;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static long rounds;

// forces a switch to the others
static void next_round(void) {
    pthread_mutex_lock(&lock);
    rounds++;
    pthread_cond_broadcast(&turn);
    struct timespec t = deadline_in(CLOCK_REALTIME, 50000);
    pthread_cond_timedwait(&turn, &lock, &t);
    pthread_mutex_unlock(&lock);
}

static void children_inherit(cpu_set_t expected) {
    pid_t p = fork();
    CHECK_OK(p);
    if (p == 0) {
        cpu_set_t set = mine();
        _exit(CPU_EQUAL(&set, &expected) ? 0 : 1);
    }
    CHECK_EXIT(p, 0);
    p = vfork();
    CHECK_OK(p);
    if (p == 0) {
        char text[24];
        snprintf(text, sizeof text, "%d", CPU_COUNT(&expected));
        execl(own_path, "again", text, NULL);
        _exit(9);
    }
    CHECK_EXIT(p, 0);
}

static void* inherits(void* arg) {
    cpu_set_t set = mine();
    CHECK(CPU_EQUAL(&set, (cpu_set_t*)arg));
    return NULL;
}

static void* bound(void* arg) {
    int cpu = cpus[(long)arg % count];
    cpu_set_t set = only(cpu), now;
    CHECK_OK(sched_setaffinity(0, sizeof set, &set));
    for (int i = 0; i < kRounds; i++) {
        CHECK_EQ(sched_getcpu(), cpu);
        if (i % 10 == 0) next_round();
        if (i % 100 == 50) {
            children_inherit(set);
            finish(start(inherits, &set));
        }
        now = mine();
        CHECK(CPU_EQUAL(&now, &set));
    }
    return NULL;
}

static void* unbound(void* arg) {
    for (int i = 0; i < kRounds; i++) {
        if (i % 10 == 0) next_round();
        if (i % 100 == 50) children_inherit(all);
        cpu_set_t now = mine();
        CHECK(CPU_EQUAL(&now, &all));
    }
    return NULL;
}

int main(int argc, char** argv) {
    all = mine();
    if (argc > 1) return CPU_COUNT(&all) == atoi(argv[1]) ? 0 : 1;
    CHECK_OK(readlink("/proc/self/exe", own_path, sizeof own_path - 1));
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &all)) cpus[count++] = i;
    pthread_t t[8];
    for (long i = 0; i < 8; i++) t[i] = start(i % 4 == 3 ? unbound : bound, (void*)i);
    for (int i = 0; i < 8; i++) finish(t[i]);
    cpu_set_t after = mine();
    CHECK(CPU_EQUAL(&after, &all));
    say("ok");
}
