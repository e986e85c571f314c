// script_line_test.cc - `#!` lines are cut as the kernel cuts them
#include "runtime/host/script_line.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace ocrun {
namespace {

struct Parsed {
    long result = 0;
    std::string interpreter, argument;
    bool has_argument = false;
};

Parsed parse(const std::string& file) {
    char buffer[kScriptLineBytes] = {};
    memcpy(buffer, file.data(), std::min(file.size(), sizeof buffer));
    ScriptLine line;
    Parsed parsed;
    parsed.result = parse_script_line(buffer, &line);
    if (parsed.result) return parsed;
    parsed.interpreter = line.interpreter;
    parsed.has_argument = line.argument != nullptr;
    if (line.argument) parsed.argument = line.argument;
    return parsed;
}

TEST(ScriptLine, InterpreterAlone) {
    Parsed line = parse("#!/bin/sh\necho\n");
    EXPECT_EQ(line.result, 0);
    EXPECT_EQ(line.interpreter, "/bin/sh");
    EXPECT_FALSE(line.has_argument);
}

TEST(ScriptLine, EverythingBehindTheInterpreterIsOneArgument) {
    Parsed line = parse("#! \t/usr/bin/env \t -S  a\tb \t\nrest");
    EXPECT_EQ(line.interpreter, "/usr/bin/env");
    EXPECT_EQ(line.argument, "-S  a\tb");
}

TEST(ScriptLine, CarriageReturnBelongsToTheText) {
    EXPECT_EQ(parse("#!/bin/sh\r\n").interpreter, "/bin/sh\r");
    EXPECT_EQ(parse("#!/bin/sh -e\r\n").argument, "-e\r");
}

TEST(ScriptLine, FileMayEndWithoutNewline) {
    EXPECT_EQ(parse("#!/bin/sh").interpreter, "/bin/sh");
}

TEST(ScriptLine, NothingNamed) {
    EXPECT_EQ(parse("#!\n").result, -ENOEXEC);
    EXPECT_EQ(parse("#! \t \n").result, -ENOEXEC);
    EXPECT_EQ(parse("#!" + std::string(300, ' ')).result, -ENOEXEC);
    EXPECT_EQ(parse("").result, -ENOEXEC);
    EXPECT_EQ(parse("#").result, -ENOEXEC);
    EXPECT_EQ(parse("echo #!/bin/sh\n").result, -ENOEXEC);
}

TEST(ScriptLine, NulEndsTheInterpreter) {
    EXPECT_EQ(parse(std::string("#!/bin/sh\0x y\n", 14)).interpreter, "/bin/sh");
    EXPECT_EQ(parse(std::string("#!\0", 3)).interpreter, "");
}

TEST(ScriptLine, CutInterpreterPathIsRefused) {
    EXPECT_EQ(parse("#!/" + std::string(253, 'a')).result, -ENOEXEC);  // fills the buffer to its last byte
    EXPECT_EQ(parse("#!/" + std::string(252, 'a') + "\n").result, 0);  // newline is the last byte
    EXPECT_EQ(parse("#!/" + std::string(252, 'a') + " b").result, 0);  // a blank is
    EXPECT_EQ(parse("#!/" + std::string(252, 'a') + " b").interpreter.size(), 253u);
}

TEST(ScriptLine, LongArgumentIsCut) {
    Parsed line = parse("#!/bin/echo " + std::string(300, 'b') + "\n");
    EXPECT_EQ(line.result, 0);
    EXPECT_EQ(line.argument, std::string(kScriptLineBytes - 1 - 12, 'b'));
}

TEST(ScriptLine, NeverLeavesTheBuffer) {
    // All short texts over the characters that matter, at the start and against the end of the buffer.
    const char alphabet[] = {' ', '\t', '\n', '\0', 'a', '#', '!'};
    for (int code = 0; code < 7 * 7 * 7 * 7 * 7; code++) {
        std::string tail;
        for (int rest = code, i = 0; i < 5; i++, rest /= 7) tail += alphabet[rest % 7];
        parse("#!" + tail);
        parse("#!" + std::string(249, 'x') + tail);
        parse("#!" + std::string(249, ' ') + tail);
        parse("#!b" + std::string(248, ' ') + tail);
    }
}

}  // namespace
}  // namespace ocrun
