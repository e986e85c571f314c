// text.h - bounded text building and the few string routines the core needs (no libc)
#pragma once
#include "runtime/base/syscall.h"

namespace ocrun {

size_t text_length(const char* s);
bool text_equal(const char* a, const char* b);
bool text_starts_with(const char* s, const char* prefix);
bool text_ends_with(const char* s, const char* suffix);
// Copies with truncation; always terminates when size > 0; returns the length written.
size_t text_copy(char* to, size_t size, const char* from);
const char* text_basename(const char* path);
// Parses a decimal number at *s, advances *s; returns false when there is no digit or it overflows.
bool text_parse_u64(const char** s, u64* out);

// Text builds a message in a caller-owned buffer; what does not fit is dropped, the result always ends in NUL.
class Text {
public:
    Text(char* buffer, size_t size) : buffer_(buffer), size_(size) { buffer_[0] = 0; }
    Text& add(const char* s);
    Text& add(const char* s, size_t n);
    Text& dec(i64 value);
    Text& hex(u64 value);  // with 0x
    Text& pad_to(size_t column);
    const char* c_str() const { return buffer_; }
    size_t size() const { return used_; }
    void clear() { used_ = 0; buffer_[0] = 0; }
    void write_to(int fd) const;

private:
    char* buffer_;
    size_t size_;
    size_t used_ = 0;
};

template <size_t N>
class TextBuffer : public Text {
public:
    TextBuffer() : Text(storage_, N) {}

private:
    char storage_[N];
};

// One line on standard error, "ocrun: " before and a newline behind it; async-signal-safe.
void log_line(const Text& text);
void log_line(const char* text);
// Prints the line and ends the process with `status` (125: ocrun's own failure).
[[noreturn]] void die(int status, const char* text);
// The name of an errno value, "ENOENT"; "E?" when unknown.
const char* errno_name(long error);
// Plain words for it: "no such file or directory".
const char* errno_text(long error);

#define OC_CHECK(condition)                                                                  \
    do {                                                                                     \
        if (__builtin_expect(!(condition), 0))                                               \
            ::ocrun::check_failed(#condition, __FILE__, __LINE__);                           \
    } while (0)
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace ocrun
