// store.cc - what a session keeps of the rings, and what it means (struct oc_event); see record.h
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>

#include "bpf/view/record.h"

namespace ocrun::view {

namespace {
constexpr size_t kLargePage = 2u << 20;
}

Store::Store(size_t most) : events_(nullptr), bytes_((most * sizeof(oc_event) + kLargePage - 1) & ~(kLargePage - 1)), room_(0) {
    // One more to begin on a large page's border; what is never touched takes no memory.
    void* m = mmap(nullptr, bytes_ += kLargePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m == MAP_FAILED) return;
    size_t before = -(uintptr_t)m & (kLargePage - 1);
    if (before) munmap(m, before);
    bytes_ -= before;
    events_ = (oc_event*)((char*)m + before);
    madvise(events_, bytes_, MADV_HUGEPAGE);
    room_ = most;
}

Store::~Store() {
    if (events_) munmap(events_, bytes_);
}

oc_event* Store::place(size_t count) {
    size_t end = (count_ + count) * sizeof(oc_event);
    for (; ready_bytes_ < end; ready_bytes_ += kLargePage)
        if (madvise((char*)events_ + ready_bytes_, kLargePage, MADV_POPULATE_WRITE) && errno != EINVAL) return nullptr;  // EINVAL: before Linux 5.14
    return events_ + count_;
}

// There is room for a part only: what came last goes, whichever kernel thread it is from.
void Session::keep_the_first(Store* store, const std::vector<uint64_t>& heads) {
    size_t room = store->free(), fresh = 0;
    for (size_t i = 0; i < records_.size(); i++) fresh += heads[i] - records_[i].tail;
    if (!room) {
        for (size_t i = 0; i < records_.size(); i++) records_[i].tail = heads[i];
        not_kept_ += fresh;
        return;
    }
    Store all(fresh + 1);
    collect(&all);
    const oc_event* events = all.events();
    std::vector<uint64_t> times;
    if (events)
        for (const Store::Piece& p : all.pieces_)
            for (size_t n = 0; n < p.count; n++) times.push_back(moment(p, events[p.first + n]));
    if (times.size() > room) {
        std::nth_element(times.begin(), times.begin() + long(room), times.end());
        complete_until_ = times[room];
    }
    size_t kept = 0;
    for (const Store::Piece& p : all.pieces_) {
        size_t n = 0, first = store->count_;
        while (events && n < p.count && kept + n < room && moment(p, events[p.first + n]) < complete_until_) n++;
        oc_event* place = n ? store->place(n) : nullptr;
        if (!place) continue;
        memcpy(place, events + p.first, n * sizeof *place);
        store->added(n);
        store->pieces_.push_back({p.record, first, n, p.position, p.seen_tsc});
        kept += n;
    }
    not_kept_ += times.size() - kept;
    store->room_ = store->count_;
}

uint64_t Session::moment(const Store::Piece& p, const oc_event& e) const {
    // No later than it was seen, but for clocks of two CPUs that differ a little.
    constexpr uint64_t kMask = (1ull << OC_WHEN_BITS) - 1, kDifference = 1ull << 32;
    uint64_t latest = p.seen_tsc + kDifference;
    return latest - ((latest - records_[p.record].start_tsc - e.when) & kMask);
}

std::vector<Event> Session::decode(const Store& store) {
    struct Ring {
        uint64_t position = 0, wide = 0;
        uint32_t owner = 0, created = 0;
        bool known = false;  // who the owner is
    };
    std::vector<Ring> rings(records_.size());
    std::vector<Event> events;
    const oc_event* raws = store.events();
    if (!raws) return events;
    auto bits = [](uint64_t data, int from, int count) { return int64_t(data << (64 - from - count)) >> (64 - count); };
    for (const Store::Piece& p : store.pieces_) {
        Ring& ring = rings[p.record];
        if (ring.position != p.position) ring.known = false;
        ring.position = p.position + p.count;
        for (size_t n = 0; n < p.count; n++) {
            const oc_event& raw = raws[p.first + n];
            uint32_t low = uint32_t(raw.data), high = uint32_t(raw.data >> 32), nr = uint32_t(raw.when >> (OC_WHEN_BITS + OC_KIND_BITS));
            if (nr == (1u << OC_NR_BITS) - 1) nr = OC_NO_CALL;
            Event e{moment(p, raw), p.record, uint32_t(raw.when >> OC_WHEN_BITS & ((1u << OC_KIND_BITS) - 1)), nr, ring.owner, 0, 0, -1, false};
            bool own = false;
            switch (e.kind) {
                case OC_EV_SWITCH:
                    ring.owner = low, ring.known = true;
                    [[fallthrough]];
                case OC_EV_WAKE: e.co = low, e.a = high; break;
                case OC_EV_CREATE: e.co = ring.created = low, e.a = high; break;
                case OC_EV_NAME: e.co = ring.created, e.a = int64_t(raw.data); break;
                case OC_EV_KBLOCK: e.co = low; break;
                case OC_EV_OWNER: ring.owner = low, ring.known = true; continue;
                case OC_EV_WIDE: ring.wide = raw.data; continue;
                case OC_EV_PARK:
                    own = true;
                    e.ticks = low == ~0u ? -1 : int64_t(low);
                    e.b = high == ~0u ? int64_t(ring.wide) : int64_t(high);
                    break;
                case OC_EV_CALL: own = true, e.b = int64_t(raw.data); break;
                case OC_EV_RETURN: {
                    own = true;
                    constexpr int64_t kNoResult = -(1 << (OC_RETURN_RESULT_BITS - 1)), kNoArgument = -(1 << (OC_RETURN_ARGUMENT_BITS - 1));
                    constexpr uint64_t kUnknown = (1u << OC_RETURN_TICKS_BITS) - 1;
                    uint64_t ticks = raw.data & kUnknown;
                    e.ticks = ticks == kUnknown ? -1 : int64_t(ticks);
                    e.a = bits(raw.data, OC_RETURN_TICKS_BITS, OC_RETURN_RESULT_BITS);
                    if (e.a == kNoResult) e.a = int64_t(ring.wide);
                    e.b = bits(raw.data, OC_RETURN_TICKS_BITS + OC_RETURN_RESULT_BITS, OC_RETURN_ARGUMENT_BITS);
                    e.argument = e.b != kNoArgument;
                    break;
                }
                default: own = true;
            }
            if (own && !ring.known) {  // behind a loss nobody can tell whose it is
                dropped_++;
                continue;
            }
            if (e.tsc < complete_until_)
                events.push_back(e);
            else
                not_kept_++;
        }
    }
    std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) { return a.tsc < b.tsc; });
    return events;
}

}  // namespace ocrun::view
