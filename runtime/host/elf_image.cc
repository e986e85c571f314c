// elf_image.cc - mapping of ELF files (see elf_image.h)
#include "runtime/host/elf_image.h"

#include <asm/errno.h>
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/mman.h>
#include <linux/personality.h>

#include "runtime/host/elf_plan.h"
#include "runtime/host/owned.h"

extern "C" char _end;

namespace ocrun {
namespace {

// Two thirds of the address space, 0x555555554aaa, rounded down (arch/x86/include/asm/elf.h: ELF_ET_DYN_BASE).
constexpr u64 kPieBase = 0x555555554000;
constexpr u64 kPieBrk = kPieBase + kPageBytes;  // the same third rounded up: where the heap of a static-PIE begins
constexpr u64 kPieRandomPages = 1ul << 28;      // CONFIG_ARCH_MMAP_RND_BITS of x86-64
// How far brk starts behind the bss. Linux >= 6.9 takes up to 1 GiB; fixed programs keep the older 32 MiB here,
// because their heap grows towards ocrun's window.
constexpr u64 kBrkRandomPages = (1ul << 30) / kPageBytes;
constexpr u64 kBrkRandomPagesFixed = (32ul << 20) / kPageBytes;
constexpr u32 kGetrandomInsecure = 4;  // GRND_INSECURE: never blocks; good enough for address bits (Linux 5.6)

struct Randomness {
    bool addresses = true;  // PF_RANDOMIZE
    bool brk = true;        // kernel.randomize_va_space > 1
    u64 bits[2] = {};
};

void get_randomness(Randomness* random) {
    long persona = sys(__NR_personality, 0xffffffffu);
    if (!is_error(persona) && (persona & ADDR_NO_RANDOMIZE)) random->addresses = false;
    if (random->addresses && sys(__NR_brk, 0) >= long(page_up((u64)&_end) + kPageBytes)) {
        // The kernel moved ocrun's own brk away from its bss, which it does for kernel.randomize_va_space = 2 only.
    } else if (random->addresses) {
        OwnedFd setting(sys(__NR_openat, AT_FDCWD, "/proc/sys/kernel/randomize_va_space", O_RDONLY | O_CLOEXEC));
        char digit = '2';  // no /proc: the kernel's default
        if (setting.get() >= 0 && sys(__NR_read, setting.get(), &digit, 1) != 1) digit = '2';
        random->addresses = digit != '0';
        random->brk = digit != '0' && digit != '1';
    } else {
        random->brk = false;
    }
    if (!random->addresses) return;
    if (sys(__NR_getrandom, random->bits, sizeof random->bits, kGetrandomInsecure) != sizeof random->bits &&
        sys(__NR_getrandom, random->bits, sizeof random->bits, 0) != sizeof random->bits)
        random->bits[0] = random->bits[1] = 0;
}

long map_fixed(u64 at, u64 bytes, int protection, int flags, int fd, u64 offset) {
    return sys(__NR_mmap, at, bytes, protection, MAP_PRIVATE | MAP_FIXED | flags, fd, offset);
}

void unmap(u64 at, u64 bytes) {
    if (bytes) sys(__NR_munmap, at, bytes);
}

// Address space nobody has, or -errno; `at` 0 lets the kernel choose. -EEXIST also from kernels before 4.17, which
// take MAP_FIXED_NOREPLACE for a hint.
long reserve(u64 at, u64 bytes) {
    long r = sys(__NR_mmap, at, bytes, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED_NOREPLACE : 0), -1, 0);
    if (!is_error(r) && at && u64(r) != at) {
        unmap(u64(r), bytes);
        return -EEXIST;
    }
    return r;
}

// A chosen start that honours alignments above a page.
long reserve_anywhere(u64 bytes, u64 alignment) {
    if (alignment <= kPageBytes) return reserve(0, bytes);
    if (alignment > kTaskEnd || bytes > kTaskEnd - alignment) return -ENOMEM;
    long raw = reserve(0, bytes + alignment);
    if (is_error(raw)) return raw;
    u64 start = (u64(raw) + alignment - 1) & ~(alignment - 1);
    unmap(u64(raw), start - u64(raw));
    unmap(start + bytes, u64(raw) + alignment - start);
    return long(start);
}

struct PageRange {
    u64 begin, end;
};

// Pages of segment `index` that no earlier segment has (an earlier one in its middle is left to fail as a collision).
PageRange own_pages(const ElfPlan& plan, unsigned index) {
    const Elf64_Phdr& segment = plan.phdrs[index];
    PageRange pages{page_down(segment.p_vaddr), page_up(segment.p_vaddr + segment.p_memsz)};
    for (unsigned i = 0; i < index; i++) {
        const Elf64_Phdr& other = plan.phdrs[i];
        if (other.p_type != PT_LOAD) continue;
        u64 begin = page_down(other.p_vaddr), end = page_up(other.p_vaddr + other.p_memsz);
        if (begin <= pages.begin && end > pages.begin) pages.begin = end;
        if (begin < pages.end && end >= pages.end) pages.end = begin;
    }
    return pages;
}

void release_segments(const ElfPlan& plan, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        if (plan.phdrs[i].p_type != PT_LOAD) continue;
        PageRange pages = own_pages(plan, i);
        if (pages.begin < pages.end) unmap(pages.begin, pages.end - pages.begin);
    }
}

