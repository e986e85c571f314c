// compact.h - libseccomp's program, shorter: the kernel's time to convert and compile a filter grows with its length
#pragma once
#include <linux/filter.h>

#include <vector>

#include "runtime/base/syscall.h"

namespace ocrun {

// The same decision for every number, architecture and argument, in fewer instructions: numbers with the same fate that follow
// each other become one range of a balanced tree, and tests that cannot fail (of the upper half of an argument under a mask
// without upper bits) go. A program of another form than expected, or that would not become shorter, comes back as it is.
std::vector<sock_filter> compact(const std::vector<sock_filter>& program);

}  // namespace ocrun
