// bpf_programs_are_checked_while_threads_compute.c - the verifier gives up with EAGAIN, a test run with EINTR, at any signal: natively
// nobody sends one (bpf(2))
#include "check.h"

#include <linux/bpf.h>

static volatile int over;

static void* computes(void* unused) {
    while (!over) {
    }
    return unused;
}

int main(void) {
    // A loop that the verifier follows for some milliseconds.
    struct bpf_insn program[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1},
        {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 1, .imm = 1},
        {.code = BPF_JMP | BPF_JLT | BPF_K, .dst_reg = 1, .off = -2, .imm = 50000},
        {.code = BPF_JMP | BPF_EXIT},
    };
    union bpf_attr load = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER};
    load.insns = (uintptr_t)program;
    load.insn_cnt = sizeof program / sizeof *program;
    load.license = (uintptr_t)"GPL";
    pthread_t t[2];
    for (int i = 0; i < 2; i++) t[i] = start(computes, NULL);
    for (int i = 0; i < 10; i++) {
        int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
        if (fd < 0 && (errno == EPERM || errno == ENOSYS)) {
            say("no BPF for this user");
            break;
        }
        CHECK_OK(fd);
        char in[64] = {}, out[256];
        union bpf_attr run = {};
        run.test.prog_fd = (unsigned)fd;
        run.test.data_in = (uintptr_t)in;
        run.test.data_size_in = sizeof in;
        run.test.data_out = (uintptr_t)out;
        run.test.data_size_out = sizeof out;
        run.test.repeat = 100;
        CHECK_OK(syscall(SYS_bpf, BPF_PROG_TEST_RUN, &run, sizeof run));
        CHECK_EQ(run.test.retval, 0);
        close(fd);
    }
    union bpf_attr wrong = {.prog_type = ~0u};
    CHECK_EQ(syscall(SYS_bpf, BPF_PROG_LOAD, &wrong, sizeof wrong), -1);
    over = 1;
    for (int i = 0; i < 2; i++) finish(t[i]);
    say("ok");
}