// For a fixed program whose span contains foreign mappings: only what the segments cover.
long reserve_segments(const ElfPlan& plan) {
    for (unsigned i = 0; i < plan.phnum; i++) {
        if (plan.phdrs[i].p_type != PT_LOAD) continue;
        PageRange pages = own_pages(plan, i);
        if (pages.begin >= pages.end) continue;
        long r = reserve(pages.begin, pages.end - pages.begin);
        if (is_error(r)) {
            release_segments(plan, i);
            return r;
        }
    }
    return 0;
}

// Where one image goes: the pages are reserved and wait for map_segments.
struct Place {
    u64 bias = 0;        // added to the file's addresses
    bool whole = false;  // the whole span is reserved, holes included
};

long place_image(const ElfPlan& plan, bool at_pie_base, const Randomness& random, Place* place) {
    u64 span = plan.highest - plan.lowest;
    place->whole = true;
    if (!plan.position_independent) {
        // Address 0 is none that mmap's hint can name; without CAP_SYS_RAWIO the kernel refuses it as well.
        if (plan.lowest == 0) return -EPERM;
        long r = reserve(plan.lowest, span);
        if (r != -EEXIST && r != -ENOMEM) return is_error(r) ? r : 0;
        place->whole = false;
        return reserve_segments(plan);
    }
    if (at_pie_base) {
        u64 base = kPieBase;
        if (random.addresses) base += (random.bits[0] & (kPieRandomPages - 1)) * kPageBytes;
        base &= ~(plan.alignment - 1);
        u64 bias = page_down(base - plan.first_vaddr), start = plan.lowest + bias;
        if (start != 0 && start < kTaskEnd && span <= kTaskEnd - start && !is_error(reserve(start, span))) {
            place->bias = bias;
            return 0;
        }
    }
    long r = reserve_anywhere(span, plan.alignment);
    if (is_error(r)) return r;
    place->bias = u64(r) - plan.lowest;
    return 0;
}

long map_segment(int fd, const Elf64_Phdr& segment, u64 bias) {
    u64 start = segment.p_vaddr + bias, in_page = start & (kPageBytes - 1);
    u64 file_end = start + segment.p_filesz, end = start + segment.p_memsz;
    int protection = (segment.p_flags & PF_R ? PROT_READ : 0) | (segment.p_flags & PF_W ? PROT_WRITE : 0) |
                     (segment.p_flags & PF_X ? PROT_EXEC : 0);
    u64 mapped_end = page_down(start);
    if (segment.p_filesz) {
        mapped_end = page_up(file_end);
        long r =
            map_fixed(start - in_page, mapped_end - (start - in_page), protection, 0, fd, segment.p_offset - in_page);
        if (is_error(r)) return r;
        // The whole rest of the page, even behind p_memsz: ld.so allocates from there and expects zeroes.
        if (end > file_end && (protection & PROT_WRITE)) memset((void*)file_end, 0, mapped_end - file_end);
    }
    if (end > file_end && page_up(end) > mapped_end) {
        // As vm_brk_flags: readable and writable whatever the segment says.
        long r = map_fixed(mapped_end, page_up(end) - mapped_end, PROT_READ | PROT_WRITE | (protection & PROT_EXEC),
                           MAP_ANONYMOUS, -1, 0);
        if (is_error(r)) return r;
    }
    return 0;
}

void unmap_image(const ElfPlan& plan, const Place& place) {
    if (place.whole)
        unmap(plan.lowest + place.bias, plan.highest - plan.lowest);
    else
        release_segments(plan, plan.phnum);
}

