// memfd_and_proc_self_exe_can_be_executed.c - fexecve of a memfd (sealed, close-on-exec or not), /proc/self/exe,
// /proc/self/fd/N.
// TEST: link=dynamic,static
#include <sys/sendfile.h>

#include "check.h"

static int copy_to_memfd(unsigned flags) {
    int in = open("/proc/self/exe", O_RDONLY), out = memfd_create("copy", flags);
    struct stat st;
    CHECK_OK(in);
    CHECK_OK(out);
    CHECK_OK(fstat(in, &st));
    for (off_t offset = 0; offset < st.st_size;) CHECK(sendfile(out, in, &offset, st.st_size) > 0);
    close(in);
    return out;
}

int main(int argc, char** argv) {
    extern char** environ;
    if (argc == 2) {
        say("%s ran", argv[1]);
        return 3;
    }
    for (int how = 0; how < 6; how++) {
        pid_t p = fork();
        CHECK_OK(p);
        if (p == 0) {
            char path[64], *args[] = {"name", NULL, NULL};
            int fd;
            switch (how) {
                case 0:
                    args[1] = "/proc/self/exe";
                    execv("/proc/self/exe", args);
                    break;
                case 1:
                    fd = copy_to_memfd(MFD_CLOEXEC);
                    args[1] = "memfd with close-on-exec";
                    fexecve(fd, args, environ);
                    break;
                case 2:
                    fd = copy_to_memfd(MFD_ALLOW_SEALING);
                    CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
                    args[1] = "sealed memfd";
                    syscall(SYS_execveat, fd, "", args, environ, AT_EMPTY_PATH);
                    break;
                case 3:
                    fd = copy_to_memfd(0);
                    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
                    args[1] = "/proc/self/fd/N";
                    execv(path, args);
                    break;
                case 4:
                    CHECK_OK(fd = open("/usr/bin", O_PATH | O_DIRECTORY));
                    args[1] = NULL;
                    syscall(SYS_execveat, fd, "false", args, environ, 0);
                    break;
                case 5:
                    CHECK_OK(fd = open("/proc/self/exe", O_PATH));
                    args[1] = "O_PATH descriptor";
                    fexecve(fd, args, environ);
            }
            CHECK(!"reached");
        }
        CHECK_EXIT(p, how == 4 ? 1 : 3);
    }
    int fd = open("script", O_RDWR | O_CREAT, 0700);
    CHECK_EQ(write(fd, "#!/bin/cat\nthe script shows itself\n", 35), 35);
    close(fd);
    for (int cloexec = 0; cloexec < 2; cloexec++) {
        pid_t p = fork();
        if (p == 0) {
            char* args[] = {"name", NULL};
            fd = open("script", O_RDONLY | (cloexec ? O_CLOEXEC : 0));
            fexecve(fd, args, environ);
            say("script by a descriptor: %s", strerrorname_np(errno));
            _exit(0);
        }
        CHECK_EXIT(p, 0);
    }
}
