// json_tree_test.cc - lines, paths and repeated keys
#include "config/json_tree.h"

#include <gtest/gtest.h>

namespace ocrun {
namespace {

TEST(JsonTree, RemembersTheLineOfEveryKindOfValue) {
    JsonNode root;
    std::vector<PolicyMistake> mistakes;
    ASSERT_TRUE(
        json_parse("\n{\"a\":\n1\n,\"b\":\n-2,\"c\":\n\"x\"\n,\n\"d\":true,\"e\":\n[\n1.5\n,null],\"f\":{\n}}\n",
                   &root, &mistakes));
    ASSERT_TRUE(mistakes.empty());
    EXPECT_EQ(root.line, 2u);
    ASSERT_EQ(root.members.size(), 6u);
    const unsigned key_lines[] = {2, 4, 5, 8, 8, 11}, value_lines[] = {3, 5, 6, 8, 9, 11};
    for (size_t i = 0; i < 6; i++) {
        EXPECT_EQ(root.members[i].line, key_lines[i]) << i;
        EXPECT_EQ(root.members[i].value.line, value_lines[i]) << i;
    }
    const JsonNode& array = root.members[4].value;
    ASSERT_EQ(array.items.size(), 2u);
    EXPECT_EQ(array.items[0].line, 10u);
    EXPECT_EQ(array.items[0].path, "/e/0");
    EXPECT_EQ(array.items[0].kind, JsonNode::Kind::number);
    EXPECT_EQ(array.items[1].path, "/e/1");
    EXPECT_EQ(array.items[1].kind, JsonNode::Kind::null);
}

TEST(JsonTree, KeepsIntegersExactlyAndTellsWhenTheyDoNotFit) {
    JsonNode root;
    std::vector<PolicyMistake> mistakes;
    ASSERT_TRUE(
        json_parse("[9223372036854775807, -9223372036854775808, 9223372036854775808, 99999999999999999999, "
                   "-99999999999999999999, 1e3]",
                   &root, &mistakes));
    EXPECT_EQ(root.items[0].integer, INT64_MAX);
    EXPECT_EQ(root.items[1].integer, INT64_MIN);
    for (int i : {2, 3, 4}) {
        EXPECT_EQ(root.items[size_t(i)].kind, JsonNode::Kind::integer) << i;
        EXPECT_FALSE(root.items[size_t(i)].integer_fits) << i;
    }
    EXPECT_EQ(root.items[5].kind, JsonNode::Kind::number);
}

TEST(JsonTree, ReportsARepeatedKeyWithBothLinesAndKeepsTheFirst) {
    JsonNode root;
    std::vector<PolicyMistake> mistakes;
    ASSERT_TRUE(json_parse("{\"x\": {\n\"k\": 1,\n\"k\":\n {\"deep\": 2}\n}}", &root, &mistakes));
    ASSERT_EQ(mistakes.size(), 1u);
    EXPECT_EQ(mistakes[0].path, "/x/k");
    EXPECT_EQ(mistakes[0].line, 3u);
    EXPECT_NE(mistakes[0].message.find("line 2"), std::string::npos);
    ASSERT_EQ(root.members[0].value.members.size(), 1u);
    EXPECT_EQ(root.members[0].value.members[0].value.integer, 1);
}

TEST(JsonTree, EscapesPathsAsPointersDo) {
    EXPECT_EQ(json_path("", "a"), "/a");
    EXPECT_EQ(json_path("/a", "b/c~d"), "/a/b~1c~0d");
    EXPECT_EQ(json_path("", "\x1b[31m\xc3\xa4"), "/?[31m??");
}

TEST(JsonTree, QuotesWhatATerminalMustNotSee) {
    EXPECT_EQ(json_quoted("a\"b\\\n\x1b"), "\"a\\x22b\\x5c\\x0a\\x1b\"");
    EXPECT_EQ(json_quoted(std::string(100, 'x')), "\"" + std::string(64, 'x') + "...\"");
}

TEST(JsonTree, RefusesDeepNestingWithoutUsingUpTheStack) {
    JsonNode root;
    std::vector<PolicyMistake> mistakes;
    EXPECT_FALSE(json_parse(std::string(100000, '['), &root, &mistakes));
    ASSERT_EQ(mistakes.size(), 1u);
    EXPECT_NE(mistakes[0].message.find("nested"), std::string::npos);
}

TEST(JsonTree, RefusesAnObjectWithThousandsOfKeys) {
    std::string text = "{";
    for (int i = 0; i < 5000; i++) text += (i ? ",\n\"" : "\"") + std::to_string(i) + "\": 1";
    JsonNode root;
    std::vector<PolicyMistake> mistakes;
    EXPECT_FALSE(json_parse(text + "}", &root, &mistakes));
    ASSERT_EQ(mistakes.size(), 1u);
    EXPECT_EQ(mistakes[0].line, 4097u);
}

}  // namespace
}  // namespace ocrun
