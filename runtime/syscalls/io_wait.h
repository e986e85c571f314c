// io_wait.h - what reads, writes, sends and receives share: the would-block half of a call, vectors partly done
//
// A handler in multi mode tries its call without blocking; when that would block, IoWait decides as the kernel would:
// a non-blocking description answers itself, a socket's time-out bounds the wait, a signal ends it. Follows socket(7)
// (SO_RCVTIMEO), signal(7) (which calls restart) and the kernel's sock_intr_errno.
#pragma once
#include <sys/uio.h>

#include "runtime/base/memory.h"
#include "runtime/io/pipes.h"
#include "runtime/io/readiness.h"
#include "runtime/process/process.h"
#include "runtime/syscalls/call.h"

namespace ocrun {

// Answers that no guest sees, outside of errno and of the restart codes.
inline constexpr long kLookAgain = -600;    // a tick ended the attempt: see whether it would still block
inline constexpr long kNonBlocking = -601;  // O_NONBLOCK: the kernel's own answer is the right one
inline constexpr long kNoReadiness = -602;  // nothing to wait for: make the call natively or by a helper

// O_NONBLOCK or a time-out of some description has been changed by this process.
void note_options_changed();
// By anyone of the tree, so often.
inline u32 options_changed() { return __atomic_load_n(&tree_shared()->options_changed, __ATOMIC_ACQUIRE); }

// A socket with O_NONBLOCK, as far as this process and its relatives know: no call on it waits. (Should it be wrong, because a program
// outside of the tree cleared the flag, the call waits on this worker, and its place goes to another.)
inline bool answers_at_once(int fd) { return fd_fact(fd, FdFact::nonblocking, options_changed()); }
// A fresh socket that was made so.
void note_nonblocking(int fd);

// Is one of poll(2)'s `events`, an error or a hang-up there right now?
bool ready_now(int fd, short events);

// One call in wait for one descriptor. Lives on the runtime stack of the coroutine that makes the call, unless that gives its stack away.
//
// A call that waits keeps its file, whoever closes the number meanwhile, as a call in the kernel does: the closing
// thread gives every waiter a descriptor of its own (io_wait_keep_files), and the call goes on with that.
class IoWait {
public:
    // The descriptor is argument `index` of the call. timeout_option: SO_RCVTIMEO or SO_SNDTIMEO.
    IoWait(Call& call, int index, u32 events, int timeout_option)
        : call_(call), index_(index), here_{int(call.a[index]), -1, false, nullptr, nullptr}, events_(events), timeout_option_(timeout_option) {}
    ~IoWait() {
        if (here_.own) give_back();
    }
    IoWait(const IoWait&) = delete;
    IoWait& operator=(const IoWait&) = delete;

    // The rest of a call that began with another one of these, which parked without a stack (block): before anything else.
    void behind_park();
    // What tries are to be made on; the call's argument follows it.
    int fd() const { return here_.fd; }
    // Before every try, so that an event between the try and the wait is not lost.
    void arm() {
        FdState* state = fd_state(here_.fd);
        seen_ = state ? state->sequence.load(std::memory_order_acquire) : 0;
        if (Pipe* p = fd_pipe(here_.fd)) activity_ = p->activity.load(std::memory_order_acquire);
    }
    // Before the first try: lets others run when the descriptor mostly has to be waited for.
    void give_way() {
        // (yield_now looks at the descriptors when nobody is ready.)
        // What is empty for sure is waited for instead: no stack is kept for that.
        yielded_ = fd_mostly_waits(here_.fd) && !(fd_kind(here_.fd, false) == FdKind::stream && fd_known_empty(here_.fd));
        if (yielded_) yield_now(call_.c);
    }
    // A try was no futile one. A success after others were given time, or after a wait, says nothing.
    void succeeded() {
        if (!yielded_ && !looked_) fd_note_try(here_.fd, false);
    }
    FdKind kind() { return fd_kind(here_.fd, true); }
    // A try would block for sure (fd_emptied), and so would the call.
    bool known_empty();
    // The read got less than it asked for, into a buffer that can be filled (reaches_end).
    void emptied() { fd_emptied(here_.fd, seen_, activity_); }
    // After a try that would block. 0: try again. -EAGAIN: the socket's time is up. kNonBlocking, kNoReadiness, or
    // the code for an interruption. Where the call may park without a stack and nothing but this object is needed for the rest: `resume`
    // does that (behind_park), and kParks is to be returned at once.
    long block(long (*resume)(Coroutine*) = nullptr);
    // The time-out begins anew.
    void begin_again() { looked_ = timed_out_ = false; }
    bool nonblocking();
    bool is_socket();
    // kRestartSys, or -EINTR for a socket with a time-out.
    long interrupted();
    // An error waits in the socket. It belongs to the guest's next call when this one made progress.
    bool error_waits() const;

private:
    void look();
    void take_kept();
    void give_back();

