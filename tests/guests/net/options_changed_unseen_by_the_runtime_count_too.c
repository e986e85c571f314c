// options_changed_unseen_by_the_runtime_count_too.c - under a policy that leaves fcntl, ioctl and setsockopt to the kernel.
// TEST: native=skip timeout=20 needs=policy ocrun="-c ${ROOT}/tests/guests/net/options_native.json"
#include "options_changed_elsewhere_are_seen.c"
