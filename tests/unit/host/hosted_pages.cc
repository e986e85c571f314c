// hosted_pages.cc - pages for the unit tests; runtime/base/memory.cc would replace the C library's memcpy under them
#include <sys/mman.h>

#include "runtime/base/memory.h"

namespace ocrun {

void* pages_alloc(size_t bytes) {
    void* start = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return start == MAP_FAILED ? nullptr : start;
}

void pages_free(void* start, size_t bytes) {
    munmap(start, page_up(bytes));
}

}  // namespace ocrun
