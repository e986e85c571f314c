// init.cc - oc_init: under ocrun already, under it from the beginning again, or on plain threads
#include <errno.h>
#include <signal.h>

#include "runtime/api/cancel.h"
#include "runtime/api/pool.h"
#include "runtime/api/reexec.h"
#include "runtime/api/unwind.h"

using namespace oc;

namespace {

constexpr u32 kTasksUnderOcrun = 65536, kTasksOnThreads = 1024, kQueue = 65536;
constexpr u64 kKeepAliveNs = 10000000000, kStackBytes = 256 * 1024;

oc_config with_defaults(const oc_config* given, bool under_ocrun) {
    oc_config c{};
    if (given) __builtin_memcpy(&c, given, given->size < sizeof c ? given->size : sizeof c);
    if (!c.tasks_min) c.tasks_min = 1;
    if (!c.tasks_max) c.tasks_max = under_ocrun ? kTasksUnderOcrun : kTasksOnThreads;
    if (!c.queue_max) c.queue_max = kQueue;
    if (!c.cancel_signal) c.cancel_signal = SIGRTMAX - 1;
    if (!c.keep_alive_ns) c.keep_alive_ns = kKeepAliveNs;
    if (!c.stack_bytes) c.stack_bytes = kStackBytes;
    return c;
}

}  // namespace

extern "C" int oc_init(const oc_config* given) {
    if (pool_is_on()) return -EALREADY;
    bool under_ocrun = substrate_find();
    oc_config config = with_defaults(given, under_ocrun);
    if (config.mode > OC_MODE_PREFER_OCRUN || config.tasks_min > config.tasks_max) return -EINVAL;
    if (config.cancel_signal < SIGRTMIN || config.cancel_signal > SIGRTMAX) return -EINVAL;
    if (!under_ocrun && config.mode != OC_MODE_THREADS) {
        int r = reexec_under_ocrun(config);
        if (config.mode == OC_MODE_OCRUN) return r;
    }
    reexec_forget();
    Thread& me = self();
    Inside inside(me);
    unwind_init();
    return pool_start(me, config);
}
