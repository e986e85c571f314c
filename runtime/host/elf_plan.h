// elf_plan.h - what an ELF file asks for, checked; nothing is mapped here
//
// Reads the file header and the program headers of a 64-bit x86-64 ET_EXEC or ET_DYN file and verifies every number
// that the loader (elf_image.h) computes with: table size, file offsets, overlaps with the address space's end,
// alignments. After that no value of the file can make the loader overflow or touch memory that the file does not
// name. Follows elf(5) and fs/binfmt_elf.c of Linux; files are hostile input.
#pragma once
#include <elf.h>

#include "runtime/base/text.h"

namespace ocrun {

// First address user space may not have (arch/x86/include/asm/page_64_types.h: TASK_SIZE with 4-level paging).
inline constexpr u64 kTaskEnd = 0x7ffffffff000;
// ocrun's own place in every process. The same numbers stand in seccomp/syscall_table.h (the filter's IP gate), which
// this module must not include; scripts/check-includes holds the direction, the link address holds the value.
inline constexpr u64 kHostWindowBegin = 0x7c000000;
inline constexpr u64 kHostWindowEnd = 0x7e000000;
// Bytes of a buffer for read_elf_plan; the kernel too takes a program header table of one page at most.
inline constexpr size_t kElfTableBytes = 4096;

struct ElfPlan {
    const Elf64_Phdr* phdrs;  // in the caller's buffer
    unsigned phnum;
    bool position_independent;  // ET_DYN
    bool ascending;             // the PT_LOADs stand in order of address, none begins in another's pages
    bool exec_stack;            // PT_GNU_STACK with PF_X
    u64 first_vaddr;            // of the first PT_LOAD
    u64 lowest, highest;        // page-rounded bounds of all PT_LOADs
    u64 alignment;              // largest valid p_align, at least one page
    // Unrelocated addresses, as mm_struct's fields of the same names:
    u64 entry, phdr;
    u64 code_start, code_end, data_start, data_end, memory_end;
    u64 interp_offset, interp_bytes;  // PT_INTERP, NUL included; bytes 0: there is none
};

// 0, or -ENOEXEC: not ELF, not 64-bit, not x86-64, not a program, bad table. `why` receives the reason on failure.
long check_elf_header(const Elf64_Ehdr& header, Text* why);

// Fills *plan from a checked header and its table. 0, -ENOEXEC (truncated file, bad PT_INTERP) or -EINVAL (impossible
// segments), with the reason in `why`. Pure; `phdrs` must outlive the plan. `file_bytes` is the size of the file.
long plan_elf(const Elf64_Ehdr& header, const Elf64_Phdr* phdrs, u64 file_bytes, ElfPlan* plan, Text* why);

// The two above on an open file; `buffer` holds kElfTableBytes, aligned to 8, and must outlive the plan. Also -EIO
// for a file shorter than an ELF header and the errors of pread(2) and fstat(2). Blocks as reading a file does.
long read_elf_plan(int fd, char* buffer, ElfPlan* plan, Text* why);

// Reads the plan's PT_INTERP path into `path` (PATH_MAX bytes). 0, or -ENOEXEC when it is not terminated.
long read_interpreter_path(int fd, const ElfPlan& plan, char* path, Text* why);

// 0, or -ENOMEM with the reason: a program at fixed addresses that needs ocrun's own.
long check_host_window(const ElfPlan& plan, Text* why);

}  // namespace ocrun
