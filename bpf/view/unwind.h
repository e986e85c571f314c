// unwind.h - call chains of coroutines by DWARF call frame information, from outside
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "bpf/view/process.h"

namespace ocrun::view {

struct Frame {
    uint64_t pc;
    std::string function;  // demangled, or empty
    std::string module;    // file name without its folders
    uint64_t offset;       // into the function, or into the module when it has no name
    std::string text() const;
};

class Unwinder {
public:
    // Null with *why filled when the process's modules cannot be read.
    static std::unique_ptr<Unwinder> open(const Process& process, std::string* why);
    virtual ~Unwinder() = default;
    // Innermost first, at most `most` frames. A coroutine that runs is stopped for a moment to read its registers and the top of
    // its stack. Empty when it cannot be caught.
    virtual std::vector<Frame> stack(const Coroutine& c, size_t most = 64) = 0;
};

}  // namespace ocrun::view
