// trace.cc - `ocrun trace PID|-- CMD -o FILE`: what happened when, in the trace-event format of Chrome and Perfetto
//
// Two groups of tracks for each process: its workers (which coroutine ran, from when to when) and its coroutines (system calls, and
// inside them the time parked). An arrow leads from who woke to the run that followed.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "bpf/view/commands.h"
#include "bpf/view/record.h"

namespace ocrun::view {

namespace {

// Coroutine tracks of process P are shown as a process of this number more: the first worker and coroutine 1 share their id.
constexpr uint64_t kCoroutineTracks = 1u << 24;

// How long the recorder sleeps between its looks, and how full a ring may be then.
constexpr double kFirstNapMs = 2, kShortestNapMs = 0.5, kLongestNapMs = 5, kFullEnough = 0.25, kAnchorMs = 100;

// Address space for all of it, in large pages: growing step by step would cost the recorded program more than recording does.
void roomy(std::vector<Event>* events, size_t most) {
    try {
        events->reserve(most);
    } catch (const std::bad_alloc&) {
        return;  // a limit on address space: it grows as it goes
    }
    constexpr uintptr_t kPage = 4096;
    uintptr_t begin = ((uintptr_t)events->data() + kPage - 1) & ~(kPage - 1), end = (uintptr_t)(events->data() + most) & ~(kPage - 1);
    if (end > begin) madvise((void*)begin, end - begin, MADV_HUGEPAGE);
}

std::string json_text(const std::string& text) {
    std::string out = "\"";
    for (unsigned char ch : text) {
        if (ch == '"' || ch == '\\') out += '\\';
        out += ch >= 32 && ch < 127 ? char(ch) : '?';
    }
    return out + "\"";
}

class Writer {
public:
    Writer(FILE* out, Session& session, TscClock& clock) : out_(out), session_(session), clock_(clock) {}

    // What was going on when the recording began.
    void seed(uint32_t pid, const std::vector<Coroutine>& coroutines, uint64_t tsc) {
        for (const Coroutine& c : coroutines) {
            seeded_.push_back({pid, c});
            seeded_tsc_ = tsc;
        }
    }
    void write(std::vector<Event>& events) {
        std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) { return a.e.tsc < b.e.tsc; });
        // Where one kernel thread's events end the others' would tell half a story.
        auto cut = std::partition_point(events.begin(), events.end(), [&](const Event& x) { return x.e.tsc < session_.complete_until(); });
        session_.give_up(size_t(events.end() - cut));
        events.erase(cut, events.end());
        uint64_t first = events.empty() ? 0 : events.front().e.tsc;
        for (const Event& event : events) first = std::min(first, began(event.e));
        origin_ = clock_.moment_ns(first);
        fprintf(out_, "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [\n");
        for (const Record& r : session_.records()) {
            process(r.pid, r.program);
            track(r.pid, r.tid, "kernel thread " + std::to_string(r.tid));
        }
        if (!seeded_.empty() && !events.empty() && seeded_tsc_ < first) origin_ = clock_.moment_ns(seeded_tsc_);
        for (const auto& [pid, c] : seeded_) {
            name_coroutine(pid, c.tid, c.name);
            if (c.on && c.worker_tid) runs_[{pid, c.worker_tid}] = {c.tid, at(seeded_tsc_)};
            if (c.call != OC_NO_CALL)
                calls_[{pid, c.tid}] = {c.call, argument(int64_t(c.regs[kRdi])), at(seeded_tsc_), c.state == State::parked ? at(seeded_tsc_) : -1, c.waits_detail};
        }
        for (const Event& event : events) one(event);
        // What was going on at the end goes on to the end.
        if (!events.empty()) {
            double end = at(events.back().e.tsc);
            for (auto& [worker, run] : runs_) finish_run(worker, run, end);
            for (auto& [key, call] : calls_) finish_call(key, call, end, "still going on");
        }
        fprintf(out_, "\n], \"otherData\": {\"recorder\": \"ocrun\", \"events\": %zu, \"dropped\": %llu, \"beyond the limit\": %llu}}\n",
                events.size(), (unsigned long long)session_.dropped(), (unsigned long long)session_.not_kept());
    }

private:
    using Key = std::pair<uint32_t, uint32_t>;  // process, coroutine or worker
    struct Run {
        uint32_t co;
        double since;
    };
    struct Wake {
        uint32_t pid, tid;
        double at;
    };
    struct Call {
        uint64_t nr;
        std::string argument;  // as JSON, or empty
        double since;
        double parked = -1;
        uint64_t detail;
    };

