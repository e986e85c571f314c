// elf_plan_test.cc - ELF headers, good and hostile
#include "runtime/host/elf_plan.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace ocrun {
namespace {

// A small PIE: text, data with bss, stack note.
struct File {
    Elf64_Ehdr header{};
    std::vector<Elf64_Phdr> phdrs;
    u64 bytes = 0x4000;

    File() {
        memcpy(header.e_ident, ELFMAG, SELFMAG);
        header.e_ident[EI_CLASS] = ELFCLASS64;
        header.e_ident[EI_DATA] = ELFDATA2LSB;
        header.e_type = ET_DYN;
        header.e_machine = EM_X86_64;
        header.e_phentsize = sizeof(Elf64_Phdr);
        header.e_phoff = sizeof header;
        header.e_entry = 0x1010;
        add(PT_LOAD, PF_R | PF_X, 0, 0, 0x2100, 0x2100);
        add(PT_LOAD, PF_R | PF_W, 0x2f00, 0x3f00, 0x200, 0x5000);
        add(PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0);
    }
    Elf64_Phdr& add(u32 type, u32 flags, u64 offset, u64 vaddr, u64 filesz, u64 memsz) {
        phdrs.push_back({type, flags, offset, vaddr, vaddr, filesz, memsz, 0x1000});
        header.e_phnum = Elf64_Half(phdrs.size());
        return phdrs.back();
    }
    long plan(ElfPlan* out, std::string* reason = nullptr) const {
        TextBuffer<256> why;
        long r = check_elf_header(header, &why);
        if (!r) r = plan_elf(header, phdrs.data(), bytes, out, &why);
        if (!r) r = check_host_window(*out, &why);
        if (reason) *reason = why.c_str();
        EXPECT_EQ(r != 0, why.size() != 0) << "an error has a reason, success has none";
        return r;
    }
};

long plan_of(const std::function<void(File&)>& change, std::string* reason = nullptr) {
    File file;
    change(file);
    ElfPlan plan;
    return file.plan(&plan, reason);
}

TEST(ElfPlan, ReadsAPie) {
    File file;
    ElfPlan plan;
    ASSERT_EQ(file.plan(&plan), 0);
    EXPECT_TRUE(plan.position_independent);
    EXPECT_FALSE(plan.exec_stack);
    EXPECT_EQ(plan.lowest, 0u);
    EXPECT_EQ(plan.highest, 0x9000u);
    EXPECT_EQ(plan.phdr, sizeof(Elf64_Ehdr));
    EXPECT_EQ(plan.code_start, 0u);
    EXPECT_EQ(plan.code_end, 0x2100u);
    EXPECT_EQ(plan.data_start, 0x3f00u);
    EXPECT_EQ(plan.data_end, 0x4100u);
    EXPECT_EQ(plan.memory_end, 0x8f00u);
    EXPECT_TRUE(plan.ascending);
}

TEST(ElfPlan, RefusesOtherFormatsWithEnoexec) {
    EXPECT_EQ(plan_of([](File& f) { f.header.e_ident[0] = 'X'; }), -ENOEXEC);
    EXPECT_EQ(plan_of([](File& f) { f.header.e_machine = EM_AARCH64; }), -ENOEXEC);
    EXPECT_EQ(plan_of([](File& f) { f.header.e_ident[EI_DATA] = ELFDATA2MSB; }), -ENOEXEC);
    EXPECT_EQ(plan_of([](File& f) { f.header.e_type = ET_CORE; }), -ENOEXEC);
    EXPECT_EQ(plan_of([](File& f) { f.header.e_type = ET_REL; }), -ENOEXEC);
    std::string reason;
    EXPECT_EQ(plan_of([](File& f) { f.header.e_ident[EI_CLASS] = ELFCLASS32; }, &reason), -ENOEXEC);
    EXPECT_NE(reason.find("32-bit"), std::string::npos);
}

TEST(ElfPlan, RefusesBadTables) {
    EXPECT_EQ(plan_of([](File& f) { f.header.e_phnum = 0; }), -ENOEXEC);
    EXPECT_EQ(plan_of([](File& f) { f.header.e_phnum = 74; }), -ENOEXEC);
    EXPECT_EQ(plan_of([](File& f) { f.header.e_phnum = 0xffff; }), -ENOEXEC);
    EXPECT_EQ(plan_of([](File& f) { f.header.e_phentsize = 32; }), -ENOEXEC);
    EXPECT_EQ(plan_of([](File& f) { f.header.e_phoff = ~0ul; }), -ENOEXEC);
}

TEST(ElfPlan, RefusesImpossibleSegments) {
    EXPECT_EQ(plan_of([](File& f) { f.phdrs[1].p_filesz = 0x5001; }), -EINVAL);
    EXPECT_EQ(plan_of([](File& f) { f.phdrs[1].p_memsz = ~0ul; }), -EINVAL);
    EXPECT_EQ(plan_of([](File& f) { f.phdrs[1].p_vaddr = ~0ul - 0xff; }), -EINVAL);
    EXPECT_EQ(plan_of([](File& f) { f.phdrs[1].p_vaddr = kTaskEnd; }), -EINVAL);
    EXPECT_EQ(plan_of([](File& f) { f.phdrs[1].p_vaddr = kTaskEnd - 0x100; }), -EINVAL);
    EXPECT_EQ(plan_of([](File& f) { f.phdrs[1].p_offset += 1; }), -EINVAL);
    EXPECT_EQ(plan_of([](File& f) { f.phdrs[0].p_type = f.phdrs[1].p_type = PT_NULL; }), -EINVAL);
}

TEST(ElfPlan, RefusesTruncatedFilesWithEnoexec) {
    std::string reason;
    EXPECT_EQ(plan_of([](File& f) { f.bytes = 0x2000; }, &reason), -ENOEXEC);
    EXPECT_NE(reason.find("truncated"), std::string::npos);
    EXPECT_EQ(plan_of([](File& f) { f.phdrs[1].p_offset = ~0ul - 0xff; }), -ENOEXEC);
    EXPECT_EQ(plan_of([](File& f) { f.phdrs[1].p_offset = 0x7ffffffffffff000 + 0xf00; }), -ENOEXEC);
}

TEST(ElfPlan, ChecksTheInterpreterEntry) {
    File file;
    Elf64_Phdr& interp = file.add(PT_INTERP, PF_R, 0x100, 0x100, 28, 28);
    ElfPlan plan;
    ASSERT_EQ(file.plan(&plan), 0);
    EXPECT_EQ(plan.interp_offset, 0x100u);
    EXPECT_EQ(plan.interp_bytes, 28u);
    for (u64 bytes : {0ul, 1ul, 4097ul, ~0ul}) {
        interp.p_filesz = bytes;
        EXPECT_EQ(file.plan(&plan), -ENOEXEC) << bytes;
    }
    interp.p_filesz = 28;
    interp.p_offset = ~0ul - 3;
    EXPECT_EQ(file.plan(&plan), -ENOEXEC);
}

TEST(ElfPlan, HonoursOnlyPowersOfTwoAsAlignment) {
    ElfPlan plan;
    File file;
    file.phdrs[0].p_align = 0x200000;
    file.phdrs[1].p_align = 0x300000;
    ASSERT_EQ(file.plan(&plan), 0);
    EXPECT_EQ(plan.alignment, 0x200000u);
}

TEST(ElfPlan, FixedProgramOverTheHostIsRefusedWithEnomem) {
    auto fixed_at = [](u64 address) {
        return [address](File& f) {
            f.header.e_type = ET_EXEC;
            f.phdrs[0].p_vaddr += address;
            f.phdrs[1].p_vaddr += address;
        };
    };
    EXPECT_EQ(plan_of(fixed_at(0x400000)), 0);
    EXPECT_EQ(plan_of(fixed_at(kHostWindowBegin)), -ENOMEM);
    EXPECT_EQ(plan_of(fixed_at(kHostWindowBegin - 0x8000)), -ENOMEM);
    EXPECT_EQ(plan_of(fixed_at(kHostWindowBegin - 0x9000)), 0);
    EXPECT_EQ(plan_of(fixed_at(kHostWindowEnd - 0x1000)), -ENOMEM);
    EXPECT_EQ(plan_of(fixed_at(kHostWindowEnd)), 0);
}

TEST(ElfPlan, ExecStackComesFromTheNote) {
    File file;
    file.phdrs[2].p_flags |= PF_X;
    ElfPlan plan;
    ASSERT_EQ(file.plan(&plan), 0);
    EXPECT_TRUE(plan.exec_stack);
}

// Whatever the bytes say, an accepted plan obeys what the loader relies on.
TEST(ElfPlan, AcceptedPlansAreSafeForTheLoader) {
    std::mt19937_64 random(20240611);
    const u64 values[] = {0,        1,         0xfff, 0x1000,       0x1001,    kTaskEnd - 1,
                          kTaskEnd, 1ul << 63, ~0ul,  ~0ul - 0xfff, 0x7fffffff};
    int accepted = 0;
    for (int i = 0; i < 200000; i++) {
        File file;
        if (random() % 2) file.header.e_type = ET_EXEC;
        if (random() % 3 == 0) file.add(PT_INTERP, PF_R, 0x100, 0x100, 28, 28);
        for (unsigned changes = 1 + random() % 3; changes--;) {
            u64* words = (u64*)&file.phdrs[random() % file.phdrs.size()];
            u64& word = words[random() % 7];
            word = random() % 2 ? values[random() % std::size(values)] : word + (random() % 9 - 4) * 0x1000;
        }
        ElfPlan plan;
        if (file.plan(&plan)) continue;
        accepted++;
        ASSERT_LT(plan.lowest, plan.highest);
        ASSERT_LE(plan.highest, kTaskEnd);
        ASSERT_LT(plan.code_start, plan.code_end);
        ASSERT_LE(plan.data_start, plan.data_end);
        ASSERT_LE(plan.interp_bytes, 4096u);
        for (const Elf64_Phdr& segment : file.phdrs) {
            if (segment.p_type != PT_LOAD) continue;
            ASSERT_LE(segment.p_filesz, segment.p_memsz);
            ASSERT_GE(segment.p_vaddr, plan.lowest);
            ASSERT_LE(segment.p_vaddr + segment.p_memsz, plan.highest);
            if (!segment.p_filesz) continue;
            ASSERT_LE(segment.p_offset + segment.p_filesz, file.bytes);
            ASSERT_EQ(segment.p_offset % 4096, segment.p_vaddr % 4096);
        }
    }
    EXPECT_GT(accepted, 1000);
}

long read_plan(const std::string& content) {
    int fd = memfd_create("elf", MFD_CLOEXEC);
    EXPECT_EQ(write(fd, content.data(), content.size()), ssize_t(content.size()));
    alignas(8) char table[kElfTableBytes];
    ElfPlan plan;
    TextBuffer<256> why;
    long r = read_elf_plan(fd, table, &plan, &why);
    close(fd);
    return r;
}

TEST(ElfPlan, ReadsFilesOfEveryLength) {
    File file;
    std::string content((const char*)&file.header, sizeof file.header);
    content.append((const char*)file.phdrs.data(), file.phdrs.size() * sizeof(Elf64_Phdr));
    content.resize(file.bytes);
    EXPECT_EQ(read_plan(content), 0);
    for (size_t n = 0; n < sizeof(Elf64_Ehdr); n++) EXPECT_EQ(read_plan(content.substr(0, n)), -EIO) << n;
    for (size_t n = sizeof(Elf64_Ehdr); n < 300; n++) EXPECT_EQ(read_plan(content.substr(0, n)), -ENOEXEC) << n;
}

TEST(ElfPlan, FindsATableFarBehindOrUnaligned) {
    for (u64 offset : {0x2ffful, 0x3000ul, 71ul}) {
        File file;
        file.header.e_phoff = offset;
        std::string content((const char*)&file.header, sizeof file.header);
        content.resize(file.bytes);
        content.replace(offset, file.phdrs.size() * sizeof(Elf64_Phdr), (const char*)file.phdrs.data(),
                        file.phdrs.size() * sizeof(Elf64_Phdr));
        EXPECT_EQ(read_plan(content), 0) << offset;
    }
}

}  // namespace
}  // namespace ocrun
