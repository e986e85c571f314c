// text.cc - bounded text building (see text.h)
#include "runtime/base/text.h"

#include <asm/errno.h>

#include "runtime/base/memory.h"

namespace ocrun {

size_t text_length(const char* s) {
    size_t n = 0;
    while (s[n]) n++;
    return n;
}

bool text_equal(const char* a, const char* b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

bool text_starts_with(const char* s, const char* prefix) {
    while (*prefix)
        if (*s++ != *prefix++) return false;
    return true;
}

bool text_ends_with(const char* s, const char* suffix) {
    size_t n = text_length(s), m = text_length(suffix);
    return n >= m && text_equal(s + n - m, suffix);
}

size_t text_copy(char* to, size_t size, const char* from) {
    if (!size) return 0;
    size_t n = 0;
    for (; n + 1 < size && from[n]; n++) to[n] = from[n];
    to[n] = 0;
    return n;
}

const char* text_basename(const char* path) {
    const char* base = path;
    for (const char* p = path; *p; p++)
        if (*p == '/' && p[1]) base = p + 1;
    return base;
}

bool text_parse_u64(const char** s, u64* out) {
    const char* p = *s;
    u64 value = 0;
    if (*p < '0' || *p > '9') return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        u64 digit = u64(*p - '0');
        if (value > (~0ul - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *s = p;
    *out = value;
    return true;
}

Text& Text::add(const char* s, size_t n) {
    while (n-- && used_ + 1 < size_) buffer_[used_++] = *s++;
    buffer_[used_] = 0;
    return *this;
}

Text& Text::add(const char* s) { return add(s, text_length(s)); }

Text& Text::dec(i64 value) {
    char digits[24];
    size_t n = sizeof digits;
    u64 magnitude = value < 0 ? 0 - u64(value) : u64(value);
    do {
        digits[--n] = char('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude);
    if (value < 0) digits[--n] = '-';
    return add(digits + n, sizeof digits - n);
}

Text& Text::hex(u64 value) {
    char digits[20];
    size_t n = sizeof digits;
    do {
        digits[--n] = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value);
    digits[--n] = 'x';
    digits[--n] = '0';
    return add(digits + n, sizeof digits - n);
}

Text& Text::pad_to(size_t column) {
    while (used_ < column && used_ + 1 < size_) buffer_[used_++] = ' ';
    buffer_[used_] = 0;
    return *this;
}

void Text::write_to(int fd) const {
    size_t done = 0;
    while (done < used_) {
        long r = sys(__NR_write, fd, buffer_ + done, used_ - done);
        if (r == -EINTR) continue;
        if (r <= 0) return;
        done += size_t(r);
    }
}

void log_line(const Text& text) { log_line(text.c_str()); }

void log_line(const char* text) {
    TextBuffer<1024> line;
    line.add("ocrun: ").add(text).add("\n");
    line.write_to(2);
}

void die(int status, const char* text) {
    log_line(text);
    for (;;) sys(__NR_exit_group, status);
}

void check_failed(const char* condition, const char* file, int line) {
    TextBuffer<512> text;
    text.add("internal error: ").add(condition).add(" does not hold at ").add(file).add(":").dec(line);
    die(125, text.c_str());
}

namespace {
struct ErrnoWords {
    int value;
    const char* name;
    const char* text;
};
constexpr ErrnoWords kErrnoWords[] = {
    {EPERM, "EPERM", "operation not permitted"},
    {ENOENT, "ENOENT", "no such file or directory"},
    {EINTR, "EINTR", "interrupted"},
    {EIO, "EIO", "input/output error"},
    {E2BIG, "E2BIG", "argument list too long"},
    {ENOEXEC, "ENOEXEC", "not an executable format"},
    {EBADF, "EBADF", "bad file descriptor"},
    {EAGAIN, "EAGAIN", "resource temporarily unavailable"},
    {ENOMEM, "ENOMEM", "out of memory"},
    {EACCES, "EACCES", "permission denied"},
    {EFAULT, "EFAULT", "bad address"},
    {EBUSY, "EBUSY", "busy"},
    {EEXIST, "EEXIST", "file exists"},
    {ENOTDIR, "ENOTDIR", "not a directory"},
    {EISDIR, "EISDIR", "is a directory"},
    {EINVAL, "EINVAL", "invalid argument"},
    {ENFILE, "ENFILE", "too many open files in the system"},
    {EMFILE, "EMFILE", "too many open files"},
    {ETXTBSY, "ETXTBSY", "text file busy"},
    {ENOSPC, "ENOSPC", "no space left on device"},
    {ENAMETOOLONG, "ENAMETOOLONG", "file name too long"},
    {ENOSYS, "ENOSYS", "function not implemented"},
    {ELOOP, "ELOOP", "too many levels of symbolic links or interpreters"},
    {ELIBBAD, "ELIBBAD", "corrupted program interpreter"},
    {EOPNOTSUPP, "EOPNOTSUPP", "operation not supported"},
};
const ErrnoWords* find_errno(long error) {
    if (error < 0) error = -error;
    for (const ErrnoWords& e : kErrnoWords)
        if (e.value == error) return &e;
    return nullptr;
}
}  // namespace

const char* errno_name(long error) {
    const ErrnoWords* e = find_errno(error);
    return e ? e->name : "E?";
}

const char* errno_text(long error) {
    const ErrnoWords* e = find_errno(error);
    return e ? e->text : "unexpected error";
}

}  // namespace ocrun
