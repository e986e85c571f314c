// auxiliary_vector_is_sane.c - PHDR, PHNUM, ENTRY, BASE, EXECFN, RANDOM, SYSINFO_EHDR, PAGESZ, uids, MINSIGSTKSZ,
// SECURE.
// TEST: link=dynamic,static,static-pie,nopie,musl
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>

#include "check.h"

extern char _start[], __ehdr_start[];

int main(int argc, char** argv) {
    CHECK_EQ(getauxval(AT_PAGESZ), 4096);
    CHECK_EQ(getauxval(AT_CLKTCK), 100);
    CHECK_EQ(getauxval(AT_ENTRY), (uintptr_t)_start);
    CHECK_EQ(getauxval(AT_PHENT), sizeof(Elf64_Phdr));
    Elf64_Ehdr* header = (Elf64_Ehdr*)__ehdr_start;
    CHECK_EQ(getauxval(AT_PHNUM), header->e_phnum);
    CHECK_EQ(getauxval(AT_PHDR), (uintptr_t)header + header->e_phoff);
    CHECK_EQ(getauxval(AT_UID), getuid());
    CHECK_EQ(getauxval(AT_EUID), geteuid());
    CHECK_EQ(getauxval(AT_GID), getgid());
    CHECK_EQ(getauxval(AT_EGID), getegid());
    CHECK_EQ(getauxval(AT_SECURE), 0);
    CHECK(strcmp((char*)getauxval(AT_EXECFN), argv[0]) == 0);
    CHECK(strcmp((char*)getauxval(AT_PLATFORM), "x86_64") == 0);
    unsigned char* random = (unsigned char*)getauxval(AT_RANDOM);
    int different = 0;
    for (int i = 1; i < 16; i++) different += random[i] != random[0];
    CHECK(different > 3);
    Elf64_Ehdr* vdso = (Elf64_Ehdr*)getauxval(AT_SYSINFO_EHDR);
    CHECK(vdso && memcmp(vdso->e_ident, ELFMAG, 4) == 0);
    CHECK(getauxval(AT_HWCAP) != 0);
    CHECK(getauxval(51 /* AT_MINSIGSTKSZ */) >= 1024);
    Elf64_Ehdr* base = (Elf64_Ehdr*)getauxval(AT_BASE);
    int dynamic = 0;
    Elf64_Phdr* p = (Elf64_Phdr*)getauxval(AT_PHDR);
    for (unsigned i = 0; i < header->e_phnum; i++) dynamic |= p[i].p_type == PT_INTERP;
    if (dynamic) {
        CHECK(base && memcmp(base->e_ident, ELFMAG, 4) == 0);
    } else {
        CHECK(base == NULL);
    }
    CHECK_EQ((uintptr_t)argv % 8, 0);
    CHECK_EQ(((uintptr_t)argv - 8) % 16, 0);  // rsp at entry
    CHECK(argv[argc] == NULL);
    char** env = argv + argc + 1;
    while (*env) env++;
    Elf64_auxv_t* aux = (Elf64_auxv_t*)(env + 1);
    int count = 0;
    while (aux[count].a_type != AT_NULL) {
        for (int i = 0; i < count; i++) CHECK(aux[i].a_type != aux[count].a_type);
        count++;
    }
    CHECK(count >= 15);
    say("dynamic %d", dynamic);
}
