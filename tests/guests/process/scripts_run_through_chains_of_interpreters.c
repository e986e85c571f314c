// scripts_run_through_chains_of_interpreters.c - #! with an argument, a script as interpreter, argv as Linux builds
// it.
#include "check.h"

static char self[4096];

static void write_script(const char* name, const char* first_line) {
    int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0700);
    CHECK_OK(fd);
    CHECK(write(fd, first_line, strlen(first_line)) == (ssize_t)strlen(first_line));
    CHECK_EQ(write(fd, "\nrest of it\n", 12), 12);
    close(fd);
}

static void run(const char* name) {
    pid_t p = fork();
    if (p == 0) {
        char* argv[] = {"zeroth", "first", "second", NULL};
        execv(name, argv);
        say("%s: %s", name, strerrorname_np(errno));
        _exit(0);
    }
    CHECK_EXIT(p, 0);
}

int main(int argc, char** argv) {
    char line[5000];
    if (argc > 1) {
        for (int i = 1; i < argc; i++) say("  argv[%d] %s", i, argv[i]);
        char* execfn = strrchr(program_invocation_name, '/');
        say("  name %s", execfn ? execfn + 1 : program_invocation_name);
        return 0;
    }
    CHECK_OK(readlink("/proc/self/exe", self, sizeof self - 1));
    CHECK_OK(symlink(self, "program"));
    write_script("plain", "#!program");
    write_script("argument", "#! program  one argument with blanks  ");
    write_script("script-of-script", "#!argument nested");
    write_script("deeper", "#!./script-of-script");
    write_script("tab", "#!\tprogram\t-x\t");
    run("plain");
    run("./argument");
    run("script-of-script");
    run("deeper");
    run("tab");
    // a chain of more than the kernel's limit
    write_script("chain-0", "#!program");
    for (int i = 1; i < 8; i++) {
        char name[32];
        snprintf(line, sizeof line, "#!chain-%d", i - 1);
        snprintf(name, sizeof name, "chain-%d", i);
        write_script(name, line);
    }
    run("chain-3");
    run("chain-4");
    run("chain-7");
    memset(line, 'l', 400);
    memcpy(line, "#!/", 3);
    line[400] = 0;
    write_script("long-line", line);
    run("long-line");
    memcpy(line, "#!program ", 10);
    write_script("long-argument", line);
    pid_t p = fork();
    if (p == 0) {
        execl("long-argument", "x", NULL);
        say("long-argument: %s", strerrorname_np(errno));
        _exit(0);
    }
    CHECK_EXIT(p, 0);
}
