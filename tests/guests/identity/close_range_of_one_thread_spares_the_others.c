// CLOSE_RANGE_UNSHARE concerns the calling thread alone; where it cannot be had it is refused, and nothing is closed.
#include <linux/close_range.h>

#include "../check.h"

static void* closes(void* arg) {
    syscall(SYS_close_range, 3, 100, CLOSE_RANGE_UNSHARE);
    return NULL;
}

int main(void) {
    int fd = open("/dev/null", O_RDONLY);
    CHECK_OK(fd);
    finish(start(closes, NULL));
    CHECK_EQ(fcntl(fd, F_GETFD), 0);
    say("ok");
}
