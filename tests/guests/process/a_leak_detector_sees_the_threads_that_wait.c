// The leak detector of a sanitizer stops all threads by ptrace, from a child in the same memory, and looks through their registers,
// stacks and thread-local variables: what only a waiting or a busy thread knows is no leak.
// TEST: libs=-fsanitize=leak
#include "../check.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int ready;
static __thread void* mine;

static void wait_for_ever(void) {
    pthread_mutex_lock(&lock);
    ready++;
    pthread_cond_broadcast(&changed);
    for (;;) pthread_cond_wait(&changed, &lock);
}

static void* keeps_it_on_the_stack(void* arg) {
    void* volatile kept = malloc(100);
    wait_for_ever();
    return kept;
}

static void* keeps_it_in_a_thread_local_variable(void* arg) {
    mine = malloc(200);
    wait_for_ever();
    return NULL;
}

// Busy: the only copy is in a register.
static void* keeps_it_in_a_register(void* arg) {
    char* p = malloc(300);
    pthread_mutex_lock(&lock);
    ready++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    for (;;) asm volatile("pause" : "+r"(p));
    return p;
}

int main(void) {
    void* (*const threads[])(void*) = {keeps_it_on_the_stack, keeps_it_in_a_thread_local_variable, keeps_it_in_a_register};
    for (int i = 0; i < 3; i++) {
        pthread_t t;
        CHECK(!pthread_create(&t, NULL, threads[i], NULL));
    }
    pthread_mutex_lock(&lock);
    while (ready < 3) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    say("done");
    return 0;
}
