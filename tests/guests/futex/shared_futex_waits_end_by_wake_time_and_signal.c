// shared_futex_waits_end_by_wake_time_and_signal.c - FUTEX_WAIT on shared memory in threads: woken by count and bitset, timed
// out by both clocks, interrupted or restarted; a fork's child and its threads can do the same.
#include "futex.h"

static int* word;
static volatile int handled;

static void on_signal(int sig) {
    handled++;
}

static void* waits(void* arg) {
    for (;;) {
        long r = futex(&word[0], FUTEX_WAIT, 0, NULL, NULL, 0);
        if (r == 0) return (void*)1;
        CHECK(errno == EINTR || errno == EAGAIN);
        if (errno == EAGAIN) return (void*)1;
    }
}

static void* waits_for_bit(void* bit) {
    long r = futex(&word[1], FUTEX_WAIT_BITSET, 0, NULL, NULL, 1u << (int)(long)bit);
    CHECK_EQ(r, 0);
    return bit;
}

static void* is_interrupted(void* arg) {
    struct timespec far = timespec_of(ms(60000));
    long r = futex(&word[2], FUTEX_WAIT, 0, arg ? &far : NULL, NULL, 0);
    CHECK(r == -1 && errno == EINTR);
    return NULL;
}

static void all_of_it(void) {
    pthread_t t[100];
    for (int i = 0; i < 100; i++) t[i] = start(waits, NULL);
    // Waiters that are not there yet are not counted: until 60 were woken, one by one and in bulk.
    for (long woken = 0; woken < 60;) {
        long r = futex(&word[0], FUTEX_WAKE, woken < 30 ? 1 : 7, NULL, NULL, 0);
        CHECK(r >= 0 && r <= 7);
        woken += r;
        if (!r) settle();
    }
    word[0] = 1;
    CHECK_OK(futex(&word[0], FUTEX_WAKE, INT_MAX, NULL, NULL, 0));
    for (int i = 0; i < 100; i++) CHECK(finish(t[i]) == (void*)1);

    pthread_t bit[8];
    for (int i = 0; i < 8; i++) bit[i] = start(waits_for_bit, (void*)(long)i);
    for (int i = 0; i < 8; i++) {
        while (futex(&word[1], FUTEX_WAKE_BITSET, 1, NULL, NULL, 1u << i) != 1) settle();
        CHECK_EQ((long)finish(bit[i]), i);
    }

    struct timespec soon = timespec_of(ms(30));
    CHECK_ERR(futex(&word[2], FUTEX_WAIT, 0, &soon, NULL, 0), ETIMEDOUT);
    CHECK_ERR(futex(&word[2], FUTEX_WAIT, 1, &soon, NULL, 0), EAGAIN);
    struct timespec at = deadline_in(CLOCK_REALTIME, ms(30));
    CHECK_ERR(futex(&word[2], FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &at, NULL, ~0u), ETIMEDOUT);
    at = deadline_in(CLOCK_MONOTONIC, ms(30));
    CHECK_ERR(futex(&word[2], FUTEX_WAIT_BITSET, 0, &at, NULL, ~0u), ETIMEDOUT);
    CHECK_ERR(futex(&word[2], FUTEX_WAIT_BITSET, 0, NULL, NULL, 0), EINVAL);
    CHECK_ERR(futex((int*)((char*)word + 2), FUTEX_WAIT, 0, &soon, NULL, 0), EINVAL);

    for (int timed = 0; timed < 2; timed++) {
        pthread_t victim = start(is_interrupted, timed ? (void*)1 : NULL);
        struct pester p;
        pester_start(&p, victim, SIGUSR1);
        finish(victim);
        pester_stop(&p);
        CHECK(handled > 0);
    }
}

int main(void) {
    word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    handle(SIGUSR1, on_signal, 0);
    all_of_it();
    memset(word, 0, 4096);
    pid_t child = fork();
    if (child == 0) {
        all_of_it();
        _exit(7);
    }
    CHECK_EXIT(child, 7);
    memset(word, 0, 4096);
    all_of_it();
    say("ok");
}
