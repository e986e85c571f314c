// long_arguments_and_environments_pass_through_exec.c - 1 MiB of argv and envp, empty strings, argc 0.
#include "check.h"

int main(int argc, char** argv) {
    extern char** environ;
    char self[4096] = {0};
    enum { N = 9000 };
    if (argc == 0 || strcmp(argv[0], "") == 0) {
        say("argc %d", argc);
        return 0;
    }
    if (argc > 1) {
        CHECK_EQ(argc, N + 1);
        for (int i = 1; i <= N; i++) {
            char want[128];
            int n = snprintf(want, sizeof want, "%d-%0*d", i, i % 90 + 1, i);
            CHECK(i == 77 ? argv[i][0] == 0 : strcmp(argv[i], want) == 0);
            snprintf(want + n, 2, "e");
            char** e = environ + i - 1;
            CHECK(*e && strlen(*e) == (size_t)n + 1);
        }
        CHECK(environ[N] == NULL);
        char* none[] = {NULL};
        CHECK_OK(readlink("/proc/self/exe", self, sizeof self - 1));
        execve(self, none, none);
        CHECK(!"reached");
    }
    CHECK_OK(readlink("/proc/self/exe", self, sizeof self - 1));
    char **args = calloc(N + 2, sizeof *args), **env = calloc(N + 1, sizeof *env);
    args[0] = "name";
    for (int i = 1; i <= N; i++) {
        args[i] = malloc(128);
        env[i - 1] = malloc(130);
        snprintf(args[i], 128, "%d-%0*d", i, i % 90 + 1, i);
        snprintf(env[i - 1], 130, "%s=", args[i]);
        if (i == 77) args[i][0] = 0;
    }
    execve(self, args, env);
    CHECK(!"reached");
}
