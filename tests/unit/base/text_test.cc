// text_test.cc - bounded text and its helpers
#include "runtime/base/text.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <string>

namespace ocrun {
namespace {

TEST(Text, BuildsFromPieces) {
    TextBuffer<64> text;
    text.add("a").dec(-42).add("bcd", 2).hex(0xdeadbeef);
    EXPECT_STREQ(text.c_str(), "a-42bc0xdeadbeef");
    EXPECT_EQ(text.size(), 16u);
}

TEST(Text, PrintsExtremeNumbers) {
    TextBuffer<128> text;
    text.dec(INT64_MIN).add(" ").dec(INT64_MAX).add(" ").dec(0).add(" ").hex(0).add(" ").hex(~0ul);
    EXPECT_STREQ(text.c_str(), "-9223372036854775808 9223372036854775807 0 0x0 0xffffffffffffffff");
}

TEST(Text, DropsWhatDoesNotFitAndStaysTerminated) {
    TextBuffer<4> text;
    text.add("abcdef").add("g").dec(5).pad_to(10);
    EXPECT_STREQ(text.c_str(), "abc");
    EXPECT_EQ(text.size(), 3u);
    TextBuffer<1> none;
    none.add("x");
    EXPECT_STREQ(none.c_str(), "");
}

TEST(Text, PadsToAColumnAndStartsAgain) {
    TextBuffer<32> text;
    text.add("ab").pad_to(5).add("c").pad_to(3);
    EXPECT_STREQ(text.c_str(), "ab   c");
    text.clear();
    EXPECT_STREQ(text.c_str(), "");
    EXPECT_EQ(text.size(), 0u);
}

TEST(Text, WritesAllOfItself) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    TextBuffer<32> text;
    text.add("hello");
    text.write_to(ends[1]);
    close(ends[1]);
    char got[32];
    ASSERT_EQ(read(ends[0], got, sizeof got), 5);
    EXPECT_EQ(std::string(got, 5), "hello");
    close(ends[0]);
}

TEST(TextRoutines, CompareAndMeasure) {
    EXPECT_EQ(text_length(""), 0u);
    EXPECT_EQ(text_length("abc"), 3u);
    EXPECT_TRUE(text_equal("", ""));
    EXPECT_TRUE(text_equal("ab", "ab"));
    EXPECT_FALSE(text_equal("ab", "abc"));
    EXPECT_FALSE(text_equal("abc", "ab"));
    EXPECT_TRUE(text_starts_with("abc", "ab"));
    EXPECT_TRUE(text_starts_with("abc", ""));
    EXPECT_FALSE(text_starts_with("a", "ab"));
    EXPECT_TRUE(text_ends_with("abc", "bc"));
    EXPECT_FALSE(text_ends_with("c", "bc"));
}

TEST(TextRoutines, CopyTruncatesAndTerminates) {
    char to[4] = "zzz";
    EXPECT_EQ(text_copy(to, sizeof to, "abcdef"), 3u);
    EXPECT_STREQ(to, "abc");
    EXPECT_EQ(text_copy(to, sizeof to, "x"), 1u);
    EXPECT_STREQ(to, "x");
    EXPECT_EQ(text_copy(to, 0, "y"), 0u);
    EXPECT_STREQ(to, "x");
}

TEST(TextRoutines, BasenameIsBehindTheLastSlash) {
    EXPECT_STREQ(text_basename("/usr/bin/env"), "env");
    EXPECT_STREQ(text_basename("env"), "env");
    EXPECT_STREQ(text_basename("a/b/"), "b/");
    EXPECT_STREQ(text_basename("/"), "/");
    EXPECT_STREQ(text_basename(""), "");
}

TEST(TextRoutines, ParseNumbersUpToTheLimit) {
    const struct {
        const char* text;
        bool good;
        u64 value;
        size_t used;
    } cases[] = {{"0", true, 0, 1},
                 {"123abc", true, 123, 3},
                 {"18446744073709551615", true, ~0ul, 20},
                 {"18446744073709551616", false, 0, 0},
                 {"99999999999999999999999", false, 0, 0},
                 {"", false, 0, 0},
                 {"-1", false, 0, 0},
                 {" 1", false, 0, 0}};
    for (const auto& c : cases) {
        const char* p = c.text;
        u64 value = 0;
        EXPECT_EQ(text_parse_u64(&p, &value), c.good) << c.text;
        EXPECT_EQ(size_t(p - c.text), c.used) << c.text;
        EXPECT_EQ(value, c.value) << c.text;
    }
}

TEST(ErrnoWords, KnowBothSignsAndSurviveTheUnknown) {
    EXPECT_STREQ(errno_name(ENOENT), "ENOENT");
    EXPECT_STREQ(errno_name(-ENOENT), "ENOENT");
    EXPECT_STREQ(errno_text(-EACCES), "permission denied");
    EXPECT_STREQ(errno_name(12345), "E?");
}

}  // namespace
}  // namespace ocrun
