// mappings.h - what the kernel says about a mapping of this process (/proc/self/maps)
#pragma once
#include "runtime/base/syscall.h"

namespace ocrun {

struct Mapping {
    u64 start, end;
    bool readable, writable, executable, shared, of_file;
};

// The mapping that covers the address: 0, or -errno (-ENOENT: none; others: /proc cannot be asked). Opens a descriptor for a
// moment. By PROCMAP_QUERY (Linux 6.11), else by reading the text.
long mapping_at(u64 address, Mapping* out);

// Is the mapping shared with others (MAP_SHARED)? Answers without a descriptor to spare, too.
bool mapping_is_shared(u64 address);

}  // namespace ocrun
