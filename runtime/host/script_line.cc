// script_line.cc - parsing of `#!` lines (see script_line.h)
#include "runtime/host/script_line.h"

#include <asm/errno.h>

namespace ocrun {
namespace {

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

// First character in [at, last] that is no blank, or nullptr.
char* skip_blanks(char* at, char* last) {
    while (at <= last && is_blank(*at)) at++;
    return at <= last ? at : nullptr;
}

// First blank or NUL in [at, last], or nullptr.
char* find_word_end(char* at, char* last) {
    while (at <= last && *at && !is_blank(*at)) at++;
    return at <= last ? at : nullptr;
}

// The newline that ends the line, or nullptr when a NUL or the buffer's end comes first.
char* find_newline(char* buffer) {
    for (char* at = buffer; at < buffer + kScriptLineBytes && *at; at++)
        if (*at == '\n') return at;
    return nullptr;
}

}  // namespace

long parse_script_line(char* buffer, ScriptLine* out) {
    *out = ScriptLine{};
    if (buffer[0] != '#' || buffer[1] != '!') return -ENOEXEC;
    char* const start = buffer + 2;
    char* const last = buffer + kScriptLineBytes - 1;
    char* end = find_newline(buffer);
    if (!end) {
        // The line may be cut, the interpreter's path may not: something must end it inside the buffer.
        char* word = skip_blanks(start, last);
        if (!word || !find_word_end(word, last)) return -ENOEXEC;
        end = last;
    }
    while (is_blank(end[-1])) end--;
    char* interpreter = skip_blanks(start, end);
    if (!interpreter || interpreter == end) return -ENOEXEC;
    char* argument = nullptr;
    char* word_end = find_word_end(interpreter, end);
    if (word_end && *word_end) argument = skip_blanks(word_end, end);
    *end = 0;
    if (argument) *word_end = 0;
    out->interpreter = interpreter;
    out->argument = argument;
    return 0;
}

}  // namespace ocrun
