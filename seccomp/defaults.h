// defaults.h - the built-in policy (config/default.json) as values, and its filter: made when ocrun is built
//
// A start with the built-in policy parses nothing and asks libseccomp nothing. make_defaults.cc writes the tables; a unit
// test compares them with what the parser and build_filter() make of the same file at run time.
#pragma once
#include <linux/filter.h>

#include "config/policy.h"
#include "runtime/base/syscall.h"

namespace ocrun {

// Policy, as bytes: use built_in_policy().
extern const u64 kBuiltInPolicyWords[sizeof(Policy) / 8];
inline const Policy& built_in_policy() {
    static_assert(sizeof(Policy) % 8 == 0 && alignof(Policy) == 8);
    return *reinterpret_cast<const Policy*>(kBuiltInPolicyWords);
}

// For hidden descriptors from kUsualHiddenBase on. The gate at its end (seccomp/install.h) must be written anew: where
// ocrun's own text ends is known when it is linked.
extern const sock_filter kBuiltInFilter[];
extern const u32 kBuiltInFilterLength;

}  // namespace ocrun
