// stacks.cc - see stacks.h
#include "runtime/api/stacks.h"

#include <sys/mman.h>

namespace oc {

namespace {

#ifndef MADV_GUARD_INSTALL
constexpr int MADV_GUARD_INSTALL = 102;  // Linux 6.13
#endif
constexpr unsigned kChunk = 32;
// Stacks that keep the memory they touched, for the next user; what is beyond goes back to the kernel.
constexpr unsigned kKeptWarm = 256;

}  // namespace

// At the top of an unused stack, where its last user's frames were: the page is there already.
struct Stacks::Free {
    Free* next;
};

bool Stacks::grow() {
    std::size_t each = bytes_ + kPage;
    void* p = mmap(nullptr, each * kChunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (p == MAP_FAILED) return false;
    madvise(p, each * kChunk, MADV_NOHUGEPAGE);
    for (unsigned i = 0; i < kChunk; i++) {
        char* guard = (char*)p + i * each;
        if (madvise(guard, kPage, MADV_GUARD_INSTALL)) mprotect(guard, kPage, PROT_NONE);
    }
    fresh_ = (char*)p;
    fresh_left_ = kChunk;
    return true;
}

void* Stacks::take() {
    Locked held(lock_);
    if (Free* f = free_) {
        free_ = f->next;
        kept_--;
        return (char*)f + sizeof(Free) - bytes_;
    }
    if (!fresh_left_ && !grow()) return nullptr;
    char* guard = fresh_;
    fresh_ += bytes_ + kPage;
    fresh_left_--;
    return guard + kPage;
}

void Stacks::give(void* low) {
    Free* f = (Free*)((char*)low + bytes_ - sizeof(Free));
    bool cold;
    {
        Locked held(lock_);
        cold = kept_ >= kKeptWarm;
    }
    if (cold) madvise(low, bytes_ - kPage, MADV_DONTNEED);
    Locked held(lock_);
    f->next = free_;
    free_ = f;
    kept_++;
}

void Stacks::after_fork() {
    if (!lock_.is_held()) return;
    lock_.reset();
    free_ = nullptr;
    kept_ = 0;
    fresh_left_ = 0;
}

}  // namespace oc
