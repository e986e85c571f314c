// proc_self_names_the_program.c - /proc/self/exe, cmdline, environ, comm, stat, status, maps, auxv show the program,
// not its host.
// TEST: args="one 'two words' three" env="MARKER=in-the-environment" link=dynamic,static,static-pie,nopie,musl
#include <elf.h>
#include <libgen.h>

#include "check.h"

static size_t slurp(const char* path, char* out, size_t size) {
    int fd = open(path, O_RDONLY);
    CHECK_OK(fd);
    size_t n = read_all(fd, out, size - 1);
    out[n] = 0;
    close(fd);
    return n;
}

static char text[1 << 20];

int main(int argc, char** argv) {
    char exe[4096] = {0}, other[4096] = {0}, path[64];
    CHECK_OK(readlink("/proc/self/exe", exe, sizeof exe - 1));
    CHECK(strcmp(exe, argv[0]) == 0);  // the runner gives an absolute path
    snprintf(path, sizeof path, "/proc/%d/exe", getpid());
    CHECK_OK(readlink(path, other, sizeof other - 1));
    CHECK(strcmp(exe, other) == 0);
    memset(other, 0, sizeof other);
    CHECK_OK(readlink("/proc/thread-self/exe", other, sizeof other - 1));
    CHECK(strcmp(exe, other) == 0);
    CHECK_EQ(readlinkat(AT_FDCWD, "/proc/self/exe", other, 3), 3);  // cut short
    struct stat a, b;
    CHECK_OK(stat("/proc/self/exe", &a));
    CHECK_OK(stat(exe, &b));
    CHECK(a.st_ino == b.st_ino && a.st_size == b.st_size);
    CHECK_OK(lstat("/proc/self/exe", &a));
    CHECK(S_ISLNK(a.st_mode));
    CHECK(realpath("/proc/self/exe", other) && strcmp(other, exe) == 0);
    int fd = open("/proc/self/exe", O_RDONLY);
    CHECK_OK(fstat(fd, &a));
    CHECK(a.st_ino == b.st_ino);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    memset(other, 0, sizeof other);
    CHECK_OK(readlink(path, other, sizeof other - 1));
    CHECK(strcmp(other, exe) == 0);
    close(fd);

    size_t n = slurp("/proc/self/cmdline", text, sizeof text), want = 0;
    for (int i = 0; i < argc; i++) {
        CHECK(want < n && strcmp(text + want, argv[i]) == 0);
        want += strlen(argv[i]) + 1;
    }
    CHECK_EQ(n, want);
    for (int i = 1; i < argc; i++) say("argv[%d] %s", i, argv[i]);
    n = slurp("/proc/self/environ", text, sizeof text);
    int found = 0;
    for (char* p = text; p < text + n; p += strlen(p) + 1) {
        found += strcmp(p, "MARKER=in-the-environment") == 0;
        CHECK(strncmp(p, "OCRUN_", 6) != 0 || strncmp(p, "OCRUN_GUEST_RUN=", 16) == 0);
    }
    CHECK_EQ(found, 1);
    CHECK(strcmp(getenv("MARKER"), "in-the-environment") == 0);
    char comm[17] = {0};
    strncpy(comm, basename(exe), 15);
    slurp("/proc/self/comm", text, sizeof text);
    CHECK(strncmp(text, comm, strlen(comm)) == 0 && text[strlen(comm)] == '\n');
    slurp("/proc/self/stat", text, sizeof text);
    CHECK_EQ(atoi(text), getpid());
    CHECK(strncmp(strchr(text, '(') + 1, comm, strlen(comm)) == 0);
    slurp("/proc/self/status", text, sizeof text);
    CHECK(strncmp(text, "Name:\t", 6) == 0 && strncmp(text + 6, comm, strlen(comm)) == 0);
    slurp("/proc/self/maps", text, sizeof text);
    CHECK(readlink("/proc/self/exe", exe, sizeof exe - 1) > 0);
    CHECK(strstr(text, exe) != NULL);
    CHECK(strstr(text, "[stack]") != NULL);
    CHECK(strstr(text, "[vdso]") != NULL);
    n = slurp("/proc/self/auxv", text, sizeof text);
    CHECK(n >= 16 * 16 && n % 16 == 0);
    say("ok");
}
