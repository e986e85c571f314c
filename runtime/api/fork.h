// fork.h - the child of a fork: locks that other threads held then are nobody's there
#pragma once

namespace oc {

// `reset` runs in the child of every fork from now on, once however often it is told. Not under a lock that it resets.
void reset_in_child(void (*reset)());

}  // namespace oc
