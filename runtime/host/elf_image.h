// elf_image.h - maps a program and its interpreter into this process, as the kernel's binfmt_elf does
//
// The first half of a user-space exec (the rest: initial_stack.h, identity.h). Segments get the protection, the
// zeroed rest of their last page and the bss that load_elf_binary() gives them; a PIE goes to 0x555555554000 plus 28
// random page bits, a program that is its own loader (static-PIE) and every PT_INTERP where mmap(2) puts them; fixed
// programs are never mapped over anything that exists.
#pragma once
#include "runtime/base/text.h"

namespace ocrun {

struct LoadedImage {
    u64 entry;          // where to jump: the interpreter's entry point if there is one, else the program's
    u64 program_entry;  // AT_ENTRY
    u64 phdr;           // AT_PHDR: address of the program's own header table
    u64 phnum;          // AT_PHNUM
    u64 interp_base;    // AT_BASE: load bias of the interpreter, 0 without one
    u64 code_start, code_end, data_start, data_end;
    u64 brk_start;
    bool has_interp;
    bool exec_stack;  // the program wants an executable stack: enable_exec_stack (initial_stack.h)
};

// Maps the ELF file behind `fd` (readable; it stays the caller's and may be closed afterwards) and its interpreter.
// `interp_fd` is the interpreter's file if the caller has it open (exec_target.h), else -1 and PT_INTERP is opened
// here. 0, or what execve(2) would say: -ENOEXEC (not a 64-bit x86-64 program, truncated), -EINVAL (impossible
// segments), -ELIBBAD or -EIO (the interpreter is no ELF file), -ENOMEM (no room, also: it needs ocrun's own
// addresses), -EPERM (below mmap_min_addr), the errors of opening the interpreter. `why` is overwritten: "PATH:
// reason" on failure, else empty. On failure nothing stays mapped. One thread only; blocks as reading files does.
long load_image(int fd, const char* shown_path, LoadedImage* out, Text* why, int interp_fd = -1);

}  // namespace ocrun
