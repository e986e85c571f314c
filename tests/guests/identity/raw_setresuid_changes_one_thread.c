// raw_setresuid_changes_one_thread.c - the bare system calls change the credentials of the calling thread only.
// TEST: needs=root,thread_credentials
#include <sys/fsuid.h>

#include "check.h"

static void* only_here(void* arg) {
    CHECK_OK(syscall(SYS_setresuid, 55, 55, 55));
    CHECK_EQ(getuid(), 55);
    CHECK_ERR(open("secret", O_RDONLY), EACCES);
    sleep_ms(20);
    CHECK_EQ(geteuid(), 55);
    CHECK_ERR(open("secret", O_RDONLY), EACCES);
    return NULL;
}

static void* fs_id(void* arg) {
    setfsuid(66);
    CHECK_EQ(setfsuid(-1), 66);
    CHECK_ERR(open("secret", O_RDONLY), EACCES);
    sleep_ms(20);
    CHECK_EQ(setfsuid(-1), 66);
    return NULL;
}

int main(void) {
    CHECK_OK(close(open("secret", O_CREAT | O_WRONLY, 0600)));
    pthread_t a = start(only_here, NULL), b = start(fs_id, NULL);
    for (int i = 0; i < 20; i++) {
        int fd = open("secret", O_RDONLY);  // this thread is still root
        CHECK_OK(fd);
        close(fd);
        CHECK_EQ(geteuid(), 0);
        sleep_ms(2);
    }
    finish(a);
    finish(b);
    say("ok");
}
