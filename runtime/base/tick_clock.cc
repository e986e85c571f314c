// tick_clock.cc - see tick_clock.h
#include "runtime/base/tick_clock.h"

#include <fcntl.h>

#include "runtime/base/memory.h"

namespace ocrun {

bool kernel_trusts_ticks() {
    constexpr char kWhere[] = "/sys/devices/system/clocksource/clocksource0/current_clocksource", kCounter[] = "tsc\n";
    long fd = sys(__NR_open, kWhere, O_RDONLY | O_CLOEXEC);
    if (is_error(fd)) return false;
    char name[sizeof kCounter] = {};
    long got = sys(__NR_read, fd, name, sizeof name);
    sys(__NR_close, fd);
    return got == sizeof kCounter - 1 && memcmp(name, kCounter, sizeof kCounter - 1) == 0;
}

}  // namespace ocrun
