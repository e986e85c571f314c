// mistakes.h - what the tests of the policy parser share
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "config/parse.h"

namespace ocrun {

inline Policy good(const std::string& text) {
    ParsedPolicy parsed = parse_policy(text);
    if (auto* mistakes = std::get_if<std::vector<PolicyMistake>>(&parsed)) {
        ADD_FAILURE() << text << "\n" << format_mistakes("policy", *mistakes);
        return {};
    }
    return std::get<Policy>(parsed);
}

// The mistakes as "line path: message", one per line of text; "" when there are none.
inline std::string bad(const std::string& text) {
    ParsedPolicy parsed = parse_policy(text);
    std::string out;
    if (auto* mistakes = std::get_if<std::vector<PolicyMistake>>(&parsed))
        for (const PolicyMistake& m : *mistakes)
            out += std::to_string(m.line) + " " + m.path + ": " + m.message + "\n";
    return out;
}

// Exactly one mistake, at this line and path, whose message contains the words.
inline void expect_mistake(const std::string& text, unsigned line, const std::string& path,
                           const std::string& words) {
    ParsedPolicy parsed = parse_policy(text);
    auto* mistakes = std::get_if<std::vector<PolicyMistake>>(&parsed);
    ASSERT_NE(mistakes, nullptr) << "accepted: " << text;
    ASSERT_EQ(mistakes->size(), 1u) << text << "\n" << format_mistakes("policy", *mistakes);
    const PolicyMistake& m = mistakes->front();
    EXPECT_EQ(m.line, line) << text << "\n" << m.message;
    EXPECT_EQ(m.path, path) << text << "\n" << m.message;
    EXPECT_NE(m.message.find(words), std::string::npos) << text << "\n" << m.message;
}

}  // namespace ocrun
