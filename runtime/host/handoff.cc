// handoff.cc - see handoff.h
#include "runtime/host/handoff.h"

#include <initializer_list>

namespace ocrun {

namespace {

static_assert(sizeof(CpuFacts) == 7 * sizeof(u32), "a new fact goes by handoff_write and handoff_read, too");

bool number(const char** p, u64* out) {
    if (!text_parse_u64(p, out) || **p != ',') return false;
    ++*p;
    return true;
}

}  // namespace

void handoff_write(const Handoff& h, Text* out) {
    out->add(kHandoffPrefix);
    // The masks in two halves: Text::dec is signed.
    for (u64 v : {u64(u32(h.signal_mask)), h.signal_mask >> 32, u64(u32(h.ignored_signals)), h.ignored_signals >> 32,
                  u64(h.cpu.xsave_bytes), u64(h.cpu.plain), u64(h.cpu.masks), u64(h.cpu.high), u64(h.cpu.keys),
                  u64(h.cpu.spoilt_returns), u64(h.cpu.even_ticks), u64(h.policy_fd), u64(h.target_fd), u64(h.filter_fd + 1), u64(h.base), u64(h.nested),
                  u64(h.host_no_new_privs), u64(h.forked_by.pid), u64(h.forked_by.thread)})
        out->dec(i64(v)).add(",");
    size_t comm = text_length(h.comm);
    out->dec(i64(comm)).add(",").add(h.comm, comm).add(h.exec_path);
}

bool handoff_read(const char* text, Handoff* out) {
    if (!text_starts_with(text, kHandoffPrefix)) return false;
    const char* p = text + text_length(kHandoffPrefix);
    u64 v[20];
    for (u64& x : v)
        if (!number(&p, &x)) return false;
    *out = Handoff{};
    out->signal_mask = v[0] | v[1] << 32;
    out->ignored_signals = v[2] | v[3] << 32;
    out->cpu.xsave_bytes = u32(v[4]);
    out->cpu.plain = u32(v[5]);
    out->cpu.masks = u32(v[6]);
    out->cpu.high = u32(v[7]);
    out->cpu.keys = u32(v[8]);
    out->cpu.spoilt_returns = u32(v[9]);
    out->cpu.even_ticks = u32(v[10]);
    out->policy_fd = int(v[11]);
    out->target_fd = int(v[12]);
    out->filter_fd = int(v[13]) - 1;
    out->base = int(v[14]);
    out->nested = v[15];
    out->host_no_new_privs = v[16];
    out->forked_by = {u32(v[17]), u32(v[18])};
    u64 comm = v[19];
    if (comm >= sizeof out->comm || text_length(p) < comm) return false;
    text_copy(out->comm, size_t(comm) + 1, p);
    out->exec_path = p + comm;
    return true;
}

}  // namespace ocrun
