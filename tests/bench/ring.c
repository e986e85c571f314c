// ring.c - N threads in a ring hand a token on by condition variables: time of one hand-over. usage: ring N
#include "bench.h"

struct place {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    long tokens;  // < 0: end
    struct place* next;
};

static void give(struct place* to, long n) {
    pthread_mutex_lock(&to->mutex);
    to->tokens = n;
    pthread_cond_signal(&to->cond);
    pthread_mutex_unlock(&to->mutex);
}

static long take(struct place* at) {
    pthread_mutex_lock(&at->mutex);
    while (!at->tokens) pthread_cond_wait(&at->cond, &at->mutex);
    long n = at->tokens;
    at->tokens = 0;
    pthread_mutex_unlock(&at->mutex);
    return n;
}

static void* pass_on(void* arg) {
    struct place* at = arg;
    for (;;) {
        long n = take(at);
        give(at->next, n);
        if (n < 0) return NULL;
    }
}

int main(int argc, char** argv) {
    long n = argc > 1 ? atol(argv[1]) : 2;
    struct place* places = calloc(n, sizeof *places);
    pthread_t* t = calloc(n, sizeof *t);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 * 1024);
    for (long i = 0; i < n; i++) {
        pthread_mutex_init(&places[i].mutex, NULL);
        pthread_cond_init(&places[i].cond, NULL);
        places[i].next = &places[(i + 1) % n];
    }
    for (long i = 1; i < n; i++) must(pthread_create(&t[i], &attr, pass_on, &places[i]) == 0, "pthread_create");
    long laps = 0;
    give(places[0].next, 1);  // a lap for warmth
    take(&places[0]);
    double begin = now_ns();
    do {
        give(places[0].next, 1);
        take(&places[0]);
        laps++;
    } while (now_ns() - begin < 3e8);
    double each = (now_ns() - begin) / ((double)laps * n);
    give(places[0].next, -1);
    take(&places[0]);
    for (long i = 1; i < n; i++) pthread_join(t[i], NULL);
    result("ring", each, "ns");
    return 0;
}
