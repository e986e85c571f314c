// nolibc_program_starts_and_exits.c - no libc, no TLS, inline syscalls: arguments, environment, output, exit code.
// TEST: link=nolibc args="a bc" env="X=y" status=9
#include "nolibc.h"

int guest_main(long argc, char** argv, char** envp) {
    say("hello\n");
    say_number("argc ", argc);
    for (long i = 1; i < argc; i++) {
        say(argv[i]);
        say("\n");
    }
    int found = 0;
    for (; *envp; envp++) found |= (*envp)[0] == 'X' && (*envp)[1] == '=' && (*envp)[2] == 'y';
    say_number("environment ", found);
    struct {
        long s, n;
    } t = {0, 2000000};
    CHECK(sys(NR_nanosleep, &t, 0, 0) == 0);
    CHECK(sys(NR_getpid, 0, 0, 0) == sys(NR_gettid, 0, 0, 0));
    return 9;
}
