// a_disarmed_stack_can_be_armed_in_its_handler.c - SS_AUTODISARM: the handler finds its stack disabled, may set it again, twice.
#include "check.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

static char stack[65536];
static int handled;

static void look(int sig, siginfo_t* info, void* context) {
    (void)info;
    (void)context;
    char here;
    CHECK_EQ(sig, SIGUSR1);
    CHECK(&here > stack && &here < stack + sizeof stack);
    stack_t now, again = {.ss_sp = stack, .ss_size = sizeof stack, .ss_flags = (int)SS_AUTODISARM};
    CHECK_OK(sigaltstack(NULL, &now));
    CHECK_EQ(now.ss_flags, SS_DISABLE);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(sigaltstack(&again, &now));
        CHECK_OK(sigaltstack(NULL, &now));
        CHECK_EQ(now.ss_flags, (int)SS_AUTODISARM);
    }
    handled++;
}

int main(void) {
    stack_t s = {.ss_sp = stack, .ss_size = sizeof stack, .ss_flags = (int)SS_AUTODISARM}, now;
    CHECK_OK(sigaltstack(&s, NULL));
    handle_info(SIGUSR1, look, SA_ONSTACK);
    for (int i = 0; i < 3; i++) raise(SIGUSR1);
    CHECK_EQ(handled, 3);
    CHECK_OK(sigaltstack(NULL, &now));
    CHECK_EQ(now.ss_flags, (int)SS_AUTODISARM);
    CHECK_EQ(now.ss_size, sizeof stack);
    say("ok");
}
