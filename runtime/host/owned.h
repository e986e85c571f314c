// owned.h - scope guards of the host module: pages and descriptors given back on every path
#pragma once
#include "runtime/base/memory.h"

namespace ocrun {

// Zeroed pages; start() is nullptr when there was no memory.
class OwnedPages {
public:
    explicit OwnedPages(size_t bytes) : start_((char*)pages_alloc(bytes)), bytes_(bytes) {}
    ~OwnedPages() {
        if (start_) pages_free(start_, bytes_);
    }
    OwnedPages(const OwnedPages&) = delete;
    OwnedPages& operator=(const OwnedPages&) = delete;
    char* start() const { return start_; }
    char* release() {
        char* start = start_;
        start_ = nullptr;
        return start;
    }

private:
    char* start_;
    size_t bytes_;
};

// A descriptor, or a negative number for none.
class OwnedFd {
public:
    explicit OwnedFd(long fd = -1) : fd_((int)fd) {}
    ~OwnedFd() { reset(-1); }
    OwnedFd(const OwnedFd&) = delete;
    OwnedFd& operator=(const OwnedFd&) = delete;
    int get() const { return fd_; }
    void reset(int fd) {
        if (fd_ >= 0) sys(__NR_close, fd_);
        fd_ = fd;
    }
    int release() {
        int fd = fd_;
        fd_ = -1;
        return fd;
    }

private:
    int fd_;
};

}  // namespace ocrun
