// robust_list_is_walked_when_a_thread_ends.c - set_robust_list by hand: FUTEX_OWNER_DIED is set, one waiter is woken.
#include <stddef.h>

#include "futex.h"

struct lock {
    struct robust_list list;
    int word;
};
static struct lock locks[3];
static struct robust_list_head head;
static _Atomic int held;

static void* die(void* arg) {
    size_t size;
    struct robust_list_head* now;
    head.futex_offset = offsetof(struct lock, word);
    head.list.next = &locks[0].list;
    for (int i = 0; i < 3; i++) locks[i].list.next = i < 2 ? &locks[i + 1].list : &head.list;
    CHECK_OK(syscall(SYS_set_robust_list, &head, sizeof head));
    CHECK_OK(syscall(SYS_get_robust_list, 0, &now, &size));
    CHECK(now == &head && size == sizeof head);
    locks[0].word = gettid() | FUTEX_WAITERS;
    locks[1].word = gettid();
    locks[2].word = 1;  // somebody else's
    held = 1;
    sleep_ms(60);
    syscall(SYS_exit, 0);  // past libc
    return NULL;
}

static void* wait_for_death(void* arg) {
    for (int value; !((value = __atomic_load_n(&locks[0].word, __ATOMIC_SEQ_CST)) & FUTEX_OWNER_DIED);)
        futex(&locks[0].word, FUTEX_WAIT, value, NULL, NULL, 0);
    return NULL;
}

int main(void) {
    pthread_t t = start(die, NULL);
    while (!held) sleep_ms(1);
    finish(start(wait_for_death, NULL));
    finish(t);
    CHECK_EQ(locks[0].word & FUTEX_TID_MASK, 0);
    CHECK(locks[1].word & FUTEX_OWNER_DIED);
    CHECK_EQ(locks[2].word, 1);
    CHECK_ERR(syscall(SYS_set_robust_list, &head, 5), EINVAL);
    say("ok");
}
