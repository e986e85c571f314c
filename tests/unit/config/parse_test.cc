// parse_test.cc - sections, bounds and the shape of mistakes
#include "config/parse.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/unit/config/mistakes.h"

namespace ocrun {
namespace {

TEST(DefaultPolicy, IsTheFileInTheTree) {
    std::ifstream file(OCRUN_SOURCE_DIR "/config/default.json");
    std::string text((std::istreambuf_iterator<char>(file)), {});
    EXPECT_EQ(text, default_policy_text());
    EXPECT_EQ(bad(text), "");
}

TEST(DefaultPolicy, HasUsableValues) {
    const Policy& p = default_policy();
    EXPECT_EQ(p.magic, Policy::kMagic);
    EXPECT_EQ(p.scheduler.workers, 0u);
    EXPECT_EQ(p.scheduler.preempt, 1);
    EXPECT_EQ(p.scheduler.quantum_min_ns, 200'000u);
    EXPECT_EQ(p.scheduler.quantum_max_ns, 1'000'000u);
    EXPECT_EQ(p.stack.runtime_stack_bytes, 65536u);
    EXPECT_EQ(p.io.backend, IoBackend::automatic);
    EXPECT_EQ(p.rewrite, 1);
    for (const SyscallRule& rule : p.rules) EXPECT_EQ(rule.action, Action::standard);
}

TEST(DefaultPolicy, SetsEveryFieldByItself) {
    // Otherwise the values would hang on what the bytes were before.
    for (const char* key : {"workers", "preempt", "pin_workers", "quantum_min_us", "quantum_max_us",
                            "runtime_stack_kib", "backend", "offload_threads_max", "rewrite", "bpf", "assist"})
        EXPECT_NE(default_policy_text().find("\"" + std::string(key) + "\""), std::string::npos) << key;
}

TEST(ParsePolicy, AnEmptyObjectIsTheDefault) {
    const Policy policy = good("{}");
    EXPECT_EQ(memcmp(&policy, &default_policy(), sizeof policy), 0);
}

TEST(ParsePolicy, ReadsEverySetting) {
    const Policy p = good(R"({
        "$schema": "x", "description": "y", "version": 1, "rewrite": false,
        "scheduler": {"workers": 4, "preempt": false, "pin_workers": true, "quantum_min_us": 50, "quantum_max_us": 60},
        "stack": {"runtime_stack_kib": 128},
        "io": {"backend": "io_uring", "offload_threads_max": 3},
        "tracing": {"bpf": true, "assist": false}
    })");
    EXPECT_EQ(p.rewrite, 0);
    EXPECT_EQ(p.tracing_bpf, 1);
    EXPECT_EQ(p.tracing_assist, 0);
    EXPECT_EQ(p.scheduler.workers, 4u);
    EXPECT_EQ(p.scheduler.preempt, 0);
    EXPECT_EQ(p.scheduler.pin_workers, 1);
    EXPECT_EQ(p.scheduler.quantum_min_ns, 50'000u);
    EXPECT_EQ(p.scheduler.quantum_max_ns, 60'000u);
    EXPECT_EQ(p.stack.runtime_stack_bytes, 131072u);
    EXPECT_EQ(p.io.backend, IoBackend::io_uring);
    EXPECT_EQ(p.io.offload_threads_max, 3u);
    EXPECT_EQ(good(R"({"io": {"backend": "epoll"}})").io.backend, IoBackend::epoll);
    EXPECT_EQ(good(R"({"io": {"backend": "auto"}})").io.backend, IoBackend::automatic);
}

TEST(ParsePolicy, AcceptsTheBoundsAndRefusesWhatIsBeyond) {
    const struct {
        const char *section, *key;
        long low, high;
    } cases[] = {{"scheduler", "workers", 0, 1024},
                 {"stack", "runtime_stack_kib", 16, 1024},
                 {"io", "offload_threads_max", 1, 1024}};
    for (const auto& c : cases) {
        auto with = [&c](const std::string& value) {
            return std::string("{\"") + c.section + "\":\n{\"" + c.key + "\": " + value + "}}";
        };
        const std::string path = std::string("/") + c.section + "/" + c.key;
        good(with(std::to_string(c.low)));
        good(with(std::to_string(c.high)));
        for (long beyond : {c.low - 1, c.high + 1, -1000000l, INT64_MAX})
            expect_mistake(with(std::to_string(beyond)), 2, path, "must be between");
        expect_mistake(with("99999999999999999999"), 2, path, "must be between");
        expect_mistake(with("20.5"), 2, path, "must be an integer");
        expect_mistake(with("\"20\""), 2, path, "must be an integer, not a string");
        expect_mistake(with("null"), 2, path, "must be an integer, not null");
        expect_mistake(with("true"), 2, path, "must be an integer");
        expect_mistake(with("[20]"), 2, path, "not an array");
    }
    good(R"({"scheduler": {"quantum_min_us": 10, "quantum_max_us": 1000000}})");
    expect_mistake(R"({"scheduler": {"quantum_min_us": 9}})", 1, "/scheduler/quantum_min_us", "between 10 and");
    expect_mistake(R"({"scheduler": {"quantum_max_us": 1000001}})", 1, "/scheduler/quantum_max_us", "and 1000000");
}

TEST(ParsePolicy, ComparesTheQuantaWithTheDefaultsOfWhatIsNotGiven) {
    expect_mistake("{\n\"scheduler\": {\"quantum_min_us\": 2000}}", 2, "/scheduler",
                   "larger than quantum_max_us (1000)");
    expect_mistake("{\n\"scheduler\": {\"quantum_max_us\": 100}}", 2, "/scheduler", "quantum_min_us (200)");
    good(R"({"scheduler": {"quantum_min_us": 2000, "quantum_max_us": 2000}})");
}

TEST(ParsePolicy, RefusesAStackThatIsNoNumberOfPages) {
    expect_mistake(R"({"stack": {"runtime_stack_kib": 17}})", 1, "/stack/runtime_stack_kib", "multiple of 4");
}

TEST(ParsePolicy, ReportsUnknownKeysEverywhere) {
    expect_mistake("{\n\"shceduler\": {}}", 2, "/shceduler", "unknown key \"shceduler\"");
    expect_mistake("{\"scheduler\": {\n\"wrokers\": 1}}", 2, "/scheduler/wrokers", "known here: workers");
    expect_mistake("{\"stack\": {\n\"size\": 1}}", 2, "/stack/size", "runtime_stack_kib");
    expect_mistake("{\"io\": {\n\"ring\": 1}}", 2, "/io/ring", "backend");
    expect_mistake("{\"syscalls\": {\"read\": {\n\"what\": 1, \"log\": true}}}", 2, "/syscalls/read/what",
                   "unknown key");
}

TEST(ParsePolicy, ReportsWrongTypesOfSections) {
    for (const char* section : {"scheduler", "stack", "io", "syscalls"}) {
        for (const char* value : {"1", "[]", "\"x\"", "true", "null"})
            expect_mistake("{\n\n\"" + std::string(section) + "\": " + value + "}", 3, "/" + std::string(section),
                           "must be an object");
    }
    expect_mistake("{\"tracing\": {\"bfp\": true}}", 1, "/tracing/bfp", "known here: bpf, assist");
    expect_mistake("{\"rewrite\": 1}", 1, "/rewrite", "rewrite must be true or false, not an integer");
    expect_mistake("{\"scheduler\": {\"preempt\": \"yes\"}}", 1, "/scheduler/preempt", "true or false");
    expect_mistake("{\"$schema\": 1}", 1, "/$schema", "must be a string");
    expect_mistake("{\"version\": 2}", 1, "/version", "between 1 and 1");
    expect_mistake("{\"io\": {\"backend\": \"uring\"}}", 1, "/io/backend", "known: auto, io_uring, epoll");
    expect_mistake("{\"io\": {\"backend\": 1}}", 1, "/io/backend", "must be a string");
    expect_mistake("[]", 1, "", "a policy must be an object, not an array");
    expect_mistake("\n7\n", 2, "", "a policy must be an object, not an integer");
}

TEST(ParsePolicy, ReportsRepeatedKeys) {
    expect_mistake("{\"rewrite\": true,\n\"rewrite\": true}", 2, "/rewrite", "line 1");
    expect_mistake("{\"syscalls\": {\"read\": \"log\",\n\n\"read\": \"log\"}}", 3, "/syscalls/read", "line 1");
}

TEST(ParsePolicy, ReportsTheLineAndPathOfASyntaxError) {
    expect_mistake("", 1, "", "not JSON");
    expect_mistake("{\n\"rewrite\": tru\n}", 2, "", "not JSON");
    expect_mistake("{\n\"io\": {\n\"backend\": \"epoll\",\n}\n}", 4, "/io", "unexpected '}'");
    expect_mistake("{\"rewrite\": true\n\n\n", 1, "", "unexpected end");
    expect_mistake("{} {}", 1, "", "not JSON");
    expect_mistake("{\"a\xff\": 1}", 1, "", "not JSON");
    expect_mistake("// comment\n{}", 1, "", "not JSON");
    expect_mistake("{'rewrite': true}", 1, "", "not JSON");
}

TEST(ParsePolicy, CollectsAllMistakesInTheOrderOfLines) {
    EXPECT_EQ(bad("{\n\"x\": 1,\n\"syscalls\": {\n\"nosuch\": \"log\",\n\"exit\": \"native\"},\n\"rewrite\": "
                  "0,\n\"x\": 2}"),
              "2 /x: unknown key \"x\"; known here: scheduler, stack, io, rewrite, tracing, seed, syscalls, version, description, "
              "$schema\n"
              "4 /syscalls/nosuch: no system call of x86-64 is named \"nosuch\"\n"
              "5 /syscalls/exit: exit cannot be `native`: the runtime is not right without seeing it\n"
              "6 /rewrite: rewrite must be true or false, not an integer\n"
              "7 /x: the key \"x\" is here already, on line 2\n");
}

TEST(ParsePolicy, RefusesMoreThanAMebibyte) {
    std::string text = "{}" + std::string(kPolicyBytesMax - 2, ' ');
    good(text);
    expect_mistake(text + " ", 0, "", "1 MiB");
}

TEST(ParsePolicy, TakesWindowsLineEnds) {
    expect_mistake("{\r\n\"x\": 1\r\n}", 2, "/x", "unknown key");
}

TEST(FormatMistakes, ShowsFileLinePathAndMessage) {
    EXPECT_EQ(format_mistakes("a.json", {{"/io/x", 3, "wrong"}, {"", 0, "unreadable"}}),
              "a.json:3: /io/x: wrong\na.json: unreadable\n");
}

class PolicyFile : public testing::Test {
protected:
    void SetUp() override {
        char name[] = "/tmp/ocrun-policy-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        folder_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    std::string write(const std::string& text) {
        std::string path = folder_ + "/policy.json";
        std::ofstream(path) << text;
        return path;
    }
    static std::string only_message(const std::string& path) {
        ParsedPolicy parsed = parse_policy_file(path.c_str());
        auto* mistakes = std::get_if<std::vector<PolicyMistake>>(&parsed);
        return mistakes && mistakes->size() == 1 ? mistakes->front().message : "";
    }
    std::string folder_;
};

TEST_F(PolicyFile, IsReadLikeText) {
    ParsedPolicy parsed = parse_policy_file(write(R"({"rewrite": false})").c_str());
    ASSERT_TRUE(std::holds_alternative<Policy>(parsed));
    EXPECT_EQ(std::get<Policy>(parsed).rewrite, 0);
}

TEST_F(PolicyFile, ThatIsMissingOrADirectoryOrTooLargeSaysSo) {
    EXPECT_EQ(only_message(folder_ + "/none.json"), "cannot open: No such file or directory");
    EXPECT_EQ(only_message(folder_), "cannot read: Is a directory");
    EXPECT_NE(only_message(write(std::string(kPolicyBytesMax + 1, ' '))).find("1 MiB"), std::string::npos);
    EXPECT_NE(only_message("/dev/zero").find("1 MiB"), std::string::npos);
}

TEST(Examples, AreAllAccepted) {
    unsigned count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(OCRUN_SOURCE_DIR "/config/examples")) {
        if (entry.path().extension() != ".json") continue;
        ParsedPolicy parsed = parse_policy_file(entry.path().c_str());
        auto* mistakes = std::get_if<std::vector<PolicyMistake>>(&parsed);
        EXPECT_EQ(mistakes, nullptr) << format_mistakes(entry.path().string(), *mistakes);
        count++;
    }
    EXPECT_GE(count, 3u);
}

}  // namespace
}  // namespace ocrun
