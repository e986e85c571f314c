// join_in_all_its_forms.c - join, tryjoin, timedjoin, joining oneself.
#include "check.h"

static sem_t go;

static void* wait_and_return(void* arg) {
    sem_wait(&go);
    return arg;
}

static void* at_once(void* arg) {
    return arg;
}

int main(void) {
    void* value;
    sem_init(&go, 0, 0);
    pthread_t t = start(wait_and_return, (void*)42);
    CHECK_EQ(pthread_tryjoin_np(t, &value), EBUSY);
    struct timespec limit = deadline_in(CLOCK_REALTIME, ms(40));
    CHECK_EQ(pthread_timedjoin_np(t, &value, &limit), ETIMEDOUT);
    sem_post(&go);
    limit = deadline_in(CLOCK_REALTIME, ms(60000));
    CHECK_0(pthread_timedjoin_np(t, &value, &limit));
    CHECK_EQ((long)value, 42);

    t = start(at_once, (void*)43);
    settle();
    while (pthread_tryjoin_np(t, &value) == EBUSY) sleep_ms(1);
    CHECK_EQ((long)value, 43);

    CHECK_EQ(pthread_join(pthread_self(), NULL), EDEADLK);
    say("ok");
}