    Call& call_;
    int index_;
    u64 number_ = call_.a[index_];  // as the guest gave it
    WaitingCall here_;
    u32 events_;
    int timeout_option_;
    u32 seen_ = 0;
    u64 activity_ = 0;
    bool yielded_ = false;
    bool looked_ = false, nonblocking_ = false, socket_ = false, timed_out_ = false;
    u64 deadline_ns_ = kNever;
};

// The numbers are about to be closed or replaced.
void io_wait_keep_files(unsigned first, unsigned last);
// Time-out of a socket as a deadline from now; kNever when there is none or fd is not a socket (then *socket is
// false).
u64 socket_deadline(int fd, int option, bool* socket);

// Single mode: the kernel blocks the lone coroutine; a socket with a time-out does not restart.
long blocking_io(Call& call, int timeout_option);

// Multi mode: the call on this worker, when it is expected not to block. kLookAgain after a tick, -EINTR with a
// signal pending, else the kernel's answer.
long native_attempt(Call& call);

// The policy says `offload` for the call in progress: its part that may block on a worker is a helper's. native_attempt
// asks by itself; native_on_worker is that without the question, helper_attempt answers as they do.
bool wants_helper(const Call& call);
long native_on_worker(Call& call);
long helper_attempt(Call& call);

// The call in the kernel of this thread, ended early (-EINTR) by a latched signal, for descriptors that may be
// terminals. Job control asks the kernel thread whether SIGTTIN and SIGTTOU are blocked or ignored (tty_check_change
// in the kernel); during the call they are blocked when the guest blocks or ignores them.
// for_long: as blocking_syscall; a tick does not end it.
IntrResult native_as_guest(Call& call, bool for_long);

// A write that failed with EPIPE (EFBIG) raised SIGPIPE (SIGXFSZ) in this kernel thread: it is the calling
// coroutine's. Returns `result`.
long claim_write_signal(Coroutine* c, long result);
// The same for a call that a helper made: there the signal stayed pending for ever.
long raise_write_signal(Coroutine* c, long result);

// Was it for want of data that a read of so many bytes gave only `got`? Not where the buffer itself ends before.
inline bool reaches_end(u64 buffer, u64 bytes, u64 got) {
    u64 last = buffer + bytes - 1;
    u8 there;
    return page_down(buffer + got - 1) == page_down(last) || get_guest(&there, (const void*)last) == 0;
}

inline constexpr u64 kMaxTransfer = 0x7ffff000;  // MAX_RW_COUNT: what the kernel moves in one call

// Buffers of a call, of which the first part may be done. Points to the guest's array until a part has to be cut off.
class IoVector {
public:
    // One buffer; an array as of readv.
    IoVector(u64 base, u64 bytes) : at_(&one_), count_(1), one_{(void*)base, bytes} {}
    IoVector(u64 guest_array, u64 count, int) : at_((const iovec*)guest_array), count_(count), one_{} {}
    ~IoVector() {
        if (copy_) pages_free(copy_, copy_bytes_);
    }
    IoVector(const IoVector&) = delete;
    IoVector& operator=(const IoVector&) = delete;

    const iovec* data() const { return at_; }
    u64 size() const { return count_; }
    // One buffer, described here: the guest's own array may not be looked at.
    bool own() const { return at_ == &one_ && count_ == 1; }
    // Bytes in all, at most what the kernel moves in one call; 0 when the array cannot be read.
    u64 total() const { return at_ != &one_ ? total_of_array() : !count_ ? 0 : one_.iov_len < kMaxTransfer ? one_.iov_len : kMaxTransfer; }
    // As ocrun::reaches_end.
    bool reaches_end(u64 got) const;
    // Drops the first `bytes`; false when there is no memory for a copy of the array.
    bool advance(u64 bytes);

private:
    u64 total_of_array() const;

    const iovec* at_;
    u64 count_;
    iovec one_;
    iovec* copy_ = nullptr;
    u64 copy_bytes_ = 0;
};

}  // namespace ocrun
