// stop_and_continue_a_threaded_child.c - SIGSTOP freezes all threads of the child, SIGCONT resumes them.
#include "check.h"

struct shared {
    volatile int ticks[4];
};
static struct shared* s;

static void* tick(void* arg) {
    for (;;) {
        s->ticks[(long)arg]++;
        sleep_ms(1);
    }
    return NULL;
}

int main(void) {
    s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t p = fork();
    CHECK_OK(p);
    if (p == 0) {
        setpgid(0, 0);  // its own group, not orphaned: SIGTSTP stops it
        for (long i = 1; i < 4; i++) start(tick, (void*)i);
        tick(NULL);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++)
            for (int before = s->ticks[i]; s->ticks[i] < before + 3;) sleep_ms(1);
        int status;
        CHECK_OK(kill(p, round == 1 ? SIGTSTP : SIGSTOP));
        CHECK_EQ(waitpid(p, &status, WUNTRACED), p);
        CHECK(WIFSTOPPED(status));
        CHECK_EQ(WSTOPSIG(status), round == 1 ? SIGTSTP : SIGSTOP);
        sleep_ms(20);
        int frozen[4];
        for (int i = 0; i < 4; i++) frozen[i] = s->ticks[i];
        sleep_ms(60);
        for (int i = 0; i < 4; i++) CHECK_EQ(s->ticks[i], frozen[i]);
        CHECK_OK(kill(p, SIGCONT));
        CHECK_EQ(waitpid(p, &status, WCONTINUED), p);
        CHECK(WIFCONTINUED(status));
    }
    CHECK_OK(kill(p, SIGKILL));
    CHECK_KILLED(p, SIGKILL);
    say("ok");
}
