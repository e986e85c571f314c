// TEST: native=skip ocrun="-c ${ROOT}/tests/guests/process/denied_exec.json"
// What the policy answers itself it answers to the child of a vfork as well.
#include <spawn.h>

#include "../check.h"

extern char** environ;

int main(void) {
    char* args[] = {(char*)"echo", (char*)"spawned although denied", NULL};
    pid_t p;
    CHECK_EQ(posix_spawn(&p, "/bin/echo", NULL, NULL, args, environ), EACCES);
    say("ok");
}
