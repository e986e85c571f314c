// exec_target_test.cc - refusals and `#!` chains of execve, found before the point of no return
#include "runtime/host/exec_target.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace ocrun {
namespace {

class ExecTargetTest : public ::testing::Test {
protected:
    void SetUp() override {
        char name[] = "/tmp/ocrun-exec-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        dir_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(dir_); }

    std::string file(const std::string& name, const std::string& content, int mode = 0755) {
        std::string path = dir_ + "/" + name;
        std::ofstream(path) << content;
        chmod(path.c_str(), mode_t(mode));
        return path;
    }
    // The errno (negative), and what was found.
    long resolve(const std::string& path, int dirfd = AT_FDCWD, int flags = 0) {
        ExecTarget target;
        TextBuffer<512> why;
        long r = resolve_exec(dirfd, path.c_str(), flags, &target, &why);
        reason_ = why.c_str();
        prefix_.assign(target.prefix, target.prefix + target.prefix_count);
        comm_ = target.comm;
        exec_path_ = target.exec_path ? target.exec_path : "";
        set_id_refused_ = target.set_id_refused;
        EXPECT_EQ(r == 0, target.fd >= 0);
        EXPECT_EQ(r == 0, target.scratch != nullptr);
        EXPECT_EQ(r == 0, reason_.empty()) << reason_;
        exec_target_release(&target);
        EXPECT_EQ(target.fd, -1);
        return r;
    }

    std::string dir_, reason_, comm_, exec_path_;
    std::vector<std::string> prefix_;
    bool set_id_refused_ = false;
};

const char kProgram[] = "/proc/self/exe";

std::string own_path() {
    return std::filesystem::read_symlink(kProgram);
}

TEST_F(ExecTargetTest, ProgramHasNoPrefix) {
    EXPECT_EQ(resolve(own_path()), 0);
    EXPECT_TRUE(prefix_.empty());
    EXPECT_EQ(exec_path_, own_path());
    EXPECT_EQ(comm_, std::filesystem::path(own_path()).filename().string().substr(0, 15));
}

TEST_F(ExecTargetTest, RefusalsHaveLinuxErrnos) {
    EXPECT_EQ(resolve(dir_ + "/missing"), -ENOENT);
    EXPECT_EQ(resolve(""), -ENOENT);
    EXPECT_EQ(resolve(dir_), -EACCES);
    EXPECT_EQ(resolve(file("no_x", "#!/bin/sh\n", 0644)), -EACCES);
    EXPECT_EQ(resolve(file("text", "hello, world\n")), -ENOEXEC);
    EXPECT_EQ(resolve(file("empty", "")), -ENOEXEC);
    EXPECT_EQ(resolve(file("short_elf", "\177ELF")), -ENOEXEC);
    EXPECT_EQ(resolve(dir_ + "/text/x"), -ENOTDIR);
    EXPECT_EQ(resolve(dir_ + "/" + std::string(300, 'n')), -ENAMETOOLONG);
    EXPECT_EQ(resolve("x", 1000), -EBADF);
    EXPECT_EQ(resolve(own_path(), AT_FDCWD, 0x8000), -EINVAL);
    ASSERT_EQ(symlink("loop", (dir_ + "/loop").c_str()), 0);
    EXPECT_EQ(resolve(dir_ + "/loop"), -ELOOP);
    ASSERT_EQ(mkfifo((dir_ + "/fifo").c_str(), 0777), 0);
    EXPECT_EQ(resolve(dir_ + "/fifo"), -EACCES) << "and it does not wait for a writer";
}

TEST_F(ExecTargetTest, SymbolicLinksAreFollowedUnlessForbidden) {
    std::string link = dir_ + "/link";
    ASSERT_EQ(symlink(own_path().c_str(), link.c_str()), 0);
    EXPECT_EQ(resolve(link), 0);
    EXPECT_EQ(comm_, "link");
    EXPECT_EQ(resolve(link, AT_FDCWD, AT_SYMLINK_NOFOLLOW), -ELOOP);
}

TEST_F(ExecTargetTest, ScriptGetsItsInterpreterInFront) {
    std::string script = file("script", "#! " + own_path() + "  -x  y \n");
    ASSERT_EQ(resolve(script), 0) << reason_;
    EXPECT_EQ(prefix_, (std::vector<std::string>{own_path(), "-x  y", script}));
    EXPECT_EQ(comm_, "script");
    EXPECT_EQ(exec_path_, script);
}

TEST_F(ExecTargetTest, FiveLevelsOfScriptsRunAndSixAreEloop) {
    std::string below = own_path();
    for (int level = 1; level <= 6; level++) {
        std::string script = file("s" + std::to_string(level), "#!" + below + " a" + std::to_string(level) + "\n");
        ASSERT_EQ(resolve(script), level <= 5 ? 0 : -ELOOP) << reason_;
        if (level == 5) {
            EXPECT_EQ(prefix_, (std::vector<std::string>{own_path(), "a1", dir_ + "/s1", "a2", dir_ + "/s2", "a3",
                                                         dir_ + "/s3", "a4", dir_ + "/s4", "a5", dir_ + "/s5"}));
        }
        below = script;
    }
}

TEST_F(ExecTargetTest, BadInterpretersOfScripts) {
    EXPECT_EQ(resolve(file("a", "#!/no/such/file\n")), -ENOENT);
    EXPECT_NE(reason_.find("/no/such/file"), std::string::npos) << reason_;
    EXPECT_EQ(resolve(file("b", "#!/\n")), -EACCES);
    EXPECT_EQ(resolve(file("c", "#!\n")), -ENOEXEC);
    EXPECT_EQ(resolve(file("d", std::string("#!\0", 3))), -EACCES)
        << "the kernel takes \"\" for the working directory";
    EXPECT_EQ(resolve(file("e", "#!" + file("text", "words") + "\n")), -ENOEXEC);
}

TEST_F(ExecTargetTest, DescriptorsNameFilesAndScripts) {
    std::string script = file("script", "#!" + own_path() + "\n");
    int fd = open(script.c_str(), O_RDONLY);
    std::string name = "/dev/fd/" + std::to_string(fd);
    ASSERT_EQ(resolve("", fd, AT_EMPTY_PATH), 0) << reason_;
    EXPECT_EQ(prefix_, (std::vector<std::string>{own_path(), name}));
    EXPECT_EQ(exec_path_, name);
    EXPECT_EQ(resolve("", fd), -ENOENT);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    EXPECT_EQ(resolve("", fd, AT_EMPTY_PATH), -ENOENT) << "its interpreter could not open it";
    close(fd);

    int dir = open(dir_.c_str(), O_PATH);
    ASSERT_EQ(resolve("script", dir), 0) << reason_;
    EXPECT_EQ(exec_path_, "/dev/fd/" + std::to_string(dir) + "/script");
    EXPECT_EQ(comm_, "script");
    close(dir);

    int program = open(own_path().c_str(), O_PATH | O_CLOEXEC);
    EXPECT_EQ(resolve("", program, AT_EMPTY_PATH), 0) << reason_;
    close(program);
}

TEST_F(ExecTargetTest, MemfdIsAProgram) {
    int fd = memfd_create("prog", MFD_CLOEXEC);
    std::ifstream own(own_path(), std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(own)), {});
    ASSERT_EQ(write(fd, bytes.data(), bytes.size()), ssize_t(bytes.size()));
    EXPECT_EQ(resolve("", fd, AT_EMPTY_PATH), 0) << reason_;
    EXPECT_EQ(comm_, "memfd:prog");
    close(fd);
}

TEST_F(ExecTargetTest, SetIdFilesOfOthersAreRefused) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to make such a file";
    std::string path = dir_ + "/setuid";
    std::filesystem::copy_file(own_path(), path);
    ASSERT_EQ(chmod(path.c_str(), 04755), 0);
    EXPECT_EQ(resolve(path), 0) << "set-uid root changes nothing for root";
    ASSERT_EQ(chown(path.c_str(), 1000, 0), 0);
    ASSERT_EQ(chmod(path.c_str(), 04755), 0);
    EXPECT_EQ(resolve(path), -EPERM);
    EXPECT_TRUE(set_id_refused_);
    ASSERT_EQ(chown(path.c_str(), 0, 1000), 0);
    ASSERT_EQ(chmod(path.c_str(), 02745), 0);
    EXPECT_EQ(resolve(path), 0) << "set-gid without the group's x bit asks for mandatory locking";
    ASSERT_EQ(chmod(path.c_str(), 02755), 0);
    EXPECT_EQ(resolve(path), -EPERM);
}

TEST_F(ExecTargetTest, NothingLeaks) {
    auto descriptors = [] {
        size_t n = 0;
        for (auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) n += !entry.path().empty();
        return n;
    };
    size_t before = descriptors();
    resolve(own_path());
    resolve(file("script", "#!" + own_path() + "\n"));
    resolve(file("bad", "#!/no/such\n"));
    resolve(file("text", "x"));
    EXPECT_EQ(descriptors(), before);
}

}  // namespace
}  // namespace ocrun
