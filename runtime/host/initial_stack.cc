// initial_stack.cc - the vectors of a new program (see initial_stack.h)
#include "runtime/host/initial_stack.h"

#include <asm/errno.h>
#include <linux/mman.h>

#include "runtime/base/memory.h"

namespace ocrun {
namespace {

constexpr u64 kHwcap2Fsgsbase = 2;  // arch/x86/include/uapi/asm/hwcap2.h
constexpr unsigned kMaxAuxv = 64;   // the kernel has 26 entries at most (AT_VECTOR_SIZE)
constexpr u64 kReplacedAuxv[] = {AT_PHDR, AT_PHENT, AT_PHNUM, AT_BASE, AT_ENTRY, AT_EXECFN};

struct Counts {
    size_t args = 0;  // of the guest
    size_t tail = 0;  // of these, how many are ocrun's own argv strings
    size_t env = 0;
    size_t kernel_auxv = 0;   // without AT_NULL
    size_t auxv = 0;          // of the guest, with AT_NULL
    size_t string_bytes = 0;  // exec path and copied arguments
    bool copy_args = false;
};

bool kernel_has(const StackInputs& in, size_t entries, u64 type) {
    for (size_t i = 0; i < entries; i++)
        if (in.auxv[i].a_type == type) return true;
    return false;
}

Counts count(const StackInputs& in) {
    Counts n;
    size_t given = size_t(in.argc > in.first_arg ? in.argc - in.first_arg : 0);
    n.copy_args = in.prefix_count || !given;
    n.tail = in.prefix_count && given ? given - 1 : given;
    n.args = n.tail + (in.prefix_count ? in.prefix_count : !given);
    while (in.envp[n.env]) n.env++;
    while (n.kernel_auxv < kMaxAuxv && in.auxv[n.kernel_auxv].a_type != AT_NULL) n.kernel_auxv++;
    n.auxv = n.kernel_auxv + 1;
    for (u64 type : kReplacedAuxv) n.auxv += !kernel_has(in, n.kernel_auxv, type);
    n.string_bytes = text_length(in.exec_path) + 1;
    if (!n.copy_args) return n;
    for (unsigned i = 0; i < in.prefix_count; i++) n.string_bytes += text_length(in.prefix[i]) + 1;
    for (size_t i = 0; i < n.tail; i++) n.string_bytes += text_length(in.argv[size_t(in.argc) - n.tail + i]) + 1;
    if (!in.prefix_count) n.string_bytes += 1;
    return n;
}

size_t vector_bytes(const Counts& n) {
    return 8 * (1 + n.args + 1 + n.env + 1) + sizeof(Elf64_auxv_t) * n.auxv;
}

u64 end_of(const char* text) {
    return u64(text) + text_length(text) + 1;
}

// Appends to the block: `at` walks through the buffer, `final` is where the same byte will be.
struct Strings {
    char* at;
    u64 final;
    u64 add(const char* text) {
        size_t bytes = text_length(text) + 1;
        memcpy(at, text, bytes);
        u64 address = final;
        at += bytes;
        final += bytes;
        return address;
    }
};

u64 replaced_value(const LoadedImage& image, u64 type, u64 exec_path) {
    switch (type) {
        case AT_PHDR:
            return image.phdr;
        case AT_PHENT:
            return sizeof(Elf64_Phdr);
        case AT_PHNUM:
            return image.phnum;
        case AT_BASE:
            return image.interp_base;
        case AT_ENTRY:
            return image.program_entry;
        default:
            return exec_path;
    }
}

// Copies the kernel's entries with the image's values; what the kernel had not goes to the end.
void write_auxv(const StackInputs& in, size_t entries, u64 exec_path, Elf64_auxv_t* to) {
    for (size_t i = 0; i < entries; i++) {
        *to = in.auxv[i];
        if (to->a_type == AT_HWCAP2) to->a_un.a_val &= ~kHwcap2Fsgsbase;
        for (u64 type : kReplacedAuxv)
            if (to->a_type == type) to->a_un.a_val = replaced_value(*in.image, type, exec_path);
        to++;
    }
    for (u64 type : kReplacedAuxv)
        if (!kernel_has(in, entries, type)) *to++ = Elf64_auxv_t{type, {replaced_value(*in.image, type, exec_path)}};
    *to = Elf64_auxv_t{AT_NULL, {0}};
}

}  // namespace

size_t initial_stack_bytes(const StackInputs& in) {
    Counts n = count(in);
    return page_up(vector_bytes(n) + n.string_bytes + 16);
}

long build_initial_stack(const StackInputs& in, u64 top_address, char* buffer, size_t buffer_size,
                         InitialStack* out) {
    Counts n = count(in);
    size_t vectors = vector_bytes(n);
    *out = InitialStack{};
    u64 rsp = (top_address - n.string_bytes - vectors) & ~15ul;
    size_t bytes = top_address - rsp;
    if (bytes > buffer_size) return -E2BIG;
    out->rsp = rsp;
    out->bytes = bytes;

    memset(buffer + vectors, 0, bytes - vectors - n.string_bytes);  // padding
    Strings strings{buffer + (bytes - n.string_bytes), top_address - n.string_bytes};
    u64* to = (u64*)buffer;
    *to++ = n.args;
    if (n.copy_args) {
        out->arg_start = strings.final;
        for (unsigned i = 0; i < in.prefix_count; i++) *to++ = strings.add(in.prefix[i]);
        if (!in.prefix_count) *to++ = strings.add("");
        for (size_t i = 0; i < n.tail; i++) *to++ = strings.add(in.argv[size_t(in.argc) - n.tail + i]);
        out->arg_end = strings.final;
    } else {
        for (size_t i = 0; i < n.tail; i++) *to++ = u64(in.argv[in.first_arg + int(i)]);
        out->arg_start = u64(in.argv[in.first_arg]);
        out->arg_end = end_of(in.argv[in.argc - 1]);
    }
    *to++ = 0;
    for (size_t i = 0; i < n.env; i++) *to++ = u64(in.envp[i]);
    *to++ = 0;
    out->env_start = n.env ? u64(in.envp[0]) : out->arg_end;
    out->env_end = n.env ? end_of(in.envp[n.env - 1]) : out->arg_end;

    u64 exec_path = strings.add(in.exec_path);
    out->auxv_copy = to;
    out->auxv_start = rsp + u64((char*)to - buffer);
    out->auxv_bytes = n.auxv * sizeof(Elf64_auxv_t);
    write_auxv(in, n.kernel_auxv, exec_path, (Elf64_auxv_t*)to);
    return 0;
}

long enable_exec_stack(const StackInputs& in) {
    u64 low = page_down(u64(in.argv)), high = u64(in.argv) + 1;
    for (size_t i = 0; in.auxv[i].a_type != AT_NULL; i++)
        if (in.auxv[i].a_type == AT_EXECFN) high = end_of((const char*)in.auxv[i].a_un.a_val);
    if (high <= low) high = low + 1;
    return sys(__NR_mprotect, low, page_up(high) - low, PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN);
}

}  // namespace ocrun
