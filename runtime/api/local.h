// local.h - values of oc_local keys, of one task or one ordinary thread
#pragma once
#include "runtime/api/thread.h"

namespace oc {

struct Locals {
    void* values = nullptr;  // an array of slots (local.cc)
    u32 count = 0;
};
// Calls the destructors and frees the values.
void locals_end(Locals& locals);

}  // namespace oc
