// execve_fails_with_the_errors_of_linux.c - ENOENT, ENOTDIR, EACCES, ENOEXEC, ETXTBSY, ELOOP, E2BIG, …: and the
// caller lives on.
// TEST: link=dynamic,static
#include "check.h"

static void write_file(const char* name, const void* data, size_t size, mode_t mode) {
    int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    CHECK_OK(fd);
    CHECK_EQ(write(fd, data, size), (ssize_t)size);
    CHECK_OK(fchmod(fd, mode));
    close(fd);
}

static void try(const char* name) {
    char *argv[] = {(char*)name, NULL}, *env[] = {NULL};
    CHECK_EQ(execve(name, argv, env), -1);
    say("%s: %s", name, strerrorname_np(errno));
}

static void* all(void* arg) {
    char *big[] = {"x", NULL, NULL}, *none[] = {NULL};
    try("missing");
    try("");
    try("file/below");
    try("dir");
    try("no-x-bit");
    try("text");
    try("empty");
    try("truncated-elf");
    try("elf32-header");
    try("wrong-machine");
    try("no-interpreter");
    try("script-without-interpreter");
    try("script-with-a-directory");
    try("script-to-itself");
    try("loop");
    try("busy");
    try("script-empty-line");
    big[1] = malloc(256 * 1024);
    memset(big[1], 'a', 256 * 1024 - 1);
    big[1][256 * 1024 - 1] = 0;
    CHECK_ERR(execve("/bin/true", big, none), E2BIG);
    CHECK_ERR(execve((char*)8, none, none), EFAULT);
    CHECK_ERR(execve("/bin/true", (char**)8, none), EFAULT);
    CHECK_ERR(execve("/bin/true", none, (char**)8), EFAULT);
    char* bad_argument[] = {"x", (char*)8, NULL};
    CHECK_ERR(execve("/bin/true", bad_argument, none), EFAULT);
    char name[5000];
    memset(name, 'n', sizeof name);
    name[4999] = 0;
    CHECK_ERR(execve(name, none, none), ENAMETOOLONG);
    CHECK_ERR(syscall(SYS_execveat, 999, "x", none, none, 0), EBADF);
    CHECK_ERR(syscall(SYS_execveat, AT_FDCWD, "loop", none, none, AT_SYMLINK_NOFOLLOW), ELOOP);
    CHECK_ERR(syscall(SYS_execveat, AT_FDCWD, "text", none, none, 12345), EINVAL);
    return NULL;
}

int main(void) {
    unsigned char elf[4096] = {0};
    int fd = open("/proc/self/exe", O_RDONLY);
    CHECK_EQ(read(fd, elf, sizeof elf), sizeof elf);
    close(fd);
    CHECK_OK(mkdir("dir", 0700));
    write_file("file", "x", 1, 0700);
    write_file("no-x-bit", elf, sizeof elf, 0600);
    write_file("text", "just some text\n", 15, 0700);
    write_file("empty", "", 0, 0700);
    write_file("truncated-elf", elf, 40, 0700);
    unsigned char other[4096];
    memcpy(other, elf, sizeof other);
    other[18] = 0xb7;  // aarch64
    write_file("wrong-machine", other, sizeof other, 0700);
    memcpy(other, elf, sizeof other);
    other[4] = 1;  // ELFCLASS32, and no other sense in it
    other[18] = 0;
    write_file("elf32-header", other, sizeof other, 0700);
    memcpy(other, elf, sizeof other);
    char* interpreter = memmem(other, sizeof other, "/lib64/ld-linux-x86-64.so.2", 27);
    if (interpreter) {
        memcpy(interpreter, "/lib64/ld-nothere", 17);
        write_file("no-interpreter", other, sizeof other, 0700);
    } else {
        write_file("no-interpreter", "#!/lib64/ld-nothere\n", 20, 0700);
    }
    write_file("script-without-interpreter", "#!/no/such/interpreter\n", 23, 0700);
    write_file("script-with-a-directory", "#!/tmp\n", 7, 0700);
    write_file("script-to-itself", "#!script-to-itself\n", 19, 0700);
    write_file("script-empty-line", "#!   \n", 6, 0700);
    CHECK_OK(symlink("loop", "loop"));
    write_file("busy", elf, sizeof elf, 0700);
    int busy = open("busy", O_WRONLY);
    CHECK_OK(busy);
    all(NULL);
    finish(start(all, NULL));
    CHECK_EQ(getpid(), gettid());
}
