// filter_eval_fuzz.cc - any bytes as a seccomp program: what filter_valid() accepts runs to an end inside its bounds
#include <cstring>
#include <vector>

#include "seccomp/filter_eval.h"

using namespace ocrun;

extern "C" int LLVMFuzzerTestOneInput(const u8* input, size_t size) {
    seccomp_data data = {};
    if (size < sizeof data) return 0;
    memcpy(&data, input, sizeof data);
    // An exact copy on the heap, so that a step outside is seen.
    std::vector<sock_filter> program((size - sizeof data) / sizeof(sock_filter));
    if (!program.empty()) memcpy(program.data(), input + sizeof data, program.size() * sizeof(sock_filter));
    if (filter_valid(program.data(), unsigned(program.size())))
        filter_eval(program.data(), unsigned(program.size()), data);
    return 0;
}
