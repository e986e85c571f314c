// select.cc - select and pselect6
//
// Follows select(2); fs/select.c for what is written back.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

#include "runtime/base/hidden_fds.h"
#include "runtime/base/text.h"
#include "runtime/syscalls/wait_set.h"

namespace ocrun {

namespace {

constexpr u64 kSecond = 1000000000ul;
constexpr i32 kMostDescriptors = 1 << 20;

u64 span_ns(const Timespec64& t) {
    constexpr u64 kFar = ~0ul >> 2;
    return u64(t.tv_sec) > kFar / kSecond ? kFar : u64(t.tv_sec) * kSecond + u64(t.tv_nsec);
}

// Has the guest a descriptor of this number or above?
bool descriptor_open_from(int number) {
    struct Entry {
        u64 inode;
        i64 next;
        u16 bytes;
        u8 kind;
        char name[];
    };
    // A directory of /proc lists what is open from its position on, the numbers in order behind two entries for the directories.
    long directory = sys(__NR_open, "/proc/thread-self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (is_error(directory)) return true;
    sys(__NR_lseek, directory, number + 2, SEEK_SET);
    alignas(8) char entries[512];
    bool found = false;
    for (long n; !found && (n = sys(__NR_getdents64, directory, entries, sizeof entries)) > 0;)
        for (long at = 0; at < n && !found;) {
            const Entry* entry = (const Entry*)(entries + at);
            const char* digits = entry->name;
            u64 fd;
            found = text_parse_u64(&digits, &fd) && fd >= u64(number) && !is_hidden_fd(long(fd)) && long(fd) != directory;
            at += entry->bytes;
        }
    sys(__NR_close, directory);
    return found;
}

std::atomic<i32> g_highest_closed{0};

// The size of the guest's table of descriptors, as far as it matters: natively it grows to a power of two with the numbers in use and
// does not shrink (alloc_fdtable). Here the runtime's own make it larger.
i32 native_table_size() {
    i32 size = kLeastTable, closed = g_highest_closed.load(std::memory_order_relaxed);
    while (size < kMostDescriptors && (closed >= size || descriptor_open_from(size))) size *= 2;
    return size;
}

// The three sets of a select: the guest's, and the kernel's answer beside them.
class FdSets {
public:
    FdSets() = default;
    ~FdSets() {
        if (words_ != few_) pages_free(words_, bytes_);
    }
    FdSets(const FdSets&) = delete;
    FdSets& operator=(const FdSets&) = delete;

    // n: descriptors. 0 or -errno.
    long read(i32 n, const u64 guest[3]) {
        if (n < 0) return -EINVAL;
        // More than the table of descriptors can ever hold is cut off, as the kernel does at the table's size. That has room for the
        // runtime's own descriptors here: natively n may be as large as the limit allows, and the sets of an fd_set's size.
        n_ = n > kMostDescriptors ? kMostDescriptors : n;
        if (n_ > FD_SETSIZE && !descriptor_open_from(FD_SETSIZE)) n_ = FD_SETSIZE;
        per_set_ = u64(n_ + 63) / 64;
        if (6 * per_set_ > kFewWords) {
            bytes_ = 6 * per_set_ * 8;
            u64* many = (u64*)pages_alloc(bytes_);
            if (!many) return -ENOMEM;
            words_ = many;
        }
        for (int s = 0; s < 3; s++) {
            guest_[s] = guest[s];
            if (guest[s] && copy_from_guest(asked(s), (void*)guest[s], per_set_ * 8)) return -EFAULT;
        }
        return 0;
    }
    // A bit of a descriptor that is not open, EBADF: above the native table's size nobody would have looked at it, nor written it
    // back. True when there is less to ask for now.
    bool cut_to_table() {
        if (n_ <= kLeastTable) return false;
        i32 size = native_table_size();
        if (n_ <= size) return false;
        u64 fewer = u64(size) / 64;
        for (int s = 1; s < 3; s++) memmove(words_ + u64(s) * fewer, asked(s), fewer * 8);
        n_ = size;
        per_set_ = fewer;
        return true;
    }
    // The kernel's answer right now.
    long ask() {
        answer_from_asked();
        timespec none{0, 0};
        return sys(__NR_pselect6, n_, guest_[0] ? answer(0) : nullptr, guest_[1] ? answer(1) : nullptr,
                   guest_[2] ? answer(2) : nullptr, &none, nullptr);
    }
    bool collect(WaitSet& set) {
        u64 count = 0;
        for (u64 i = 0; i < per_set_; i++) count += u64(__builtin_popcountl(any(i)));
        if (!set.reset(count)) return false;
        for (u64 i = 0; i < per_set_; i++)
            for (u64 bits = any(i); bits; bits &= bits - 1) {
                int bit = __builtin_ctzl(bits);
                u64 one = 1ul << bit;
                u32 events = 0;
                if (in(0, i) & one) events |= EPOLLIN;
                if (in(1, i) & one) events |= EPOLLOUT;
                if (in(2, i) & one) events |= EPOLLPRI;
                set.add(int(i * 64) + bit, events);
            }
        return true;
    }
    // The last answer to the guest: 0 or -EFAULT.
    long write() {
        for (int s = 0; s < 3; s++)
            if (guest_[s] && copy_to_guest((void*)guest_[s], answer(s), per_set_ * 8)) return -EFAULT;
        return 0;
    }
    // For a wait in the kernel.
    void answer_from_asked() {
        for (int s = 0; s < 3; s++)
            if (guest_[s]) memcpy(answer(s), asked(s), per_set_ * 8);
    }
    u64 answer_address(int s) { return guest_[s] ? u64(answer(s)) : 0; }
    i32 n() const { return n_; }

private:
    static constexpr u64 kFewWords = 6 * 16;  // 1024 descriptors, the size of an fd_set

    u64* asked(int s) { return words_ + u64(s) * per_set_; }
    u64* answer(int s) { return words_ + u64(s + 3) * per_set_; }
    u64 in(int s, u64 i) { return guest_[s] ? asked(s)[i] : 0; }
    u64 any(u64 i) {
        u64 bits = in(0, i) | in(1, i) | in(2, i);
        u64 last = u64(n_) - i * 64;
        return last >= 64 ? bits : bits & ((1ul << last) - 1);
    }

    i32 n_ = 0;
    u64 per_set_ = 0, bytes_ = 0;
    u64 guest_[3] = {};
    u64* words_ = few_;
    u64 few_[kFewWords];
};

long select_until(Call& call, u64 deadline_ns, const Mask& mask) {
    Coroutine* c = call.c;
    FdSets sets;
    u64 guest[3] = {call.a[1], call.a[2], call.a[3]};
    long r = sets.read(i32(call.a[0]), guest);
    if (r) return r;
    auto ask = [&] {
        long answer = sets.ask();
        return answer == -EBADF && sets.cut_to_table() ? sets.ask() : answer;
    };
    r = !blocks_here(c) || mask.given ? ask_now(c, ask) : 0;
    if (r == 0) {
        apply_mask(c, mask);
        WaitSet set;
        r = blocks_here(c) ? kNoReadiness
                           : wait_for_any(c, [&] { return deadline_ns; }, "select", set, ask, [&](WaitSet& s) { return sets.collect(s); });
    }
    while (r == kNoReadiness) {
        sets.answer_from_asked();
        Timespec64 left = deadline_ns == kNever ? Timespec64{} : remaining(deadline_ns);
        u64 args[6] = {u64(sets.n()),
                       sets.answer_address(0),
                       sets.answer_address(1),
                       sets.answer_address(2),
                       deadline_ns == kNever ? 0 : u64(&left),
                       0};
        r = blocks_here(c) ? blocking_syscall(__NR_pselect6, args).result : offload_call(c, __NR_pselect6, args, "select");
        if ((r == -EINTR && goes_on(c)) || (r == -EBADF && sets.cut_to_table())) r = kNoReadiness;
    }
    if (r >= 0 && sets.write()) r = -EFAULT;
    return r == -EINTR ? kRestartNoHand : r;
}

}  // namespace

void select_note_closed(i32 fd) {
    for (i32 seen = g_highest_closed.load(std::memory_order_relaxed); fd > seen;)
        if (g_highest_closed.compare_exchange_weak(seen, fd, std::memory_order_relaxed)) return;
}

long h_select(Call& call) {
    struct {
        i64 seconds, microseconds;
    } asked{};
    Timespec64 t{};
    u64 deadline = kNever;
    if (call.a[4]) {
        if (get_guest(&asked, (void*)call.a[4])) return -EFAULT;
        if (asked.seconds < 0 || asked.microseconds < 0) return -EINVAL;
        t = {asked.seconds + asked.microseconds / 1000000, asked.microseconds % 1000000 * 1000};
        if (t.tv_sec < 0) return -EINVAL;
        deadline = now_or_later_ns() + span_ns(t);
    }
    long r = select_until(call, deadline, {});
    if (deadline == kNever || (!asked.seconds && !asked.microseconds)) return r;
    Timespec64 left = rest_of(t, deadline);
    asked = {left.tv_sec, left.tv_nsec / 1000};
    return put_guest((void*)call.a[4], asked) && r == kRestartNoHand ? -EINTR : r;
}

long h_pselect6(Call& call) {
    Timeout t;
    Mask mask;
    struct {
        u64 set, bytes;
    } argument{};
    if (call.a[5] && get_guest(&argument, (void*)call.a[5])) return -EFAULT;
    long r = read_timeout(call.a[4], &t);
    if (!r) r = read_mask(argument.set, argument.bytes, &mask);
    if (r) return r;
    r = select_until(call, t.deadline_ns, mask);
    return leave_mask(call.c, finish_timeout(call.a[4], t, r));
}

}  // namespace ocrun
