// site_plans.cc - prints how each `0f 05` in the executable segments of ELF files would be rewritten (tests/suites/sites.py)
//
// One line each: ADDRESS TACTIC PATCH_ADDRESS OFFSET,OFFSET… - addresses as in the file, offsets of the moved instructions.
#include <elf.h>
#include <stdio.h>
#include <string.h>

#include <fstream>
#include <iterator>
#include <vector>

#include "seccomp/rewrite/plan.h"

using namespace ocrun;

namespace {

const char* name_of(Tactic t) {
    switch (t) {
        case Tactic::mov_imm: return "mov_imm";
        case Tactic::upstream: return "upstream";
        case Tactic::window: return "window";
        case Tactic::none: break;
    }
    return "none";
}

void look_at(const std::vector<u8>& file, const Elf64_Phdr& p) {
    for (u64 at = 0; at + 2 <= p.p_filesz; at++) {
        const u8* code = file.data() + p.p_offset + at;
        if (code[0] != 0x0f || code[1] != 0x05) continue;
        u32 before = at < kWindowBefore ? u32(at) : kWindowBefore;
        u64 number = 0;
        if (at >= 5 && code[-5] == 0xb8) {
            u32 immediate;
            memcpy(&immediate, code - 4, 4);
            number = immediate;
        }
        SitePlan plan = plan_site(code - before, before, p.p_vaddr + at, number);
        printf("%lx %s %lx ", plan.site, name_of(plan.tactic), plan.patch_at);
        for (u32 i = 0; i < plan.count; i++) printf("%s%u", i ? "," : "", plan.moved[i].offset);
        printf("%s\n", plan.refused ? plan.refused : "");
    }
}

}  // namespace

int main(int argc, char** argv) {
    for (int i = 1; i < argc; i++) {
        std::ifstream in(argv[i], std::ios::binary);
        std::vector<u8> file((std::istreambuf_iterator<char>(in)), {});
        const Elf64_Ehdr* h = (const Elf64_Ehdr*)file.data();
        if (file.size() < sizeof *h || memcmp(h->e_ident, ELFMAG, SELFMAG) || h->e_phoff + h->e_phnum * sizeof(Elf64_Phdr) > file.size()) {
            fprintf(stderr, "site_plans: %s: not an ELF file\n", argv[i]);
            return 1;
        }
        const Elf64_Phdr* p = (const Elf64_Phdr*)(file.data() + h->e_phoff);
        for (int k = 0; k < h->e_phnum; k++)
            if (p[k].p_type == PT_LOAD && (p[k].p_flags & PF_X) && p[k].p_offset + p[k].p_filesz <= file.size()) look_at(file, p[k]);
    }
}
