// eventfd_counts_and_blocks.c - reads wait for a value, writes for room, semaphore mode hands out ones. What no room is enough for is
// refused at once.
#include <sys/eventfd.h>
#include <sys/uio.h>

#include "check.h"

static int e;

// of a full one
static void refuse(void) {
    static unsigned char bytes[16] = {[0 ... 15] = 0xff};
    struct iovec parts[2] = {{bytes, 8}, {bytes, 8}}, cut[2] = {{bytes, 4}, {bytes, 4}};
    CHECK_ERR(write(e, bytes, 8), EINVAL);
    CHECK_ERR(write(e, bytes, 7), EINVAL);
    CHECK_ERR(write(e, (void*)8, 8), EFAULT);
    CHECK_ERR(writev(e, parts, 2), EINVAL);
    CHECK_ERR(writev(e, cut, 2), EINVAL);
}

static void* read_value(void* arg) {
    uint64_t value = 0;
    CHECK_EQ(read(e, &value, sizeof value), sizeof value);
    return (void*)value;
}

static void* write_value(void* arg) {
    uint64_t value = (long)arg;
    CHECK_EQ(write(e, &value, sizeof value), sizeof value);
    return NULL;
}

int main(void) {
    uint64_t value = UINT64_MAX - 1;
    CHECK_OK(e = eventfd(0, EFD_CLOEXEC));
    pthread_t t = start(read_value, NULL), many[30];
    settle();
    finish(start(write_value, (void*)12));
    say("%ld", (long)finish(t));
    CHECK_EQ(write(e, &value, 8), 8);
    refuse();
    t = start(write_value, (void*)5);  // no room
    settle();
    CHECK_EQ(read(e, &value, 8), 8);
    CHECK(value == UINT64_MAX - 1);
    finish(t);
    CHECK_EQ(read(e, &value, 8), 8);
    CHECK_EQ(value, 5);
    CHECK_ERR(read(e, &value, 7), EINVAL);
    value = UINT64_MAX;
    CHECK_ERR(write(e, &value, 8), EINVAL);
    close(e);
    CHECK_OK(e = eventfd(0, EFD_SEMAPHORE));
    for (int i = 0; i < 30; i++) many[i] = start(read_value, NULL);
    settle();
    finish(start(write_value, (void*)10));
    finish(start(write_value, (void*)20));
    for (int i = 0; i < 30; i++) CHECK_EQ((long)finish(many[i]), 1);
    say("ok");
}
