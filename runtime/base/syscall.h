// syscall.h - raw system calls of the runtime; no libc, no errno, no TLS
//
// Everything that runs between a guest's trap and its return ("the core") uses only these. A result is the
// kernel's own: >= 0 on success, -errno on failure. The calls are inlined into the runtime's text, which is
// what the filter's instruction-pointer gate lets through (seccomp/filter.h).
#pragma once
#include <cstddef>
#include <cstdint>

#include <asm/unistd.h>

namespace ocrun {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i32 = std::int32_t;
using i64 = std::int64_t;

// Largest errno the kernel returns (include/linux/err.h: MAX_ERRNO).
inline constexpr long kMaxErrno = 4095;
inline constexpr bool is_error(long result) { return result < 0 && result >= -kMaxErrno; }

template <class T>
inline long sysarg(T value) {
    if constexpr (__is_same(T, decltype(nullptr)))
        return 0;
    else
        return (long)value;
}

inline long raw_syscall(long nr, long a, long b, long c, long d, long e, long f) {
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    long result;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}

// sys(__NR_close, fd): arguments of any integral or pointer type, in order.
template <class A = int, class B = int, class C = int, class D = int, class E = int, class F = int>
inline long sys(long nr, A a = {}, B b = {}, C c = {}, D d = {}, E e = {}, F f = {}) {
    return raw_syscall(nr, sysarg(a), sysarg(b), sysarg(c), sysarg(d), sysarg(e), sysarg(f));
}

}  // namespace ocrun