// Fills the reserved place and opens the holes between the segments again.
long map_segments(int fd, const ElfPlan& plan, const Place& place) {
    u64 previous_end = plan.lowest;
    for (unsigned i = 0; i < plan.phnum; i++) {
        const Elf64_Phdr& segment = plan.phdrs[i];
        if (segment.p_type != PT_LOAD) continue;
        long r = map_segment(fd, segment, place.bias);
        if (r) {
            unmap_image(plan, place);
            return r;
        }
        u64 begin = page_down(segment.p_vaddr);
        if (place.whole && plan.ascending && begin > previous_end)
            unmap(previous_end + place.bias, begin - previous_end);
        previous_end = page_up(segment.p_vaddr + segment.p_memsz);
    }
    return 0;
}

long load_one(int fd, const ElfPlan& plan, bool at_pie_base, const Randomness& random, Place* place, Text* why) {
    long r = check_host_window(plan, why);
    if (r) return r;
    r = place_image(plan, at_pie_base, random, place);
    if (r == -EEXIST) {
        why->add("linked at a fixed address where something else is mapped already");
        return -ENOMEM;
    }
    if (!r) r = map_segments(fd, plan, *place);
    if (r) why->add("cannot map it: ").add(errno_text(r));
    return r;
}

u64 choose_brk(const ElfPlan& program, const Place& place, const Randomness& random) {
    bool own_loader = program.position_independent && !program.interp_bytes;
    u64 brk = own_loader ? kPieBrk : page_up(program.memory_end + place.bias);
    if (!random.brk) return brk;
    if (!own_loader) brk += kPageBytes;
    brk += random.bits[1] % (program.position_independent ? kBrkRandomPages : kBrkRandomPagesFixed) * kPageBytes;
    return brk >= kHostWindowBegin && brk < kHostWindowEnd ? kHostWindowEnd : brk;
}

// Buffers of load_image.
struct Work {
    alignas(8) char program_table[kElfTableBytes];
    alignas(8) char interp_table[kElfTableBytes];
    char interp_path[PATH_MAX];
};

// Finds and checks the program's interpreter; `opened` owns its file unless the caller gave one.
long plan_interpreter(int fd, const ElfPlan& program, Work* work, int* interp_fd, OwnedFd* opened, ElfPlan* interp,
                      Text* why) {
    long r = read_interpreter_path(fd, program, work->interp_path, why);
    if (r) return r;
    why->add("its interpreter ").add(work->interp_path).add(": ");
    if (*interp_fd < 0) {
        r = sys(__NR_openat, AT_FDCWD, work->interp_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (is_error(r)) {
            why->add(errno_text(r));
            return r;
        }
        opened->reset(int(r));
        *interp_fd = opened->get();
    }
    r = read_elf_plan(*interp_fd, work->interp_table, interp, why);
    return r == -ENOEXEC ? -ELIBBAD : r;
}

long load_both(int fd, int interp_fd, const char* shown_path, Work* work, LoadedImage* out, Text* why) {
    why->add(shown_path).add(": ");
    ElfPlan program, interp;
    long r = read_elf_plan(fd, work->program_table, &program, why);
    if (r == -EIO) r = -ENOEXEC;  // too short: for the program itself execve(2) says so
    if (r) return r;
    OwnedFd opened;
    if (program.interp_bytes) {
        r = plan_interpreter(fd, program, work, &interp_fd, &opened, &interp, why);
        if (r) return r;
        why->clear();
        why->add(shown_path).add(": ");
    }
    Randomness random;
    get_randomness(&random);
    Place place, interp_place;
    r = load_one(fd, program, program.interp_bytes != 0, random, &place, why);
    if (r) return r;
    if (program.interp_bytes) {
        why->add("its interpreter ").add(work->interp_path).add(": ");
        r = load_one(interp_fd, interp, false, random, &interp_place, why);
        if (r) {
            unmap_image(program, place);
            return r;
        }
    }
    *out = LoadedImage{};
    out->program_entry = program.entry + place.bias;
    out->entry = program.interp_bytes ? interp.entry + interp_place.bias : out->program_entry;
    out->phdr = program.phdr + place.bias;
    out->phnum = program.phnum;
    out->interp_base = program.interp_bytes ? interp_place.bias : 0;
    out->code_start = program.code_start + place.bias;
    out->code_end = program.code_end + place.bias;
    out->data_start = program.data_start + place.bias;
    out->data_end = program.data_end + place.bias;
    out->brk_start = choose_brk(program, place, random);
    out->has_interp = program.interp_bytes != 0;
    out->exec_stack = program.exec_stack;
    return 0;
}

}  // namespace

long load_image(int fd, const char* shown_path, LoadedImage* out, Text* why, int interp_fd) {
    why->clear();
    Work work;
    long r = load_both(fd, interp_fd, shown_path, &work, out, why);
    if (!r) why->clear();
    return r;
}

}  // namespace ocrun
