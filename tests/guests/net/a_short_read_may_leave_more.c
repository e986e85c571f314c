// a_short_read_may_leave_more.c - a read that gets less than it asked for says nothing about what is left: TCP stops at urgent
// data, a pipe in packet mode gives one packet, a buffer may end before the data does.
#include "net.h"

static int reader, writer;

static void* first_read(void* arg) {
    char c;
    CHECK_EQ(read(reader, &c, 1), 1);
    return NULL;
}

// From now on a thread has waited for the descriptor.
static void let_somebody_wait(void) {
    pthread_t t = start(first_read, NULL);
    settle();
    CHECK_EQ(write(writer, "1", 1), 1);
    finish(t);
}

// `most` bytes at a time until so many are there; another thread runs all along, so the runtime is in multi mode.
static void read_in_parts(char* to, size_t wanted, size_t most) {
    for (size_t got = 0; got < wanted;) {
        ssize_t n = read(reader, to + got, most);
        CHECK(n > 0);
        got += n;
    }
}

static void* idle(void* arg) {
    sem_t* end = arg;
    while (sem_wait(end)) {
    }
    return NULL;
}

int main(void) {
    sem_t end;
    CHECK_OK(sem_init(&end, 0, 0));
    pthread_t other = start(idle, &end);
    char got[200];

    int pair[2];
    tcp_pair(pair);
    reader = pair[0];
    writer = pair[1];
    let_somebody_wait();
    for (int round = 0; round < 20; round++) {
        CHECK_EQ(send(writer, "abc", 3, 0), 3);
        CHECK_EQ(send(writer, "def!", 4, MSG_OOB), 4);  // the last byte is the urgent one
        CHECK_EQ(send(writer, "ghi", 3, 0), 3);
        if (round % 2) settle();
        if (round % 4 > 1) {
            while (recv(reader, got, 1, MSG_OOB) != 1) sleep_ms(1);
            CHECK_EQ(got[0], '!');
        }
        memset(got, 0, sizeof got);
        read_in_parts(got, 9, 100);
        CHECK(!memcmp(got, "abcdefghi", 9));
    }
    say("urgent data ok");

    char* pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED);
    CHECK_OK(mprotect(pages + 4096, 4096, PROT_NONE));
    for (int round = 0; round < 10; round++) {
        CHECK_EQ(send(writer, "0123456789", 10, 0), 10);
        settle();
        CHECK_EQ(send(writer, "abcdefghij", 10, 0), 10);
        settle();
        ssize_t n = read(reader, pages + 4096 - 10 - round % 2 * 5, 20);
        if (n == -1) {
            CHECK_EQ(errno, EFAULT);
            n = 0;
        }
        if (n < 20) read_in_parts(got, 20 - n, 20 - n);
    }
    say("a buffer that ends early ok");
    close(reader);
    close(writer);

    int ends[2];
    CHECK_OK(pipe(ends));
    reader = ends[0];
    writer = ends[1];
    let_somebody_wait();
    CHECK_OK(fcntl(writer, F_SETFL, O_DIRECT));
    for (int round = 0; round < 20; round++) {
        CHECK_EQ(write(writer, "abc", 3), 3);
        CHECK_EQ(write(writer, "def", 3), 3);
        CHECK_EQ(write(writer, "ghi", 3), 3);
        if (round % 2) settle();
        memset(got, 0, sizeof got);
        read_in_parts(got, 9, 100);
        CHECK(!memcmp(got, "abcdefghi", 9));
    }
    pid_t child = fork();
    CHECK_OK(child);
    if (!child) {
        for (int round = 0; round < 20; round++) {
            CHECK_EQ(write(writer, "abc", 3), 3);
            CHECK_EQ(write(writer, "def", 3), 3);
            sleep_ms(5);
        }
        _exit(0);
    }
    read_in_parts(got, 20 * 6, 100);
    CHECK_EXIT(child, 0);
    say("packets ok");
    sem_post(&end);
    finish(other);
}
