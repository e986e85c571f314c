// json_tree.h - JSON text as a tree that remembers lines and JSON paths, for messages that point at the mistake
//
// The only user of nlohmann/json is json_tree.cc. The library's own document type keeps neither lines nor duplicate
// keys.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ocrun {

// One mistake in a policy. `path` is a JSON pointer (RFC 6901), "" for the whole document; `line` counts from 1, 0
// when there is no text to point at (an unreadable file).
struct PolicyMistake {
    std::string path;
    unsigned line;
    std::string message;
};

struct JsonMember;

struct JsonNode {
    enum class Kind { null, boolean, integer, number, text, array, object };
    Kind kind = Kind::null;
    unsigned line = 1;
    std::string path;
    bool boolean = false;
    bool integer_fits = true;  // false: an integer outside of int64_t
    std::int64_t integer = 0;
    double number = 0;  // of Kind::number
    std::string text;
    std::vector<JsonNode> items;
    std::vector<JsonMember> members;  // in the order of the text; of repeated keys the first
};

struct JsonMember {
    std::string key;
    unsigned line;
    JsonNode value;
};

// Words for messages: "a string", "an object".
const char* json_kind_name(JsonNode::Kind kind);
// A text from the document for use in messages: quoted, control and non-ASCII bytes escaped, long texts cut.
std::string json_quoted(std::string_view text);
// Appends one key to a JSON pointer.
std::string json_path(const std::string& parent, std::string_view key);

// Parses the text into *root. False when it is not JSON (one mistake added, with the line of the offending token);
// true otherwise, even if repeated keys were found and added to the mistakes. Nesting is limited to 32 levels.
bool json_parse(std::string_view text, JsonNode* root, std::vector<PolicyMistake>* mistakes);

}  // namespace ocrun
