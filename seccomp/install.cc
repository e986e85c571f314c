// install.cc - see install.h
#include "seccomp/install.h"

#include <asm/errno.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include <cstddef>

namespace ocrun {
namespace {

bool has_sys_admin() {
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
    if (is_error(sys(__NR_capget, &header, data))) return false;
    return (data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN)) != 0;
}

}  // namespace

void write_gate(sock_filter* at, u64 text_begin, u64 text_end) {
    constexpr u32 kIpLow = offsetof(seccomp_data, instruction_pointer), kIpHigh = kIpLow + 4;
    *at++ = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kIpHigh);
    *at++ = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, u32(text_begin >> 32), 0, 4);
    *at++ = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kIpLow);
    *at++ = BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, u32(text_begin), 0, 2);
    *at++ = BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, u32(text_end), 1, 0);
    *at++ = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    *at++ = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
}

long prepare_install() {
    return has_sys_admin() ? 0 : sys(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

long install_program(const sock_filter* program, u32 length) {
    const sock_fprog fprog = {(unsigned short)length, const_cast<sock_filter*>(program)};
    // Without SPEC_ALLOW kernels before 5.16 turn speculative store bypass off for the whole program, at a price of
    // tens of per cent; kernels before 4.17 do not know the flag.
    long r = sys(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &fprog);
    return r == -EINVAL ? sys(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog) : r;
}

}  // namespace ocrun
