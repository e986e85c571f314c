// a_close_waits_for_what_lingers.c - close(2) of a socket with SO_LINGER waits until the other end has what was sent, however many
// threads compute meanwhile; a handler's signal ends the wait, and so does the time that was set (socket(7), tcp(7)).
#include "net.h"

enum { kBytes = 500000 };
static volatile int over, handled;
static sem_t go;
static volatile int reading;

static void* computes(void* unused) {
    while (!over) {
    }
    return unused;
}

static void handler(int sig) {
    handled = 1;
}

// Reads all that comes until the end.
static void* reads(void* arg) {
    static char part[65536];
    int fd = (int)(long)arg;
    long sum = 0;
    while (sem_wait(&go)) CHECK_EQ(errno, EINTR);
    usleep(200000);
    reading = 1;
    for (ssize_t n; (n = read(fd, part, sizeof part)) != 0; sum += n) CHECK(n > 0);
    close(fd);
    CHECK_EQ(sum, kBytes);
    return NULL;
}

// A connection whose receiver has little room: [0] lingers for so many seconds and has sent all.
static pthread_t sent(int pair[2], int seconds) {
    static char bytes[kBytes];
    int little = 4096, much = 2 * kBytes;
    struct linger linger = {1, seconds};
    struct sockaddr_in address;
    int listener = listen_tcp(1, &address);
    CHECK_OK(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &little, sizeof little));
    pair[0] = connect_tcp(&address);
    CHECK_OK(pair[1] = accept(listener, NULL, NULL));
    close(listener);
    CHECK_OK(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &much, sizeof much));
    CHECK_OK(setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    reading = 0;
    pthread_t reader = start(reads, (void*)(long)pair[1]);
    CHECK_EQ(write(pair[0], bytes, sizeof bytes), kBytes);
    return reader;
}

int main(void) {
    int pair[2];
    sem_init(&go, 0, 0);
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK_OK(sigaction(SIGALRM, &action, NULL));
    sigset_t alarm_only, before;
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm_only, &before);
    pthread_t computing[2];
    for (int i = 0; i < 2; i++) computing[i] = start(computes, NULL);

    pthread_t reader = sent(pair, 60);
    sem_post(&go);
    CHECK_OK(close(pair[0]));
    CHECK(reading);
    finish(reader);
    say("close waited for the reader");

    reader = sent(pair, 60);
    sem_post(&go);
    int other = open("/dev/null", O_RDWR);
    CHECK_EQ(dup2(other, pair[0]), pair[0]);
    CHECK(reading);
    close(pair[0]);
    finish(reader);
    say("so did dup2 over it");

    reader = sent(pair, 1);
    CHECK_OK(close(pair[0]));
    CHECK(!reading);
    sem_post(&go);
    finish(reader);
    say("for a second at most");

    reader = sent(pair, 60);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    struct itimerval soon = {{0, 100000}, {0, 100000}}, never = {};
    CHECK_OK(setitimer(ITIMER_REAL, &soon, NULL));
    CHECK_OK(close(pair[0]));
    CHECK_OK(setitimer(ITIMER_REAL, &never, NULL));
    CHECK(handled);
    CHECK(!reading);
    sem_post(&go);
    finish(reader);
    say("a signal ended the wait");

    over = 1;
    for (int i = 0; i < 2; i++) finish(computing[i]);
    say("ok");
}
