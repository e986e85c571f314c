// inotify_reports_changes_to_a_waiting_reader.c - a blocked read of an inotify descriptor gets the events in order.
#include <sys/inotify.h>

#include "check.h"

static void* watch(void* arg) {
    char buffer[4096] __attribute__((aligned(8)));
    int fd = (int)(long)arg;
    for (int seen = 0; seen < 4;) {
        ssize_t n = read(fd, buffer, sizeof buffer);
        CHECK(n > 0);
        for (char* p = buffer; p < buffer + n;) {
            struct inotify_event* e = (struct inotify_event*)p;
            say("%#x %s", e->mask, e->len ? e->name : "");
            p += sizeof *e + e->len;
            seen++;
        }
    }
    return NULL;
}

int main(void) {
    int fd = inotify_init1(IN_CLOEXEC);
    CHECK_OK(fd);
    CHECK_OK(mkdir("dir", 0700));
    CHECK_OK(inotify_add_watch(fd, "dir", IN_CREATE | IN_DELETE | IN_MOVE));
    pthread_t t = start(watch, (void*)(long)fd);
    settle();
    close(open("dir/a", O_CREAT | O_WRONLY, 0600));
    settle();
    CHECK_OK(rename("dir/a", "dir/b"));
    CHECK_OK(unlink("dir/b"));
    finish(t);
}
