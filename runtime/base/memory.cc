// memory.cc - pages and byte routines (see memory.h)
#include "runtime/base/memory.h"

#include <asm/errno.h>
#include <sys/mman.h>

extern "C" {

#ifndef OCRUN_HOSTED  // unit tests are ordinary programs with sanitizers: libc's own serve there
void* memcpy(void* to, const void* from, size_t n) noexcept {
    void* start = to;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
    return start;
}

void* memmove(void* to, const void* from, size_t n) noexcept {
    if ((size_t)to - (size_t)from >= n) return memcpy(to, from, n);
    char* d = (char*)to + n;
    const char* s = (const char*)from + n;
    while (n--) {
        *--d = *--s;
        asm volatile("" ::: "memory");  // keep the compiler from turning this into a call of itself
    }
    return to;
}

void* memset(void* to, int value, size_t n) noexcept {
    void* start = to;
    asm volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
    return start;
}

int memcmp(const void* a, const void* b, size_t n) noexcept {
    const unsigned char *x = (const unsigned char*)a, *y = (const unsigned char*)b;
    for (; n; n--, x++, y++)
        if (*x != *y) return *x < *y ? -1 : 1;
    return 0;
}
#endif

long oc_copy(void* to, const void* from, size_t n);
long oc_copy_text(char* to, const char* from, size_t size);
long oc_load_u32(const ocrun::u32* from, ocrun::u32* value);
long oc_load_u64(const ocrun::u64* from, ocrun::u64* value);
long oc_store_u64(ocrun::u64* at, ocrun::u64 value);
long oc_store_u32(ocrun::u32* at, ocrun::u32 value);
long oc_cas_u32(ocrun::u32* at, ocrun::u32 expected, ocrun::u32 desired, ocrun::u32* old);
}

// No instruction between begin and end touches the stack, so the fault handler may resume at oc_copy_fault with the
// registers as they are: it returns -EFAULT to the caller of the routine that faulted.
asm(R"(
.pushsection .text
.balign 16
.globl oc_copy_begin, oc_copy_end, oc_copy_fault
.globl oc_copy, oc_copy_text, oc_load_u32, oc_load_u64, oc_store_u64, oc_store_u32, oc_cas_u32
oc_copy_begin:
oc_copy:
    mov %rdx, %rcx
    rep movsb
    xor %eax, %eax
    ret
oc_copy_text:
    xor %eax, %eax
1:  cmp %rdx, %rax
    jae 2f
    movzbl (%rsi,%rax), %ecx
    mov %cl, (%rdi,%rax)
    test %cl, %cl
    jz 3f
    inc %rax
    jmp 1b
2:  mov $-36, %rax
3:  ret
oc_load_u32:
    mov (%rdi), %eax
    mov %eax, (%rsi)
    xor %eax, %eax
    ret
oc_load_u64:
    mov (%rdi), %rax
    mov %rax, (%rsi)
    xor %eax, %eax
    ret
oc_store_u64:
    mov %rsi, (%rdi)
    xor %eax, %eax
    ret
oc_store_u32:
    mov %esi, (%rdi)
    xor %eax, %eax
    ret
oc_cas_u32:
    mov %esi, %eax
    mov %rcx, %r8
    lock cmpxchg %edx, (%rdi)
    mov %eax, (%r8)
    xor %eax, %eax
    ret
oc_copy_end:
oc_copy_fault:
    mov $-14, %rax
    ret
.popsection
)");

namespace ocrun {

static_assert(ENAMETOOLONG == 36 && EFAULT == 14, "oc_copy_text and oc_copy_fault return these");

void* pages_alloc(size_t bytes) {
    long r = sys(__NR_mmap, nullptr, page_up(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return is_error(r) ? nullptr : (void*)r;
}

void* pages_alloc_aligned(size_t bytes, size_t alignment) {
    bytes = page_up(bytes);
    char* raw = (char*)pages_alloc(bytes + alignment);
    if (!raw) return nullptr;
    char* start = (char*)(((size_t)raw + alignment - 1) & ~(alignment - 1));
    if (start > raw) pages_free(raw, size_t(start - raw));
    char* end = raw + bytes + alignment;
    if (end > start + bytes) pages_free(start + bytes, size_t(end - (start + bytes)));
    return start;
}

void pages_free(void* start, size_t bytes) { sys(__NR_munmap, start, page_up(bytes)); }

long copy_from_guest(void* to, const void* guest, size_t n) { return oc_copy(to, guest, n); }
long copy_to_guest(void* guest, const void* from, size_t n) { return oc_copy(guest, from, n); }
long copy_text_from_guest(char* to, const char* guest, size_t size) { return oc_copy_text(to, guest, size); }
long guest_load_u32(const u32* guest, u32* value) { return oc_load_u32(guest, value); }
long guest_load_u64(const u64* guest, u64* value) { return oc_load_u64(guest, value); }
long guest_store_u64(u64* guest, u64 value) { return oc_store_u64(guest, value); }
long guest_store_u32(u32* guest, u32 value) { return oc_store_u32(guest, value); }
long guest_cas_u32(u32* guest, u32 expected, u32 desired, u32* old) {
    return oc_cas_u32(guest, expected, desired, old);
}

}  // namespace ocrun
