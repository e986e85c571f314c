// job_control_signals_come_from_the_terminal.c - Ctrl-C, Ctrl-Z, Ctrl-\, SIGTTIN and SIGTTOU, tcsetpgrp, SIGWINCH,
// SIGHUP.
// TEST: libs=util
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "check.h"

static volatile int winch, hup;
static void note(int sig) {
    if (sig == SIGWINCH) winch++;
    if (sig == SIGHUP) hup++;
}

static void sync_with(int fd) {
    char c;
    CHECK_EQ(read(fd, &c, 1), 1);
}

static pid_t job(int up, void (*function)(void)) {
    pid_t p = fork();
    CHECK_OK(p);
    if (p == 0) {
        setpgid(0, 0);
        signal(SIGTTOU, SIG_DFL);
        function ? function() : (void)0;
        CHECK_EQ(write(up, "r", 1), 1);
        for (;;) pause();
    }
    setpgid(p, p);
    return p;
}

static void shell(int up, int* ready) {
    int status;
    char c;
    signal(SIGTTOU, SIG_IGN);
    handle(SIGWINCH, note, SA_RESTART);
    handle(SIGHUP, note, 0);
    CHECK_EQ(tcgetsid(0), getpid());
    int keys[] = {SIGINT, SIGTSTP, SIGQUIT};
    for (int i = 0; i < 3; i++) {
        pid_t p = job(ready[1], NULL);
        CHECK_OK(tcsetpgrp(0, p));
        sync_with(ready[0]);
        CHECK_EQ(write(up, "k", 1), 1);  // the other side types the key now
        CHECK_EQ(waitpid(p, &status, WUNTRACED), p);
        CHECK_OK(tcsetpgrp(0, getpgrp()));
        if (keys[i] == SIGTSTP) {
            CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
            CHECK_OK(kill(-p, SIGCONT));
            CHECK_EQ(waitpid(p, &status, WCONTINUED), p);
            CHECK_OK(kill(-p, SIGTERM));
            CHECK_KILLED(p, SIGTERM);
        } else {
            CHECK(WIFSIGNALED(status) && WTERMSIG(status) == keys[i]);
        }
    }
    pid_t p = fork();  // a background job reads the terminal
    if (p == 0) {
        setpgid(0, 0);
        _exit(read(0, &c, 1) == 1 ? c : 1);
    }
    setpgid(p, p);
    CHECK_EQ(waitpid(p, &status, WUNTRACED), p);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTIN);
    CHECK_OK(tcsetpgrp(0, p));
    CHECK_OK(kill(-p, SIGCONT));
    CHECK_EQ(write(up, "l", 1), 1);  // a line for it
    CHECK_EXIT(p, 'L');
    CHECK_OK(tcsetpgrp(0, getpgrp()));
    p = fork();  // a background job changes the terminal
    if (p == 0) {
        struct termios mode;
        setpgid(0, 0);
        signal(SIGTTOU, SIG_DFL);
        CHECK_OK(tcgetattr(0, &mode));
        tcsetattr(0, TCSANOW, &mode);
        _exit(0);
    }
    setpgid(p, p);
    CHECK_EQ(waitpid(p, &status, WUNTRACED), p);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTOU);
    CHECK_OK(kill(-p, SIGKILL));
    CHECK_KILLED(p, SIGKILL);
    CHECK_EQ(write(up, "w", 1), 1);
    while (!winch) sleep_ms(1);
    CHECK_EQ(write(up, "h", 1), 1);
    while (!hup) sleep_ms(1);
    CHECK_EQ(write(up, "e", 1), 1);
    _exit(17);
}

int main(void) {
    int master, up[2], ready[2];
    make_pipe(up);
    make_pipe(ready);
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    pid_t p = forkpty(&master, NULL, NULL, NULL);
    CHECK_OK(p);
    if (p == 0) shell(up[1], ready);
    const char* keys[] = {"\3", "\32", "\34"};
    const char* names[] = {"Ctrl-C", "Ctrl-Z", "Ctrl-\\"};
    for (int i = 0; i < 3; i++) {
        sync_with(up[0]);
        CHECK_EQ(write(master, keys[i], 1), 1);
        say("%s", names[i]);
    }
    sync_with(up[0]);
    CHECK_EQ(write(master, "L\n", 2), 2);
    say("SIGTTIN");
    sync_with(up[0]);
    say("SIGTTOU");
    struct winsize size = {10, 10, 0, 0};
    CHECK_OK(ioctl(master, TIOCSWINSZ, &size));
    sync_with(up[0]);
    say("SIGWINCH");
    close(master);
    sync_with(up[0]);
    say("SIGHUP");
    CHECK_EXIT(p, 17);
}
