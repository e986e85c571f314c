// json_tree.cc - building the tree from nlohmann's SAX events (see json_tree.h)
#include "config/json_tree.h"

#include <cstdio>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

namespace ocrun {
namespace {

using nlohmann::json;

// Deep enough for any policy; keeps recursion over the tree, its destructor included, harmless.
constexpr size_t kMaxDepth = 32;
// Ten times the number of system calls; keeps the search for repeated keys short.
constexpr size_t kMaxMembers = 4096;

// An iterator that tells, through a shared counter, how far the parser has read.
class CountingIterator {
public:
    using difference_type = std::ptrdiff_t;
    using value_type = char;
    using pointer = const char*;
    using reference = const char&;
    using iterator_category = std::input_iterator_tag;

    CountingIterator(const char* at, size_t* consumed) : at_(at), consumed_(consumed) {}
    reference operator*() const { return *at_; }
    CountingIterator& operator++() {
        ++at_;
        ++*consumed_;
        return *this;
    }
    CountingIterator operator++(int) {
        CountingIterator old = *this;
        ++*this;
        return old;
    }
    bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
    bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

private:
    const char* at_;
    size_t* consumed_;
};

// The parser's own words without its name and position, which the mistake carries already.
std::string reason_only(const std::string& what) {
    std::string reason = what;
    for (const char* mark : {"] ", "column "}) {
        size_t at = reason.find(mark);
        if (at != std::string::npos) reason.erase(0, at + std::string_view(mark).size());
    }
    size_t colon = reason.find(": ");
    if (colon != std::string::npos && reason.find_first_not_of("0123456789") == colon) reason.erase(0, colon + 2);
    std::string printable;
    for (char c : reason) printable += c >= ' ' && c < 127 ? c : '?';
    return printable;
}

class TreeBuilder {
public:
    TreeBuilder(std::string_view text, const size_t* consumed, JsonNode* root, std::vector<PolicyMistake>* mistakes)
        : text_(text), consumed_(consumed), root_(root), mistakes_(mistakes) {}

    bool null() { return add(JsonNode::Kind::null) != nullptr; }
    bool boolean(bool value) {
        add(JsonNode::Kind::boolean)->boolean = value;
        return true;
    }
    bool number_integer(json::number_integer_t value) {
        add(JsonNode::Kind::integer, kLookahead)->integer = value;
        return true;
    }
    bool number_unsigned(json::number_unsigned_t value) {
        JsonNode* node = add(JsonNode::Kind::integer, kLookahead);
        node->integer_fits = value <= json::number_unsigned_t(INT64_MAX);
        if (node->integer_fits) node->integer = std::int64_t(value);
        return true;
    }
    bool number_float(json::number_float_t value, const std::string& written) {
        // Integers beyond 64 bits arrive here as well.
        bool integral = written.find_first_not_of("-0123456789") == std::string::npos;
        JsonNode* node = add(integral ? JsonNode::Kind::integer : JsonNode::Kind::number, kLookahead);
        node->integer_fits = false;
        node->number = value;
        return true;
    }
    bool string(std::string& value) {
        add(JsonNode::Kind::text)->text = std::move(value);
        return true;
    }
    bool binary(json::binary_t&) { return false; }  // no such thing in text

    bool start_object(size_t) { return open(JsonNode::Kind::object); }
    bool start_array(size_t) { return open(JsonNode::Kind::array); }
    bool end_object() { return close(); }
    bool end_array() { return close(); }

    bool key(std::string& name) {
        key_ = std::move(name);
        key_line_ = line_of(*consumed_);
        if (stack_.back()->members.size() >= kMaxMembers) {
            mistakes_->push_back({where(), key_line_, "more than " + std::to_string(kMaxMembers) + " keys"});
            return false;
        }
        return true;
    }

    bool parse_error(size_t, const std::string& token, const json::exception& error) {
        unsigned line = line_of(*consumed_);
        // At the end of the text the last line that has something on it is more use than an empty one after it.
        if (token.find("<end of file>") != std::string::npos || *consumed_ >= text_.size()) {
            size_t last = text_.find_last_not_of(" \t\r\n");
            line = line_of(last == std::string_view::npos ? 0 : last + 1);
        }
        mistakes_->push_back({where(), line, "not JSON: " + reason_only(error.what())});
        return false;
    }

private:
    // A number ends where something else begins: the parser has read one character more by then.
    static constexpr size_t kLookahead = 1;

