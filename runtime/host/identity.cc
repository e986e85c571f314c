// identity.cc - PR_SET_MM_MAP and /proc/self/fd (see identity.h)
#include "runtime/host/identity.h"

#include <asm/errno.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>

namespace ocrun {

long set_process_identity(const LoadedImage& image, const InitialStack& stack, const char* comm) {
    struct prctl_mm_map map = {};
    map.start_code = image.code_start;
    map.end_code = image.code_end;
    map.start_data = image.data_start;
    map.end_data = image.data_end;
    map.start_brk = map.brk = image.brk_start;
    map.start_stack = stack.rsp;
    map.arg_start = stack.arg_start;
    map.arg_end = stack.arg_end;
    map.env_start = stack.env_start;
    map.env_end = stack.env_end;
    map.auxv = (decltype(map.auxv))stack.auxv_copy;
    map.auxv_size = u32(stack.auxv_bytes);
    map.exe_fd = ~0u;
    long r = sys(__NR_prctl, PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0);
    if (is_error(r)) {
        // Unlike an exec, this call counts the data segment against RLIMIT_DATA; and it wants ordered pairs.
        map.end_data = map.start_data;
        r = sys(__NR_prctl, PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0);
    }
    long named = sys(__NR_prctl, PR_SET_NAME, comm, 0, 0, 0);
    return is_error(r) ? r : named;
}

long fd_path(int fd, char* buffer, size_t size) {
    TextBuffer<40> link;
    link.add("/proc/self/fd/").dec(fd);
    long r = sys(__NR_readlinkat, AT_FDCWD, link.c_str(), buffer, size);
    if (is_error(r)) return r;
    if (size_t(r) >= size) return -ENAMETOOLONG;
    buffer[r] = 0;
    return r;
}

}  // namespace ocrun
