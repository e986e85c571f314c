// script_line.h - the `#!` line of a script, read as the kernel reads it
#pragma once
#include "runtime/base/syscall.h"

namespace ocrun {

// How much of a file the kernel looks at (include/uapi/linux/binfmts.h: BINPRM_BUF_SIZE).
inline constexpr size_t kScriptLineBytes = 256;

struct ScriptLine {
    const char* interpreter;  // may be "" (the line holds a NUL there): opening it gives ENOENT, as in Linux
    const char* argument;     // everything behind it as one string, or nullptr
};

// Cuts the first line of a script into strings. `buffer` holds the first kScriptLineBytes of the file, zeroes behind
// its end; it is changed, and *out points into it. 0, or -ENOEXEC: no `#!`, no interpreter, or an interpreter path
// that does not end within the buffer (an argument may be cut short). Rules of fs/binfmt_script.c and execve(2).
long parse_script_line(char* buffer, ScriptLine* out);

}  // namespace ocrun
