// message_queues_and_semaphores_of_system_v_wait.c - msgrcv, msgsnd, semop, semtimedop, mq_receive, mq_timedreceive
// block one thread.
// TEST: libs=rt
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>

#include "check.h"

static int queue, semaphores;
static mqd_t mq;
struct message {
    long type;
    char text[100];
};

static void* receive(void* arg) {
    struct message m;
    CHECK_EQ(msgrcv(queue, &m, sizeof m.text, (long)arg, 0), 5);
    CHECK_EQ(m.type, (long)arg);
    return NULL;
}

static void* take(void* arg) {
    struct sembuf op = {0, -1, 0};
    CHECK_OK(semop(semaphores, &op, 1));
    return NULL;
}

static void* mq_read(void* arg) {
    char text[64];
    unsigned priority;
    CHECK_EQ(mq_receive(mq, text, sizeof text, &priority), 3);
    return (void*)(long)priority;
}

int main(void) {
    pthread_t t[10];
    CHECK_OK(queue = msgget(IPC_PRIVATE, 0600));
    CHECK_OK(semaphores = semget(IPC_PRIVATE, 1, 0600));
    for (long i = 0; i < 10; i++) t[i] = start(receive, (void*)(i + 1));
    settle();
    struct message m = {0, "hello"};
    for (int i = 9; i >= 0; i--) {
        m.type = i + 1;
        CHECK_OK(msgsnd(queue, &m, 5, 0));
    }
    for (int i = 0; i < 10; i++) finish(t[i]);
    CHECK_ERR(msgrcv(queue, &m, sizeof m.text, 0, IPC_NOWAIT), ENOMSG);
    CHECK_OK(msgctl(queue, IPC_RMID, NULL));

    for (int i = 0; i < 10; i++) t[i] = start(take, NULL);
    settle();
    struct sembuf give = {0, 10, 0}, more = {0, -1, 0};
    CHECK_OK(semop(semaphores, &give, 1));
    for (int i = 0; i < 10; i++) finish(t[i]);
    struct timespec limit = timespec_of(ms(50));
    long long begin = now_ns();
    CHECK_ERR(semtimedop(semaphores, &more, 1, &limit), EAGAIN);
    CHECK(now_ns() - begin >= ms(49));
    CHECK_OK(semctl(semaphores, 0, IPC_RMID));

    char name[64];
    snprintf(name, sizeof name, "/ocrun-guest-%d", getpid());
    struct mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = 64};
    CHECK_OK(mq = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr));
    CHECK_OK(mq_unlink(name));
    t[0] = start(mq_read, NULL);
    settle();
    CHECK_OK(mq_send(mq, "abc", 3, 9));
    say("priority %ld", (long)finish(t[0]));
    limit = deadline_in(CLOCK_REALTIME, ms(50));
    char text[64];
    CHECK_ERR(mq_timedreceive(mq, text, sizeof text, NULL, &limit), ETIMEDOUT);
    say("ok");
}
