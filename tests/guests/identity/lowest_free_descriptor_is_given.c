// lowest_free_descriptor_is_given.c - a fresh program gets 3; open, dup, pipe, socket, eventfd, F_DUPFD take the
// lowest number.
// TEST: link=dynamic,static,musl
#include <dirent.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "check.h"

static void list(const char* path) {
    char text[512] = "";
    int numbers[64], n = 0;
    DIR* d = opendir(path);
    CHECK(d != NULL);
    for (struct dirent* e; (e = readdir(d));)
        if (e->d_name[0] != '.') numbers[n++] = atoi(e->d_name);
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++)
            if (numbers[j] < numbers[i]) {
                int t = numbers[i];
                numbers[i] = numbers[j];
                numbers[j] = t;
            }
    for (int i = 0; i < n; i++) sprintf(text + strlen(text), " %d", numbers[i]);
    closedir(d);
    say("%s:%s", path, text);
}

static void* sleeper(void* arg) {
    sleep_ms(100);
    return NULL;
}

int main(void) {
    int fds[2];
    list("/proc/self/fd");
    say("%d", open("/dev/null", O_RDONLY));
    say("%d", dup(0));
    make_pipe(fds);
    say("%d %d", fds[0], fds[1]);
    pthread_t t = start(sleeper, NULL);  // whatever it needs, it takes no low number
    settle();
    say("%d", socket(AF_UNIX, SOCK_STREAM, 0));
    say("%d", eventfd(0, 0));
    say("%d", epoll_create1(0));
    CHECK_OK(close(4));
    say("%d", open("/dev/null", O_RDONLY));
    say("%d", fcntl(0, F_DUPFD, 100));
    say("%d", fcntl(0, F_DUPFD, 100));
    say("%d", dup2(0, 200));
    finish(t);
    list("/proc/self/fd");
    list("/proc/self/fdinfo");
    struct stat st;
    for (int i = 10; i < 1000; i++)
        if (i != 100 && i != 101 && i != 200) CHECK_ERR(fstat(i, &st), EBADF);
    pid_t p = fork();
    if (p == 0) {
        execl("/bin/sh", "sh", "-c", "ls /proc/self/fd | sort -n | tr '\\n' ' '; echo", NULL);
        _exit(1);
    }
    CHECK_EXIT(p, 0);
}