    // The earliest moment that an event tells of.
    static uint64_t began(const oc_event& e) {
        constexpr uint64_t kUnknown = (1ull << OC_RETURN_TICKS_BITS) - 1;
        uint64_t ticks = (e.kind & 0xff) == OC_EV_RETURN && (e.b & kUnknown) != kUnknown ? e.b & kUnknown : (e.kind & 0xff) == OC_EV_PARK ? e.a >> 16 : 0;
        return ticks < e.tsc ? e.tsc - ticks : e.tsc;
    }
    static std::string argument(int64_t a) { return std::to_string(a); }
    double at(uint64_t tsc) { return (clock_.moment_ns(tsc) - origin_) / 1e3; }  // microseconds
    void begin_line() {
        if (lines_++) fputs(",\n", out_);
    }
    void process(uint32_t pid, const std::string& program) {
        for (bool workers : {true, false}) {
            begin_line();
            fprintf(out_, "{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%llu,\"args\":{\"name\":%s}}",
                    (unsigned long long)(workers ? pid : pid + kCoroutineTracks),
                    json_text(program + " " + std::to_string(pid) + (workers ? " workers" : " coroutines")).c_str());
        }
    }
    void track(uint64_t group, uint32_t id, const std::string& name) {
        begin_line();
        fprintf(out_, "{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":%llu,\"tid\":%u,\"args\":{\"name\":%s}}", (unsigned long long)group, id,
                json_text(name).c_str());
    }
    void name_coroutine(uint32_t pid, uint32_t co, const std::string& name) {
        known_[{pid, co}] = true;
        track(pid + kCoroutineTracks, co, (name.empty() ? "coroutine" : name) + " " + std::to_string(co));
    }
    void coroutine_track(uint32_t pid, uint32_t co) {
        if (!known_.insert({{pid, co}, true}).second) return;
        track(pid + kCoroutineTracks, co, "coroutine " + std::to_string(co));
    }
    void slice(uint64_t group, uint32_t track, const std::string& name, double from, double to, const std::string& args = "") {
        begin_line();
        fprintf(out_, "{\"ph\":\"X\",\"name\":%s,\"pid\":%llu,\"tid\":%u,\"ts\":%.3f,\"dur\":%.3f%s}", json_text(name).c_str(),
                (unsigned long long)group, track, from, std::max(to - from, 0.001), args.empty() ? "" : (",\"args\":{" + args + "}").c_str());
    }
    void instant(uint64_t group, uint32_t track, const char* name, double when) {
        begin_line();
        fprintf(out_, "{\"ph\":\"i\",\"s\":\"t\",\"name\":\"%s\",\"pid\":%llu,\"tid\":%u,\"ts\":%.3f}", name, (unsigned long long)group, track, when);
    }
    void finish_run(const Key& worker, Run& run, double now) {
        if (run.co) slice(worker.first, worker.second, "coroutine " + std::to_string(run.co), run.since, now);
        run.co = 0;
    }
    void finish_park(uint32_t pid, uint32_t co, Call& call, double now) {
        if (call.parked >= 0) slice(pid + kCoroutineTracks, co, "parked", call.parked, now, "\"detail\":" + std::to_string(call.detail));
        call.parked = -1;
    }
    void finish_call(const Key& key, Call& call, double now, const std::string& result) {
        finish_park(key.first, key.second, call, now);
        slice(key.first + kCoroutineTracks, key.second, call_name(uint32_t(call.nr)), call.since, now,
              (call.argument.empty() ? "" : "\"first argument\":" + call.argument + ",") + "\"result\":" + json_text(result));
    }

    void one(const Event& event) {
        const oc_event& e = event.e;
        const Record& r = session_.records()[event.record];
        double now = at(e.tsc);
        Key key{r.pid, e.co}, worker{r.pid, r.tid};
        if (e.co) coroutine_track(r.pid, e.co);
        switch (e.kind & 0xff) {
            case OC_EV_SWITCH: {
                Run& run = runs_[worker];
                finish_run(worker, run, now);
                run = {e.co, now};
                if (!e.co) break;
                if (auto woken = arrows_.find(key); woken != arrows_.end()) {
                    // Both ends only now: a wake that no run followed would be an arrow without a head.
                    begin_line();
                    fprintf(out_, "{\"ph\":\"s\",\"cat\":\"wake\",\"name\":\"wake\",\"id\":%llu,\"pid\":%u,\"tid\":%u,\"ts\":%.3f}",
                            (unsigned long long)++arrow_count_, woken->second.pid, woken->second.tid, woken->second.at);
                    begin_line();
                    fprintf(out_, "{\"ph\":\"f\",\"bp\":\"e\",\"cat\":\"wake\",\"name\":\"wake\",\"id\":%llu,\"pid\":%u,\"tid\":%u,\"ts\":%.3f}",
                            (unsigned long long)arrow_count_, r.pid, r.tid, now);
                    arrows_.erase(woken);
                }
                if (auto call = calls_.find(key); call != calls_.end()) finish_park(r.pid, e.co, call->second, now);
                break;
            }
            case OC_EV_PARK:
                if (uint32_t nr = e.a & 0xffff; nr != (OC_NO_CALL & 0xffff)) {
                    Call& call = calls_.insert({key, {nr, "", at(e.tsc - (e.a >> 16)), -1, 0}}).first->second;
                    call.parked = now;
                    call.detail = e.b;
                }
                break;
            case OC_EV_WAKE: arrows_[key] = {r.pid, r.tid, now}; break;
            case OC_EV_CALL:
                calls_[key] = {e.a, argument(int64_t(e.b)), now, -1, 0};
                break;
            case OC_EV_RETURN:
            {
                constexpr uint64_t kUnknown = (1ull << OC_RETURN_TICKS_BITS) - 1;
                uint64_t ticks = e.b & kUnknown;
                auto known = calls_.find(key);
                Call call{e.kind >> 8, "", now, -1, 0};
                if (known != calls_.end()) {
                    call = known->second;
                    call.nr = e.kind >> 8;
                    calls_.erase(known);
                }
                if (ticks != kUnknown) {
                    call.since = at(e.tsc - ticks);
                    constexpr int64_t kNone = -(1 << (OC_RETURN_ARGUMENT_BITS - 1));
                    if (int64_t a = int64_t(e.b) >> OC_RETURN_TICKS_BITS; a != kNone) call.argument = std::to_string(a);
                }
                finish_call(key, call, now, std::to_string(int64_t(e.a)));
                break;
            }
            case OC_EV_CREATE: instant(r.pid + kCoroutineTracks, e.co, "created", now); break;
            case OC_EV_EXIT:
                instant(r.pid + kCoroutineTracks, e.co, "ends", now);
                if (auto call = calls_.find(key); call != calls_.end()) {
                    finish_call(key, call->second, now, "does not return");
                    calls_.erase(call);
                }
                break;
            case OC_EV_PREEMPT: instant(r.pid, r.tid, "preempted", now); break;
            case OC_EV_NAME: {
                char name[OC_NAME_BYTES + 1] = {};
                memcpy(name, &e.a, 8);
                memcpy(name + 8, &e.b, 8);
                name_coroutine(r.pid, e.co, name);
                break;
            }
            case OC_EV_KBLOCK: instant(r.pid, r.tid, "blocked in the kernel", now); break;
            default: break;
        }
    }

