// explain_test.cc - the table says what the policy does
#include "config/explain.h"

#include <sstream>

#include "seccomp/syscall_table.h"
#include "tests/unit/config/mistakes.h"

namespace ocrun {
namespace {

// The line of a call.
std::string line_of(const std::string& text, const std::string& call) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string nr, name;
        if (words >> nr >> name && name == call) return line;
    }
    return "";
}

void expect_words(const std::string& line, std::initializer_list<const char*> words) {
    for (const char* word : words) EXPECT_NE(line.find(word), std::string::npos) << word << " in: " << line;
}

TEST(Explain, HasALineForEveryCall) {
    const std::string text = explain(default_policy());
    for (unsigned nr = 0; nr < kSyscallLimit; nr++)
        if (const SyscallRow* row = syscall_row(nr)) {
            EXPECT_NE(line_of(text, row->name), "") << row->name;
        }
}

TEST(Explain, TellsWhereACallGoesAndWhy) {
    const std::string text = explain(default_policy());
    expect_words(line_of(text, "read"), {"trap", "default", "parks when it would wait"});
    expect_words(line_of(text, "getpid"), {"kernel", "not hooked by default"});
    expect_words(line_of(text, "futex"), {"trap", "the runtime needs it"});
    expect_words(line_of(text, "fcntl"), {"maybe", "F_SETLKW", "else the kernel runs it"});
    expect_words(line_of(text, "rseq"), {"note: answered with ENOSYS"});
    expect_words(line_of(text, "uprobe"), {"kernel", "cannot be hooked"});
}

TEST(Explain, ShowsThePolicysRules) {
    const std::string text = explain(good(R"({"syscalls": {
        "nanosleep": {"action": "return", "value": 0},
        "getpid": {"action": "deny", "errno": "EIO", "log": true},
        "read": "native",
        "fsync": {"action": "offload", "delay_us": 5},
        "fcntl": "log"}})"));
    expect_words(line_of(text, "nanosleep"), {"trap", "policy", "returns 0 without the call"});
    expect_words(line_of(text, "getpid"), {"trap", "policy", "fails with EIO without the call, logged"});
    expect_words(line_of(text, "read"), {"kernel", "policy", "the kernel runs it"});
    expect_words(line_of(text, "fsync"), {"trap", "policy", "run by a helper thread, after 5 us"});
    expect_words(line_of(text, "fcntl"), {"trap", "policy", "logged"});
}

TEST(Explain, BeginsWithTheSettings) {
    const std::string text = explain(good(R"({"rewrite": false, "scheduler": {"workers": 3, "preempt": false}})"));
    expect_words(text, {"workers: 3\n", "preemption: off\n", "rewriting: off\n"});
}

}  // namespace
}  // namespace ocrun
