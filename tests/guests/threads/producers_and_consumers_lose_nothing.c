// producers_and_consumers_lose_nothing.c - a bounded queue on a mutex and two condvars, 20 producers, 20 consumers.
// TEST: link=dynamic,musl
#include "check.h"

enum { P = 20, EACH = 500, SIZE = 8 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER, not_empty = PTHREAD_COND_INITIALIZER;
static int queue[SIZE], head, count;
static unsigned char seen[P * EACH];

static void* produce(void* arg) {
    for (int i = 0; i < EACH; i++) {
        pthread_mutex_lock(&mutex);
        while (count == SIZE) pthread_cond_wait(&not_full, &mutex);
        queue[(head + count++) % SIZE] = (long)arg * EACH + i;
        pthread_cond_signal(&not_empty);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void* consume(void* arg) {
    for (int i = 0; i < EACH; i++) {
        pthread_mutex_lock(&mutex);
        while (count == 0) pthread_cond_wait(&not_empty, &mutex);
        int item = queue[head];
        head = (head + 1) % SIZE;
        count--;
        seen[item]++;
        pthread_cond_signal(&not_full);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

int main(void) {
    pthread_t t[2 * P];
    for (long i = 0; i < P; i++) {
        t[i] = start(produce, (void*)i);
        t[P + i] = start(consume, NULL);
    }
    for (int i = 0; i < 2 * P; i++) finish(t[i]);
    for (int i = 0; i < P * EACH; i++) CHECK_EQ(seen[i], 1);
    say("%d items, %d left", P * EACH, count);
}
