// memory.h - pages, small byte routines and fault-safe copies from and to guest memory
#pragma once
#include "runtime/base/syscall.h"

// The compiler may emit calls to these; the core's own definitions (memory.cc) use no vector registers and no IFUNC.
extern "C" {
void* memcpy(void* to, const void* from, size_t n) noexcept;
void* memmove(void* to, const void* from, size_t n) noexcept;
void* memset(void* to, int value, size_t n) noexcept;
int memcmp(const void* a, const void* b, size_t n) noexcept;
}

namespace ocrun {

inline constexpr size_t kPageBytes = 4096;
inline constexpr u64 page_down(u64 x) { return x & ~u64(kPageBytes - 1); }
inline constexpr u64 page_up(u64 x) { return (x + kPageBytes - 1) & ~u64(kPageBytes - 1); }

// Large zeroed tables of which most programs touch little lie behind all other variables: those share few pages then, and each page
// that is written costs a fault at every exec and two at every fork.
#define OC_APART __attribute__((section(".lbss")))

// Zeroed private pages, or nullptr. Never touches brk.
void* pages_alloc(size_t bytes);
// As pages_alloc, the start being a multiple of `alignment` (a power of two >= one page).
void* pages_alloc_aligned(size_t bytes, size_t alignment);
void pages_free(void* start, size_t bytes);

// Fault-safe copies: 0, or -EFAULT (part may have been copied). They never crash on a bad guest pointer: the
// SIGSEGV/SIGBUS handler resumes behind the copy (seccomp/trap.cc looks the faulting address up in
// [oc_copy_begin, oc_copy_end) and goes on at oc_copy_fault). Non-blocking.
long copy_from_guest(void* to, const void* guest, size_t n);
long copy_to_guest(void* guest, const void* from, size_t n);
// Copies a NUL-terminated string of at most size-1 bytes: its length, -EFAULT, or -ENAMETOOLONG.
long copy_text_from_guest(char* to, const char* guest, size_t size);

// One word each way: what masks, ids and times are made of.
long guest_load_u64(const u64* guest, u64* value);
long guest_store_u64(u64* guest, u64 value);
long guest_store_u32(u32* guest, u32 value);

template <class T>
inline long get_guest(T* to, const void* guest) {
    if constexpr (sizeof(T) == 8) return guest_load_u64((const u64*)guest, (u64*)to);
    return copy_from_guest(to, guest, sizeof(T));
}
template <class T>
inline long put_guest(void* guest, const T& value) {
    if constexpr (sizeof(T) == 8) return guest_store_u64((u64*)guest, __builtin_bit_cast(u64, value));
    if constexpr (sizeof(T) == 4) return guest_store_u32((u32*)guest, __builtin_bit_cast(u32, value));
    return copy_to_guest(guest, &value, sizeof(T));
}

// 32-bit atomic accesses to guest words, fault-safe: 0 or -EFAULT.
long guest_load_u32(const u32* guest, u32* value);
// One compare-and-swap; *old receives the value seen, success means *old == expected.
long guest_cas_u32(u32* guest, u32 expected, u32 desired, u32* old);

// Where the fault handler finds the copies' code.
extern "C" char oc_copy_begin[], oc_copy_end[], oc_copy_fault[];

}  // namespace ocrun