    FILE* out_;
    Session& session_;
    TscClock& clock_;
    double origin_ = 0;
    std::vector<std::pair<uint32_t, Coroutine>> seeded_;
    uint64_t seeded_tsc_ = 0;
    size_t lines_ = 0;
    uint64_t arrow_count_ = 0;
    std::map<Key, Run> runs_;
    std::map<Key, Call> calls_;
    std::map<Key, Wake> arrows_;
    std::map<Key, bool> known_;
};

}  // namespace

int trace(int pid, const std::vector<std::string>& options, const std::vector<std::string>& command, double seconds, const std::string& file,
          size_t most) {
    TscClock clock;
    std::unique_ptr<Process> p;
    if (pid && !(p = open_process(pid))) return kExitFailure;
    FILE* out = fopen(file.c_str(), "we");
    if (!out) {
        complain(file + ": " + errno_words());
        return kExitFailure;
    }
    constexpr uint32_t kRingEvents = 1u << 16;
    auto session = Session::make(OC_LEVEL_TIMES | OC_LEVEL_CALLS | OC_LEVEL_EVENTS, kRingEvents, p ? p->uid() : geteuid());
    if (!session || (p && !session->attach(*p))) {
        fclose(out);
        unlink(file.c_str());
        return kExitFailure;
    }
    catch_stop();
    int child = 0, status = 0;
    if (!p && (child = session->launch(options, command)) < 0) return kExitFailure;
    std::vector<Event> events;
    std::vector<Coroutine> at_first;
    std::vector<Worker> workers;
    uint64_t first_tsc = tsc_now();
    if (p) p->snapshot(&at_first, &workers);
    roomy(&events, most);
    EndOf process_end(p ? p->pid() : child);
    double end = clock.moment_ns(tsc_now()) + seconds * 1e9, nap_ms = kFirstNapMs, anchored_ms = 0;
    bool ended = false;
    for (;;) {
        session->renew();
        double fullest = session->collect(&events, most);
        // As seldom as the rings allow: each look takes time from the program.
        nap_ms = fullest > kFullEnough ? std::max(nap_ms / 2, kShortestNapMs) : fullest < kFullEnough / 4 ? std::min(nap_ms * 1.5, kLongestNapMs) : nap_ms;
        if ((anchored_ms -= nap_ms) <= 0) {
            clock.anchor();
            session->follow_exec();
            anchored_ms = kAnchorMs;
        }
        if (child && waitpid(child, &status, WNOHANG) == child) break;
        if (p && (g_stop || ended || (seconds > 0 && clock.moment_ns(tsc_now()) > end))) break;
        ended = process_end.within_ms(nap_ms);
    }
    session->collect(&events, most);
    clock.anchor();
    Writer writer(out, *session, clock);
    if (p) writer.seed(uint32_t(p->pid()), at_first, first_tsc);
    writer.write(events);
    if (fclose(out)) {
        complain(file + ": " + errno_words());
        return kExitFailure;
    }
    fprintf(stderr, "ocrun: %s: %zu events of %zu kernel threads; %s\n", file.c_str(), events.size(), session->records().size(),
            session->losses().c_str());
    if (!child) return 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace ocrun::view
