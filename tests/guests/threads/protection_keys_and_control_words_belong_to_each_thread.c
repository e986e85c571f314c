// protection_keys_and_control_words_belong_to_each_thread.c - rights of protection keys, mxcsr and the x87 control word follow the
// thread through waits and signal handlers; new threads inherit the rights, handlers have the initial ones.
// TEST: timeout=30 libs=m
#include "check.h"

#include <fenv.h>

static int ping[2], pong[2], have_keys;
static unsigned seen_in_handler;

static unsigned rights(void) {
    unsigned a, d;
    if (!have_keys) return 0;
    __asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(a), "=d"(d) : "c"(0));
    return a;
}

static void set_rights(unsigned to) {
    if (have_keys) __asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(to), "c"(0), "d"(0) : "memory");
}

static void on_signal(int sig) {
    (void)sig;
    seen_in_handler = rights();
}

struct person {
    unsigned rights;
    int rounding;
    int in, out;
};

static void* plays(void* arg) {
    struct person* p = arg;
    char c = 0;
    set_rights(p->rights);
    CHECK_EQ(fesetround(p->rounding), 0);
    unsigned char legacy[160] __attribute__((aligned(16)));
    for (int i = 0; i < 2000; i++) {
        CHECK_EQ(write(p->out, &c, 1), 1);
        CHECK_EQ(read(p->in, &c, 1), 1);
        CHECK_EQ(rights(), p->rights);
        CHECK_EQ(fegetround(), p->rounding);  // x87's control word
        __asm__ volatile("stmxcsr %0" : "=m"(*(unsigned*)legacy));
        CHECK_EQ((*(unsigned*)legacy >> 13 & 3), p->rounding >> 10);
        if (i % 500 == 0) {
            CHECK_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
            CHECK_EQ(rights(), p->rights);
            CHECK_EQ(fegetround(), p->rounding);
        }
    }
    return NULL;
}

static void* inherits(void* arg) {
    CHECK_EQ(rights(), *(unsigned*)arg);
    return NULL;
}

int main(void) {
    unsigned a, b, c, d;
    __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
    have_keys = c >> 4 & 1;  // OSPKE
    unsigned initial = rights();
    if (have_keys) CHECK_EQ(initial & 3, 0);  // ordinary memory
    CHECK(signal(SIGUSR1, on_signal) != SIG_ERR);
    CHECK_OK(pipe(ping));
    CHECK_OK(pipe(pong));
    unsigned mine = have_keys ? (initial & ~0xffu) | 0x90 : 0;
    struct person one = {mine, FE_UPWARD, pong[0], ping[1]}, two = {initial, FE_TOWARDZERO, ping[0], pong[1]};
    pthread_t t[2];
    CHECK_EQ(pthread_create(&t[0], NULL, plays, &one), 0);
    CHECK_EQ(pthread_create(&t[1], NULL, plays, &two), 0);
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_join(t[i], NULL), 0);
    CHECK_EQ(seen_in_handler, initial);
    set_rights(mine);
    CHECK_EQ(pthread_create(&t[0], NULL, inherits, &mine), 0);
    CHECK_EQ(pthread_join(t[0], NULL), 0);
    CHECK_EQ(rights(), mine);
    say("ok");
    return 0;
}
