// reexec.h - a process that is not under ocrun becomes one that is
#pragma once
#include "ocrun/ocrun.h"

namespace oc {

// Executes this program again under ocrun, with its arguments and environment. Returns only when it cannot: -ENOENT, no ocrun
// found; -ELOOP, this is the restarted program already and ocrun is not there; another error.
int reexec_under_ocrun(const oc_config& config);
// In the restarted program: takes back what the restart left in the environment.
void reexec_forget();

}  // namespace oc
