// initial_stack.h - argc, argv, envp and auxv as the guest's entry point finds them
//
// The guest starts on the stack the kernel gave to ocrun ([stack] in maps, growth, pthread_getattr_np and
// setproctitle stay true). Strings stay where the kernel put them; only the vectors are new. They are built elsewhere
// ("the block"), already relocated for their place right below the kernel's own argc, and copied there at the last
// moment:
//
//     low   rsp -> argc | argv… 0 | envp… 0 | auxv… AT_NULL | exec path, rebuilt argument strings   <- the block
//     top_address -> the kernel's argc, argv, envp, auxv (dead from now on)
//     high           argument strings, environment strings, the kernel's exec path                  <- still used
//
// When the guest's argv is a tail of ocrun's, its strings are contiguous up to the environment, as natively. With a
// `#!` prefix they are copied into the block as one contiguous area, and /proc/PID/cmdline shows that area; programs
// that overwrite their argv (setproctitle) look for contiguity and find it end before the environment.
#pragma once
#include <elf.h>

#include "runtime/base/text.h"
#include "runtime/host/elf_image.h"

namespace ocrun {

// What the kernel gave to ocrun, and what the guest is to see.
struct StackInputs {
    int argc = 0;  // ocrun's own
    char** argv = nullptr;
    char** envp = nullptr;  // the kernel's, or a shorter list of its strings
    const Elf64_auxv_t* auxv = nullptr;
    int first_arg =
        0;  // index in argv of the guest's argv[0]; argc if there is none (it becomes "", as since Linux 5.18)
    unsigned prefix_count = 0;  // strings that replace argv[first_arg] (exec_target.h)
    const char* const* prefix = nullptr;
    const char* exec_path = nullptr;  // AT_EXECFN
    const LoadedImage* image = nullptr;
};

struct InitialStack {
    u64 rsp = 0;       // final address of argc, a multiple of 16
    size_t bytes = 0;  // length of the block: copy `bytes` from the buffer's start to rsp; rsp + bytes == top_address
    const void* auxv_copy = nullptr;     // the auxv inside the buffer; readable before the block is copied
    u64 auxv_start = 0, auxv_bytes = 0;  // final address; the bytes include AT_NULL
    u64 arg_start = 0, arg_end = 0, env_start = 0, env_end = 0;  // the strings, for /proc (identity.h)
};

// Bytes of a buffer that is surely large enough.
size_t initial_stack_bytes(const StackInputs& in);

// Builds the block for an end at top_address (the address of the kernel's argc) into the buffer's start. 0, or
// -E2BIG: the buffer is too small. Copies strings that it may not leave behind: exec_path, and the arguments when
// there is a prefix. AT_PHDR, PHENT, PHNUM, BASE, ENTRY and EXECFN are the image's; AT_HWCAP2 loses FSGSBASE (a guest
// must not think wrgsbase is free for it); all other entries are the kernel's. Pure.
long build_initial_stack(const StackInputs& in, u64 top_address, char* buffer, size_t buffer_size, InitialStack* out);

// Makes the kernel's initial stack executable, for an image with exec_stack. 0 or -errno of mprotect(2). It covers
// everything from the stack's low end to the end of the page with the highest string of `in`.
long enable_exec_stack(const StackInputs& in);

}  // namespace ocrun
