// initial_stack_test.cc - the vector block is what a program's entry point expects
#include "runtime/host/initial_stack.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace ocrun {
namespace {

// A stack as the kernel lays it out, strings contiguous; and the block put in its place right below.
struct Kernel {
    std::vector<char> strings;
    std::vector<char*> argv, envp;
    std::vector<Elf64_auxv_t> auxv{
        {AT_SYSINFO_EHDR, {0x7000}}, {AT_PHDR, {1}},   {AT_PHNUM, {2}},  {AT_BASE, {3}},           {AT_ENTRY, {4}},
        {AT_RANDOM, {0x1234}},       {AT_HWCAP2, {3}}, {AT_EXECFN, {5}}, {AT_MINSIGSTKSZ, {3632}}, {AT_NULL, {0}}};
    LoadedImage image{};
    StackInputs in;

    Kernel(const std::vector<std::string>& args, const std::vector<std::string>& env) {
        size_t bytes = 0;
        for (auto& s : args) bytes += s.size() + 1;
        for (auto& s : env) bytes += s.size() + 1;
        strings.reserve(bytes + 1);
        auto put = [&](const std::string& s) {
            char* at = strings.data() + strings.size();
            strings.insert(strings.end(), s.c_str(), s.c_str() + s.size() + 1);
            return at;
        };
        for (auto& s : args) argv.push_back(put(s));
        for (auto& s : env) envp.push_back(put(s));
        argv.push_back(nullptr);
        envp.push_back(nullptr);
        image.phdr = 0x555555554040;
        image.phnum = 13;
        image.program_entry = 0x555555555000;
        image.entry = image.interp_base = 0x7f0000000000;
        in.argc = int(args.size());
        in.argv = argv.data();
        in.envp = envp.data();
        in.auxv = auxv.data();
        in.first_arg = 1;
        in.exec_path = "/usr/bin/guest";
        in.image = &image;
    }
};

struct Seen {
    std::vector<std::string> args, env;
    std::map<u64, u64> auxv;
    std::string exec_path, arg_area, env_area;
    size_t auxv_bytes = 0;
};

// Places the block below an address of the given low bits and reads it as a program would.
void run(Kernel& kernel, size_t misalign, Seen* seen, InitialStack* out) {
    size_t size = initial_stack_bytes(kernel.in);
    std::vector<u64> buffer(size / 8);
    static std::vector<char> stack;
    stack.assign(size + 4096, char(0xaa));
    u64 top = (u64(stack.data() + stack.size()) & ~15ul) - misalign;
    ASSERT_EQ(build_initial_stack(kernel.in, top, (char*)buffer.data(), size, out), 0);
    ASSERT_EQ(out->rsp % 16, 0u);
    ASSERT_EQ(out->rsp + out->bytes, top);
    ASSERT_LE(out->bytes, size);
    memcpy((void*)out->rsp, buffer.data(), out->bytes);

    u64* at = (u64*)out->rsp;
    u64 argc = *at++;
    for (u64 i = 0; i < argc; i++) seen->args.push_back((const char*)*at++);
    ASSERT_EQ(*at++, 0u);
    while (*at) seen->env.push_back((const char*)*at++);
    at++;
    ASSERT_EQ(u64(at), out->auxv_start);
    ASSERT_EQ(memcmp(at, out->auxv_copy, out->auxv_bytes), 0);
    const u64* begin = at;
    for (; at[0] != AT_NULL; at += 2) seen->auxv[at[0]] = at[1];
    ASSERT_EQ(size_t((char*)(at + 2) - (char*)begin), out->auxv_bytes);
    ASSERT_LE(u64(at + 2), top);
    seen->exec_path = (const char*)seen->auxv[AT_EXECFN];
    seen->arg_area.assign((const char*)out->arg_start, out->arg_end - out->arg_start);
    seen->env_area.assign((const char*)out->env_start, out->env_end - out->env_start);
}

std::string joined(const std::vector<std::string>& strings) {
    std::string all;
    for (auto& s : strings) all += s + '\0';
    return all;
}

TEST(InitialStack, TailOfArgvStaysInPlace) {
    Kernel kernel({"ocrun", "guest", "", "a b"}, {"A=1", "B="});
    for (size_t misalign : {0, 8}) {
        Seen seen;
        InitialStack out;
        ASSERT_NO_FATAL_FAILURE(run(kernel, misalign, &seen, &out));
        EXPECT_EQ(seen.args, (std::vector<std::string>{"guest", "", "a b"}));
        EXPECT_EQ(seen.env, (std::vector<std::string>{"A=1", "B="}));
        EXPECT_EQ(out.arg_start, u64(kernel.argv[1]));
        EXPECT_EQ(out.arg_end, out.env_start) << "setproctitle relies on contiguous areas";
        EXPECT_EQ(seen.arg_area, joined(seen.args));
        EXPECT_EQ(seen.env_area, joined(seen.env));
    }
}

TEST(InitialStack, AuxvIsTheGuests) {
    Kernel kernel({"ocrun", "guest"}, {});
    Seen seen;
    InitialStack out;
    ASSERT_NO_FATAL_FAILURE(run(kernel, 0, &seen, &out));
    EXPECT_EQ(seen.auxv[AT_PHDR], kernel.image.phdr);
    EXPECT_EQ(seen.auxv[AT_PHNUM], 13u);
    EXPECT_EQ(seen.auxv[AT_PHENT], sizeof(Elf64_Phdr)) << "the kernel's had none";
    EXPECT_EQ(seen.auxv[AT_BASE], kernel.image.interp_base);
    EXPECT_EQ(seen.auxv[AT_ENTRY], kernel.image.program_entry);
    EXPECT_EQ(seen.exec_path, "/usr/bin/guest");
    EXPECT_EQ(seen.auxv[AT_HWCAP2], 1u) << "FSGSBASE is hidden";
    EXPECT_EQ(seen.auxv[AT_RANDOM], 0x1234u);
    EXPECT_EQ(seen.auxv[AT_SYSINFO_EHDR], 0x7000u);
    EXPECT_EQ(seen.auxv[AT_MINSIGSTKSZ], 3632u);
    EXPECT_EQ(seen.auxv.size(), 10u);
}

TEST(InitialStack, PrefixReplacesArgvZeroInOneArea) {
    Kernel kernel({"ocrun", "--", "script", "one", "two"}, {"X=y"});
    const char* prefix[] = {"/bin/sh", "-e", "./script"};
    kernel.in.first_arg = 2;
    kernel.in.prefix_count = 3;
    kernel.in.prefix = prefix;
    for (size_t misalign : {0, 8, 3}) {
        Seen seen;
        InitialStack out;
        ASSERT_NO_FATAL_FAILURE(run(kernel, misalign, &seen, &out));
        EXPECT_EQ(seen.args, (std::vector<std::string>{"/bin/sh", "-e", "./script", "one", "two"}));
        EXPECT_EQ(seen.arg_area, joined(seen.args));
        EXPECT_EQ(seen.env_area, joined(seen.env));
        EXPECT_EQ(seen.exec_path, "/usr/bin/guest") << "follows the arguments";
        EXPECT_LE(out.arg_end, out.rsp + out.bytes);
    }
}

TEST(InitialStack, EmptyArgvBecomesOneEmptyString) {
    Kernel kernel({"ocrun"}, {});
    Seen seen;
    InitialStack out;
    ASSERT_NO_FATAL_FAILURE(run(kernel, 0, &seen, &out));
    EXPECT_EQ(seen.args, std::vector<std::string>{""});
    EXPECT_EQ(seen.arg_area, std::string(1, '\0'));
    EXPECT_EQ(out.env_start, out.env_end);
}

TEST(InitialStack, SmallBufferIsE2big) {
    Kernel kernel({"ocrun", "guest"}, {"A=1"});
    alignas(16) char buffer[64];
    InitialStack out;
    EXPECT_EQ(build_initial_stack(kernel.in, 0x7fff0000, buffer, sizeof buffer, &out), -E2BIG);
}

TEST(InitialStack, ManyArguments) {
    std::vector<std::string> args{"ocrun"};
    for (int i = 0; i < 5000; i++) args.push_back(std::string(size_t(i % 50), 'x'));
    Kernel kernel(args, {"E=1"});
    const char* prefix[] = {"i"};
    Seen plain, prefixed;
    InitialStack out;
    ASSERT_NO_FATAL_FAILURE(run(kernel, 8, &plain, &out));
    EXPECT_EQ(plain.args.size(), 5000u);
    kernel.in.prefix_count = 1;
    kernel.in.prefix = prefix;
    ASSERT_NO_FATAL_FAILURE(run(kernel, 8, &prefixed, &out));
    plain.args[0] = "i";
    EXPECT_EQ(prefixed.args, plain.args);
}

}  // namespace
}  // namespace ocrun
