// proc_of_another_process_names_its_program.c - /proc/PID/exe of a child, by readlink, stat and open, as
// start-stop-daemon and pidof look at it; also of a program that was deleted, and of a child that is gone.
#include "../check.h"

static void copy_file(const char* from, const char* to) {
    static char bytes[1 << 16];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0755);
    CHECK_OK(in);
    CHECK_OK(out);
    for (ssize_t n; (n = read(in, bytes, sizeof bytes)) > 0;) CHECK_EQ(write(out, bytes, (size_t)n), n);
    CHECK_OK(close(in));
    CHECK_OK(close(out));
}

int main(int argc, char** argv) {
    if (argc > 1) {
        CHECK_EQ(write(1, "r", 1), 1);
        for (;;) pause();
    }
    char own[4096] = {0}, copy[4000], path[64], seen[4096] = {0}, expected[4096];
    CHECK(getcwd(copy, sizeof copy - 64));
    sprintf(copy + strlen(copy), "/program-%d", getpid());
    CHECK_OK(readlink("/proc/self/exe", own, sizeof own - 1));
    copy_file(own, copy);
    int ready[2];
    CHECK_OK(pipe(ready));
    pid_t child = fork();
    CHECK_OK(child);
    if (!child) {
        dup2(ready[1], 1);
        execl(copy, copy, "child", NULL);
        _exit(9);
    }
    char c;
    CHECK_EQ(read(ready[0], &c, 1), 1);

    struct stat program, other;
    CHECK_OK(stat(copy, &program));
    snprintf(path, sizeof path, "/proc/%d/exe", child);
    CHECK_OK(readlink(path, seen, sizeof seen - 1));
    CHECK(strcmp(seen, copy) == 0);
    CHECK_OK(stat(path, &other));
    CHECK(other.st_dev == program.st_dev && other.st_ino == program.st_ino);
    CHECK_OK(lstat(path, &other));
    CHECK(S_ISLNK(other.st_mode));
    CHECK_OK(access(path, X_OK));
    int fd = open(path, O_RDONLY);
    CHECK_OK(fd);
    CHECK_OK(fstat(fd, &other));
    CHECK(other.st_ino == program.st_ino);

    CHECK_OK(unlink(copy));
    memset(seen, 0, sizeof seen);
    CHECK_OK(readlink(path, seen, sizeof seen - 1));
    snprintf(expected, sizeof expected, "%s (deleted)", copy);
    CHECK(strcmp(seen, expected) == 0);
    CHECK_OK(stat(path, &other));
    CHECK_EQ(other.st_ino, program.st_ino);

    CHECK_OK(kill(child, SIGKILL));
    CHECK_KILLED(child, SIGKILL);
    CHECK_ERR(readlink(path, seen, sizeof seen), ENOENT);
    CHECK_ERR(stat(path, &other), ENOENT);
    say("ok");
}
