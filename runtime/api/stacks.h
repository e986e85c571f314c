// stacks.h - pooled stacks for tasks and segments: one size a pool, a guard page below each, touched lazily
#pragma once
#include <cstddef>

#include "runtime/api/thread.h"

namespace oc {

// Stacks are cut out of chunks, so that the kernel keeps few mappings; guards are MADV_GUARD_INSTALL where there is one (Linux 6.13),
// else mappings of their own. A chunk is never unmapped; what a stack touched is given back when many lie unused.
class Stacks {
public:
    // bytes: usable ones, a multiple of a page.
    void set_bytes(std::size_t bytes) { bytes_ = bytes; }
    std::size_t bytes() const { return bytes_; }
    // The lowest usable address, or nullptr when memory is refused.
    void* take();
    void give(void* low);
    // In the child of a fork: what another thread may have been changing is given up.
    void after_fork();

private:
    struct Free;
    bool grow();
    Lock lock_;
    std::size_t bytes_ = 0;
    Free* free_ = nullptr;
    unsigned kept_ = 0;
    char* fresh_ = nullptr;
    unsigned fresh_left_ = 0;
};

inline constexpr std::size_t kPage = 4096;
inline constexpr std::size_t page_up(std::size_t n) { return (n + kPage - 1) & ~(kPage - 1); }

}  // namespace oc
