// terminal_reads_wait_for_a_line.c - a pseudo terminal in canonical and raw mode: reads in a thread, EOF, poll,
// window size.
// TEST: libs=util
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "check.h"

static int master, slave;

static void* read_line(void* arg) {
    char text[64] = {0};
    ssize_t n = read(slave, text, sizeof text);
    CHECK(n >= 0);
    return (void*)n;
}

int main(void) {
    struct winsize size = {24, 80, 0, 0}, now;
    struct termios mode;
    char text[256];
    CHECK_OK(openpty(&master, &slave, NULL, NULL, &size));
    CHECK_OK(tcgetattr(slave, &mode));
    mode.c_lflag &= ~ECHO;
    CHECK_OK(tcsetattr(slave, TCSANOW, &mode));
    pthread_t t = start(read_line, NULL);
    CHECK_EQ(write(master, "half", 4), 4);
    settle();
    CHECK_EQ(pthread_tryjoin_np(t, NULL), EBUSY);
    CHECK_EQ(write(master, " line\n", 6), 6);
    say("line of %ld", (long)finish(t));
    t = start(read_line, NULL);
    settle();
    CHECK_EQ(write(master, "\4", 1), 1);
    say("end of file %ld", (long)finish(t));
    cfmakeraw(&mode);
    CHECK_OK(tcsetattr(slave, TCSANOW, &mode));
    t = start(read_line, NULL);
    settle();
    CHECK_EQ(write(master, "r", 1), 1);
    say("raw %ld", (long)finish(t));
    struct pollfd p = {slave, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, 20), 0);
    CHECK_EQ(write(master, "x", 1), 1);
    CHECK_EQ(poll(&p, 1, -1), 1);
    CHECK_EQ(read(slave, text, sizeof text), 1);
    CHECK_OK(fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK));
    CHECK_ERR(read(slave, text, 1), EAGAIN);
    CHECK_OK(fcntl(slave, F_SETFL, O_RDWR));
    CHECK_EQ(write(slave, "to master", 9), 9);
    CHECK_EQ(read(master, text, sizeof text), 9);
    size.ws_row = 50;
    CHECK_OK(ioctl(master, TIOCSWINSZ, &size));
    CHECK_OK(ioctl(slave, TIOCGWINSZ, &now));
    say("rows %d", now.ws_row);
    close(slave);
    CHECK_ERR(read(master, text, sizeof text), EIO);
}
