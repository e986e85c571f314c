// elf_plan.cc - validation of ELF files (see elf_plan.h)
#include "runtime/host/elf_plan.h"

#include <asm/errno.h>
#include <asm/stat.h>
#include <linux/limits.h>

#include "runtime/base/memory.h"

namespace ocrun {
namespace {

long refuse(Text* why, long error, const char* reason) {
    why->add(reason);
    return error;
}

long plan_segment(const Elf64_Phdr& segment, u64 file_bytes, ElfPlan* plan, Text* why) {
    if (segment.p_filesz > segment.p_memsz)
        return refuse(why, -EINVAL, "a segment is larger in the file than in memory");
    if (segment.p_vaddr >= kTaskEnd || segment.p_memsz > kTaskEnd - segment.p_vaddr)
        return refuse(why, -EINVAL, "a segment lies outside of the address space");
    if (segment.p_filesz) {
        if (segment.p_offset > file_bytes || segment.p_filesz > file_bytes - segment.p_offset)
            return refuse(why, -ENOEXEC, "the file is truncated");
        if ((segment.p_offset ^ segment.p_vaddr) & (kPageBytes - 1))
            return refuse(why, -EINVAL, "a segment's file offset does not fit its address");
    }
    u64 begin = segment.p_vaddr, file_end = begin + segment.p_filesz, end = begin + segment.p_memsz;
    bool first = plan->highest == 0 && plan->lowest == ~0ul;
    if (first) plan->first_vaddr = begin;
    if (!first && page_down(begin) < plan->highest) plan->ascending = false;
    if (page_down(begin) < plan->lowest) plan->lowest = page_down(begin);
    if (page_up(end) > plan->highest) plan->highest = page_up(end);
    u64 align = segment.p_align;
    if (align && !(align & (align - 1)) && align > plan->alignment) plan->alignment = align;
    if (segment.p_flags & PF_X) {
        if (begin < plan->code_start) plan->code_start = begin;
        if (file_end > plan->code_end) plan->code_end = file_end;
    }
    if (begin > plan->data_start) plan->data_start = begin;
    if (file_end > plan->data_end) plan->data_end = file_end;
    if (end > plan->memory_end) plan->memory_end = end;
    return 0;
}

// Reads exactly `bytes`: 0, -ENODATA at the end of the file, or pread's error.
long read_exactly(int fd, void* to, size_t bytes, u64 offset) {
    for (size_t done = 0; done < bytes;) {
        long r = sys(__NR_pread64, fd, (char*)to + done, bytes - done, offset + done);
        if (r == -EINTR) continue;
        if (r < 0) return r;
        if (r == 0) return -ENODATA;
        done += size_t(r);
    }
    return 0;
}

}  // namespace

long check_elf_header(const Elf64_Ehdr& header, Text* why) {
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        return refuse(why, -ENOEXEC, "neither an ELF program nor a script with #!");
    if (header.e_ident[EI_CLASS] == ELFCLASS32)
        return refuse(why, -ENOEXEC, "a 32-bit program; only 64-bit x86-64 programs can run");
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        header.e_machine != EM_X86_64)
        return refuse(why, -ENOEXEC, "built for another kind of processor; only 64-bit x86-64 programs can run");
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
        return refuse(why, -ENOEXEC, "an ELF file that is not a program");
    if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 ||
        header.e_phnum > kElfTableBytes / sizeof(Elf64_Phdr) || header.e_phoff > ~0ul - kElfTableBytes)
        return refuse(why, -ENOEXEC, "a bad program header table");
    return 0;
}