    // Line of the character before position `end`. Positions only grow but for look-ahead and end-of-text reports.
    unsigned line_of(size_t end) {
        if (end > 0) end--;
        if (end < counted_) counted_ = 0, lines_ = 1;
        for (; counted_ < end && counted_ < text_.size(); counted_++)
            if (text_[counted_] == '\n') lines_++;
        return lines_;
    }

    std::string where() const { return stack_.empty() ? std::string() : stack_.back()->path; }

    JsonNode* add(JsonNode::Kind kind, size_t lookahead = 0) {
        JsonNode* node = root_;
        std::string path;
        if (!stack_.empty()) {
            JsonNode* parent = stack_.back();
            if (parent->kind == JsonNode::Kind::array) {
                path = json_path(parent->path, std::to_string(parent->items.size()));
                node = &parent->items.emplace_back();
            } else {
                path = json_path(parent->path, key_);
                node = member(parent, path);
            }
        }
        node->kind = kind;
        node->path = path;
        node->line = line_of(*consumed_ > lookahead ? *consumed_ - lookahead : 0);
        return node;
    }

    JsonNode* member(JsonNode* parent, const std::string& path) {
        for (const JsonMember& other : parent->members) {
            if (other.key != key_) continue;
            mistakes_->push_back(
                {path, key_line_,
                 "the key " + json_quoted(key_) + " is here already, on line " + std::to_string(other.line)});
            discarded_.push_back(std::make_unique<JsonNode>());
            return discarded_.back().get();
        }
        parent->members.push_back({key_, key_line_, {}});
        return &parent->members.back().value;
    }

    bool open(JsonNode::Kind kind) {
        JsonNode* node = add(kind);
        if (stack_.size() == kMaxDepth) {
            mistakes_->push_back(
                {where(), node->line, "nested more than " + std::to_string(kMaxDepth) + " levels deep"});
            return false;
        }
        // Only the innermost container grows, so pointers to the outer ones stay valid.
        stack_.push_back(node);
        return true;
    }
    bool close() {
        stack_.pop_back();
        return true;
    }

    std::string_view text_;
    const size_t* consumed_;
    JsonNode* root_;
    std::vector<PolicyMistake>* mistakes_;
    std::vector<JsonNode*> stack_;
    std::vector<std::unique_ptr<JsonNode>> discarded_;  // values of repeated keys: parsed, then dropped
    std::string key_;
    unsigned key_line_ = 1;
    size_t counted_ = 0;
    unsigned lines_ = 1;
};

}  // namespace

const char* json_kind_name(JsonNode::Kind kind) {
    switch (kind) {
        case JsonNode::Kind::null:
            return "null";
        case JsonNode::Kind::boolean:
            return "true or false";
        case JsonNode::Kind::integer:
            return "an integer";
        case JsonNode::Kind::number:
            return "a number with a fraction or exponent";
        case JsonNode::Kind::text:
            return "a string";
        case JsonNode::Kind::array:
            return "an array";
        case JsonNode::Kind::object:
            return "an object";
    }
    return "?";
}

std::string json_quoted(std::string_view text) {
    constexpr size_t kShown = 64;  // characters; enough for any name that could have been meant
    std::string out = "\"";
    for (char c : text.substr(0, kShown)) {
        if (c >= ' ' && c < 127 && c != '"' && c != '\\') {
            out += c;
        } else {
            char escaped[8];
            snprintf(escaped, sizeof escaped, "\\x%02x", (unsigned char)c);
            out += escaped;
        }
    }
    if (text.size() > kShown) out += "...";
    return out + "\"";
}

std::string json_path(const std::string& parent, std::string_view key) {
    std::string path = parent + "/";
    for (char c : key) {
        if (c == '~')
            path += "~0";
        else if (c == '/')
            path += "~1";
        else if (c < ' ' || c > '~')  // char is signed: bytes above 127 too
            path += '?';              // paths are printed to terminals, and every name that is known is ASCII
        else
            path += c;
    }
    return path;
}

bool json_parse(std::string_view text, JsonNode* root, std::vector<PolicyMistake>* mistakes) {
    size_t consumed = 0;
    const char* begin = text.data() ? text.data() : "";
    TreeBuilder builder(std::string_view(begin, text.size()), &consumed, root, mistakes);
    return json::sax_parse(CountingIterator(begin, &consumed), CountingIterator(begin + text.size(), &consumed),
                           &builder);
}

}  // namespace ocrun
