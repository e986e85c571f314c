// process_settings_are_kept.c - prctl, umask, chdir, rlimits, personality, prlimit by pid, dumpable, no_new_privs,
// keepcaps.
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

#include "check.h"

static void* from_thread(void* arg) {
    struct rlimit limit;
    char where[4096];
    CHECK_OK(chdir("/"));
    umask(027);
    CHECK_OK(getrlimit(RLIMIT_NPROC, &limit));
    limit.rlim_cur = limit.rlim_max == RLIM_INFINITY ? 12345 : limit.rlim_max;
    CHECK_OK(setrlimit(RLIMIT_NPROC, &limit));
    CHECK(getcwd(where, sizeof where) && strcmp(where, "/") == 0);
    return (void*)limit.rlim_cur;
}

int main(void) {
    struct rlimit limit;
    struct utsname name;
    char where[4096];
    rlim_t want = (rlim_t)finish(start(from_thread, NULL));
    CHECK_OK(prlimit(0, RLIMIT_NPROC, NULL, &limit));
    CHECK(limit.rlim_cur == want);
    CHECK_OK(prlimit(getpid(), RLIMIT_NPROC, NULL, &limit));
    CHECK(limit.rlim_cur == want);
    CHECK(getcwd(where, sizeof where) && strcmp(where, "/") == 0);
    CHECK_EQ(umask(022), 027);
    say("dumpable %d", prctl(PR_GET_DUMPABLE));
    CHECK_OK(prctl(PR_SET_DUMPABLE, 0));
    CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
    CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
    say("no_new_privs %d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    say("personality %#x", personality(0xffffffff));
    CHECK_OK(prctl(PR_SET_TIMERSLACK, 77777));
    CHECK_EQ(prctl(PR_GET_TIMERSLACK), 77777);
    CHECK_OK(uname(&name));
    say("%s %s", name.sysname, name.machine);
    CHECK_ERR(prctl(99999), EINVAL);
}
