// handoff.cc - see handoff.h
#include "runtime/host/handoff.h"

#include <initializer_list>

namespace ocrun {

namespace {

bool number(const char** p, u64* out) {
    if (!text_parse_u64(p, out) || **p != ',') return false;
    ++*p;
    return true;
}

}  // namespace

void handoff_write(const Handoff& h, Text* out) {
    out->add(kHandoffPrefix);
    // The mask in two halves: Text::dec is signed.
    for (u64 v : {u64(u32(h.signal_mask)), h.signal_mask >> 32, u64(h.policy_fd), u64(h.target_fd), u64(h.filter_fd + 1), u64(h.base),
                  u64(h.nested), u64(h.host_no_new_privs)})
        out->dec(i64(v)).add(",");
    size_t comm = text_length(h.comm);
    out->dec(i64(comm)).add(",").add(h.comm, comm).add(h.exec_path);
}

bool handoff_read(const char* text, Handoff* out) {
    if (!text_starts_with(text, kHandoffPrefix)) return false;
    const char* p = text + text_length(kHandoffPrefix);
    u64 v[9];
    for (u64& x : v)
        if (!number(&p, &x)) return false;
    *out = Handoff{};
    out->signal_mask = v[0] | v[1] << 32;
    out->policy_fd = int(v[2]);
    out->target_fd = int(v[3]);
    out->filter_fd = int(v[4]) - 1;
    out->base = int(v[5]);
    out->nested = v[6];
    out->host_no_new_privs = v[7];
    if (v[8] >= sizeof out->comm || text_length(p) < v[8]) return false;
    text_copy(out->comm, size_t(v[8]) + 1, p);
    out->exec_path = p + v[8];
    return true;
}

}  // namespace ocrun
