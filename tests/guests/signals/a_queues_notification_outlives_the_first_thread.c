// a_queues_notification_outlives_the_first_thread.c - mq_notify before a second thread, beside its start, in a forked child; taken back
// TEST: libs=rt
#include <mqueue.h>
#include <semaphore.h>
#include <sys/wait.h>

#include "check.h"

static mqd_t queue;
static sem_t told;

static void* nothing(void* arg) {
    sleep_ms(20);
    return arg;
}

static void in_thread(union sigval value) {
    CHECK_EQ(value.sival_int, 7);
    CHECK_OK(sem_post(&told));
}

static int comes(int ms) {
    sigset_t set = signal_set(SIGUSR1, 0);
    siginfo_t info;
    struct timespec limit = {ms / 1000, ms % 1000 * 1000000l};
    if (sigtimedwait(&set, &info, &limit) != SIGUSR1) return 0;
    CHECK_EQ(info.si_code, SI_MESGQ);
    CHECK_EQ(info.si_value.sival_int, 5);
    return 1;
}

static void receive(void) {
    char text[32];
    CHECK_EQ(mq_receive(queue, text, sizeof text, NULL), 2);
}

static void ask(void) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 5};
    CHECK_OK(mq_notify(queue, &event));
}

static void ask_and_start_a_thread(void) {
    ask();
    finish(start(nothing, NULL));
    CHECK_OK(mq_send(queue, "hi", 2, 0));
    CHECK(comes(10000));
    receive();
}

int main(void) {
    struct mq_attr form = {.mq_maxmsg = 4, .mq_msgsize = 32};
    char name[64];
    snprintf(name, sizeof name, "/ocrun-guest-%d", getpid());
    queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &form);
    CHECK(queue >= 0);
    CHECK_OK(mq_unlink(name));
    block_signal(SIGUSR1);
    ask_and_start_a_thread();
    say("first thread ok");

    // once there are threads; taken back; for one at a time
    ask();
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    CHECK_ERR(mq_notify(queue, &event), EBUSY);
    CHECK_OK(mq_notify(queue, NULL));
    CHECK_OK(mq_send(queue, "hi", 2, 0));
    CHECK(!comes(20));
    receive();
    say("taken back ok");

    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        ask_and_start_a_thread();
        _exit(0);
    }
    CHECK_EQ(status_of(child), 0);
    say("forked child ok");

    // glibc's own first thread: it begins beside the call
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_OK(sem_init(&told, 0, 0));
        struct sigevent call = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = in_thread, .sigev_value.sival_int = 7};
        CHECK_OK(mq_notify(queue, &call));
        CHECK_OK(mq_send(queue, "hi", 2, 0));
        CHECK_OK(sem_wait(&told));
        receive();
        _exit(0);
    }
    CHECK_EQ(status_of(child), 0);
    say("notified by a thread ok");
}
