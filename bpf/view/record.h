// record.h - a recording session: turns a process's hooks on, collects what its kernel threads write, turns them off again
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "bpf/view/process.h"

namespace ocrun::view {

// One kernel thread's file (struct oc_record) and how far its ring was read.
struct Record {
    const oc_record* shared;
    std::string file;
    uint32_t pid, tid, ring_events;  // as first seen: the writer may change its mind, we do not
    uint64_t start_tsc, tail;
    std::string program;
};

// What was recorded, as it was written: decoded only when nobody is recorded any more. Large pages where the kernel has them, made
// before they are filled: most of what recording costs the view is fresh memory.
class Store {
public:
    explicit Store(size_t most);
    ~Store();
    Store(const Store&) = delete;
    size_t free() const { return room_ - count_; }
    // Where the next `count` events go (count <= free()), or null when memory is refused; they are kept once added() says so.
    oc_event* place(size_t count);
    void added(size_t count) { count_ += count; }
    const oc_event* events() const { return events_; }

private:
    friend class Session;
    struct Piece {
        uint32_t record;
        size_t first, count;
        uint64_t position;  // in its ring
        uint64_t seen_tsc;  // no event of it is later
    };
    oc_event* events_;
    size_t bytes_, room_, count_ = 0, ready_bytes_ = 0;
    std::vector<Piece> pieces_;
};

// Decoded.
struct Event {
    uint64_t tsc;
    uint32_t record;  // index into Session::records()
    uint32_t kind, nr, co;
    int64_t a;        // SWITCH, WAKE, CREATE: the other one; RETURN: result; NAME: text
    int64_t b;        // PARK: detail; CALL, RETURN: first argument
    int64_t ticks;    // PARK, RETURN: since the call began, -1: not known
    bool argument;    // RETURN: b is it
};

class Session {
public:
    // A directory that `owner` can write to, not in force yet. Null with a line on standard error when it cannot be made.
    static std::unique_ptr<Session> make(uint32_t level, uint32_t ring_events, uid_t owner);
    ~Session();
    // In force for a process that runs already. False with a line when it cannot be.
    bool attach(Process& process);

private:
    bool tell(Process& process, oc_control& control);

public:
    // Starts the command under the ocrun beside this program, recorded from its start: its pid, or -1.
    int launch(std::vector<std::string> options, const std::vector<std::string>& command) const;

    // A process that was attached to and has executed another program since records again. Some ten times a second is enough.
    void follow_exec();
    // Recording goes on for two more seconds.
    void renew();
    // New files and (into `store`) new events; for what there is no room is thrown away and counted.
    void collect(Store* store = nullptr);
    // Sleeps until a ring has filled up by a quarter, a signal comes or the time is over.
    void wait_ms(unsigned ms);
    // What the store holds, in the order of time, up to the moment from which on some kernel threads' events were thrown away.
    std::vector<Event> decode(const Store& store);
    const std::vector<Record>& records() const { return records_; }
    // Overwritten before they were read, and thrown away for want of room.
    uint64_t dropped() const { return dropped_; }
    uint64_t not_kept() const { return not_kept_; }
    // Kernel threads that could not record (no descriptor, a file-size limit, another root directory).
    uint64_t refused() const;
    // "dropped 0, …": every view ends with it.
    std::string losses() const;

private:
    Session() = default;
    void find_files();
    size_t copy_ring(const Record& r, uint64_t from, size_t count, Store* store);
    void keep_the_first(Store* store, const std::vector<uint64_t>& heads);
    uint64_t moment(const Store::Piece& p, const oc_event& e) const;

    std::string directory_;
    oc_session* session_ = nullptr;
    uint32_t level_ = 0, records_known_ = 0, bell_heard_ = 0;
    std::vector<uint64_t> heads_;
    std::vector<Record> records_;
    std::vector<std::string> seen_;
    uint64_t dropped_ = 0, not_kept_ = 0, complete_until_ = UINT64_MAX;
    std::vector<std::pair<int, unsigned long long>> attached_;  // pid, start time
    std::vector<uint64_t> controls_;
};

// Adds up `buckets` of all records.
void add_buckets(const Session& session, uint64_t on_cpu[OC_BUCKETS], uint64_t queued[OC_BUCKETS], uint64_t parked[OC_BUCKETS]);
// The upper bound in ticks of the bucket in which the given part (0 … 1) of all lies; 0 when there is nothing.
uint64_t percentile(const uint64_t buckets[OC_BUCKETS], double part);
std::string duration_text(double ns);
// Set by SIGINT and SIGTERM once catch_stop() was called; these and SIGCHLD end a Session's sleep.
extern volatile bool g_stop;
void catch_stop();
// The end of a process as something to wait for.
class EndOf {
public:
    explicit EndOf(int pid);
    ~EndOf();
    // Sleeps until the process ends, a signal comes or the time is over. True: it has ended.
    bool within_ms(double ms);

private:
    int fd_;
};

}  // namespace ocrun::view
