// hooks.h - which calls trap under a policy: the one answer that filter, parser, explain and runtime share
#pragma once
#include "seccomp/syscall_table.h"

namespace ocrun {

enum class Trap : u8 {
    never,         // the filter lets the kernel run it
    always,        // traps whatever its arguments are
    on_condition,  // traps when the row's Condition holds
};

// Calls that the kernel makes a thread enter by itself (a restarted sleep, uprobe trampolines): no policy can hook
// them.
inline constexpr bool never_hooked(unsigned nr) {
    return nr == 219 || nr == 335 || nr == 336;
}

// True when the policy says something about the call beyond "standard" and "native".
inline constexpr bool rule_intervenes(const SyscallRule& rule) {
    return (rule.action != Action::standard && rule.action != Action::native) || rule.log || rule.delay_us != 0;
}

// Calls that a signal ends with EINTR whatever SA_RESTART says (signal(7)). The runtime's own signals must not show, so these
// trap even where the policy says `native`; the worker then makes them itself.
inline constexpr bool signal_shows(unsigned nr) {
    switch (nr) {
        case 7:    // poll
        case 23:   // select
        case 35:   // nanosleep
        case 65:   // semop
        case 69:   // msgsnd
        case 70:   // msgrcv
        case 208:  // io_getevents
        case 220:  // semtimedop
        case 230:  // clock_nanosleep
        case 232:  // epoll_wait
        case 270:  // pselect6
        case 271:  // ppoll
        case 281:  // epoll_pwait
        case 333:  // io_pgetevents
        case 426:  // io_uring_enter
        case 441:  // epoll_pwait2
            return true;
        default:
            return false;
    }
}

// A policy's `native` is obeyed except for required rows, which the parser refuses anyway: the runtime must see them.
inline constexpr Trap trap_of(const Policy& policy, const SyscallRow& row) {
    if (never_hooked(row.nr)) return Trap::never;
    const SyscallRule& rule = policy.rules[row.nr];
    if (rule.action == Action::native && row.hook != Hook::required && !signal_shows(row.nr)) return Trap::never;
    if (rule_intervenes(rule)) return Trap::always;
    if (row.hook == Hook::none) return Trap::never;
    return row.condition == Condition::always ? Trap::always : Trap::on_condition;
}

}  // namespace ocrun