long plan_elf(const Elf64_Ehdr& header, const Elf64_Phdr* phdrs, u64 file_bytes, ElfPlan* plan, Text* why) {
    *plan = ElfPlan{};
    plan->phdrs = phdrs;
    plan->phnum = header.e_phnum;
    plan->position_independent = header.e_type == ET_DYN;
    plan->ascending = true;
    plan->lowest = ~0ul;
    plan->alignment = kPageBytes;
    plan->entry = header.e_entry;
    plan->code_start = ~0ul;
    bool phdr_found = false;
    for (unsigned i = 0; i < plan->phnum; i++) {
        const Elf64_Phdr& segment = phdrs[i];
        if (segment.p_type == PT_GNU_STACK) plan->exec_stack = segment.p_flags & PF_X;
        if (segment.p_type == PT_INTERP && !plan->interp_bytes) {
            if (segment.p_filesz < 2 || segment.p_filesz > PATH_MAX || segment.p_offset > file_bytes ||
                segment.p_filesz > file_bytes - segment.p_offset)
                return refuse(why, -ENOEXEC, "a bad interpreter entry (PT_INTERP)");
            plan->interp_offset = segment.p_offset;
            plan->interp_bytes = segment.p_filesz;
        }
        if (segment.p_type != PT_LOAD) continue;
        if (long r = plan_segment(segment, file_bytes, plan, why)) return r;
        // Where the program finds its table in memory.
        if (!phdr_found && segment.p_offset <= header.e_phoff &&
            header.e_phoff - segment.p_offset < segment.p_filesz) {
            phdr_found = true;
            plan->phdr = header.e_phoff - segment.p_offset + segment.p_vaddr;
        }
    }
    if (plan->lowest >= plan->highest) return refuse(why, -EINVAL, "no segment to load");
    if (!plan->position_independent && plan->entry >= kTaskEnd)
        return refuse(why, -EINVAL, "the entry point lies outside of the address space");
    if (plan->code_start >= plan->code_end) {  // no executable segment; PR_SET_MM_MAP wants an ordered pair
        plan->code_start = plan->lowest;
        plan->code_end = plan->highest;
    }
    return 0;
}

long read_elf_plan(int fd, char* buffer, ElfPlan* plan, Text* why) {
    struct stat status;
    if (long r = sys(__NR_fstat, fd, &status)) return refuse(why, r, errno_text(r));
    long got = sys(__NR_pread64, fd, buffer, kElfTableBytes, 0);
    if (got < 0) return refuse(why, got, errno_text(got));
    Elf64_Ehdr header;
    if (size_t(got) < sizeof header) {
        bool elf = got >= SELFMAG && memcmp(buffer, ELFMAG, SELFMAG) == 0;
        return refuse(why, -EIO, elf ? "the file is truncated" : "neither an ELF program nor a script with #!");
    }
    memcpy(&header, buffer, sizeof header);
    if (long r = check_elf_header(header, why)) return r;
    size_t table_bytes = header.e_phnum * sizeof(Elf64_Phdr);
    const char* table = buffer + header.e_phoff;
    bool here =
        header.e_phoff <= size_t(got) && table_bytes <= size_t(got) - header.e_phoff && header.e_phoff % 8 == 0;
    if (!here) {
        table = buffer;
        long r = read_exactly(fd, buffer, table_bytes, header.e_phoff);
        if (r) return refuse(why, -ENOEXEC, "the file is truncated");
    }
    return plan_elf(header, (const Elf64_Phdr*)table, u64(status.st_size), plan, why);
}

long read_interpreter_path(int fd, const ElfPlan& plan, char* path, Text* why) {
    long r = read_exactly(fd, path, plan.interp_bytes, plan.interp_offset);
    if (r || path[plan.interp_bytes - 1] != 0) return refuse(why, -ENOEXEC, "a bad interpreter entry (PT_INTERP)");
    return 0;
}

long check_host_window(const ElfPlan& plan, Text* why) {
    if (plan.position_independent) return 0;
    for (unsigned i = 0; i < plan.phnum; i++) {
        const Elf64_Phdr& segment = plan.phdrs[i];
        if (segment.p_type != PT_LOAD) continue;
        if (page_down(segment.p_vaddr) < kHostWindowEnd &&
            page_up(segment.p_vaddr + segment.p_memsz) > kHostWindowBegin) {
            why->add("linked at a fixed address that ocrun itself needs (").hex(segment.p_vaddr);
            why->add(" lies in ")
                .hex(kHostWindowBegin)
                .add("..")
                .hex(kHostWindowEnd)
                .add("); link it elsewhere or as PIE");
            return -ENOMEM;
        }
    }
    return 0;
}

}  // namespace ocrun
