// filter_install_test.cc - the program in the real kernel: this test's own text plays the runtime, libc the guest
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "seccomp/filter.h"
#include "tests/unit/seccomp/child.h"

extern "C" char __executable_start[], etext[];

namespace ocrun {
namespace {

std::vector<sock_filter> program_for_this_text() {
    auto built = build_filter(Policy{}, u64(__executable_start), u64(etext));
    // One chance in thousands: the text lies across a 4 GiB boundary.
    if (auto* program = std::get_if<std::vector<sock_filter>>(&built)) return *program;
    return {};
}

class FilterInstall : public testing::Test {
protected:
    void SetUp() override {
        program_ = program_for_this_text();
        if (program_.empty()) GTEST_SKIP() << "text crosses a 4 GiB boundary";
    }
    std::vector<sock_filter> program_;
};

TEST_F(FilterInstall, RuntimesOwnCallsPass) {
    int status = in_child([this] {
        std::string message;
        if (install_filter(program_, message) != 0) return 1;
        return sys(__NR_gettid) > 0 ? 42 : 2;
    });
    EXPECT_TRUE(exited_with(status, 42)) << status;
}

TEST_F(FilterInstall, HookedCallsFromElsewhereRaiseSigsys) {
    int status = in_child([this] {
        std::string message;
        if (install_filter(program_, message) != 0) return 1;
        syscall(SYS_gettid);
        return 2;
    });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) << status;
}

TEST_F(FilterInstall, UnhookedCallsFromElsewherePass) {
    int status = in_child([this] {
        std::string message;
        if (install_filter(program_, message) != 0) return 1;
        return syscall(SYS_getppid) > 0 ? 42 : 2;
    });
    EXPECT_TRUE(exited_with(status, 42)) << status;
}

TEST_F(FilterInstall, SetsNoNewPrivsOnlyWithoutTheCapability) {
    auto no_new_privs = [this](bool drop) {
        return in_child([this, drop] {
            if (drop) {
                __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
                __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
                if (sys(__NR_capset, &header, none) != 0) return 1;
            }
            std::string message;
            if (install_filter(program_, message) != 0) return 2;
            return sys(__NR_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 43 : 42;
        });
    };
    EXPECT_TRUE(exited_with(no_new_privs(true), 43));
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 && geteuid() == 0 &&
        prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 1) {
        EXPECT_TRUE(exited_with(no_new_privs(false), 42));
    }
}

TEST_F(FilterInstall, SaysWhyTheKernelRefuses) {
    int status = in_child([this] {
        program_.pop_back();  // no return at the end
        std::string message;
        long r = install_filter(program_, message);
        return r == -EINVAL && message.find("refuses the seccomp filter") != message.npos ? 42 : 1;
    });
    EXPECT_TRUE(exited_with(status, 42)) << status;
}

}  // namespace
}  // namespace ocrun
