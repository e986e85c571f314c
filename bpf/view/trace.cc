// trace.cc - `ocrun trace PID|-- CMD -o FILE`: what happened when, in the trace-event format of Chrome and Perfetto
//
// Two groups of tracks for each process: its workers (which coroutine ran, from when to when) and its coroutines (system calls, and
// inside them the time parked). An arrow leads from who woke to the run that followed.
#include <errno.h>
#include <stdio.h>
#include <string.h>
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

// A ring that fills up calls the recorder; else it looks after its clock and its lease, and for an exec, so often.
constexpr unsigned kNapMs = 100;

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
    void write(const std::vector<Event>& events) {
        uint64_t first = events.empty() ? 0 : events.front().tsc;
        for (const Event& e : events)
            if (e.ticks >= 0) first = std::min(first, e.tsc - uint64_t(e.ticks));
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
            double end = at(events.back().tsc);
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
    struct Park {
        double from, to;
        uint64_t detail;
    };
    struct Call {
        uint64_t nr;
        std::string argument;  // as JSON, or empty
        double since;
        double parked = -1;
        uint64_t detail;
        std::vector<Park> parks = {};  // those that ended; written with the call
    };

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
    static void finish_park(Call& call, double now) {
        if (call.parked >= 0) call.parks.push_back({call.parked, now, call.detail});
        call.parked = -1;
    }
    void finish_call(const Key& key, Call& call, double now, const std::string& result) {
        finish_park(call, now);
        // One that began earlier is of another call, whose return was dropped: how long it took is not known.
        for (const Park& p : call.parks)
            if (p.from >= call.since) slice(key.first + kCoroutineTracks, key.second, "parked", p.from, p.to, "\"detail\":" + std::to_string(p.detail));
        slice(key.first + kCoroutineTracks, key.second, call_name(uint32_t(call.nr)), call.since, now,
              (call.argument.empty() ? "" : "\"first argument\":" + call.argument + ",") + "\"result\":" + json_text(result));
    }

    void one(const Event& e) {
        const Record& r = session_.records()[e.record];
        double now = at(e.tsc);
        Key key{r.pid, e.co}, worker{r.pid, r.tid};
        if (e.co) coroutine_track(r.pid, e.co);
        switch (e.kind) {
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
                if (auto call = calls_.find(key); call != calls_.end()) finish_park(call->second, now);
                break;
            }
            case OC_EV_PARK:
                if (e.nr != OC_NO_CALL) {
                    Call& call = calls_.insert({key, {e.nr, "", at(e.tsc - uint64_t(std::max<int64_t>(e.ticks, 0))), -1, 0}}).first->second;
                    call.parked = now;
                    call.detail = uint64_t(e.b);
                }
                break;
            case OC_EV_WAKE: arrows_[key] = {r.pid, r.tid, now}; break;
            case OC_EV_CALL:
                calls_[key] = {e.nr, argument(e.b), now, -1, 0};
                break;
            case OC_EV_RETURN: {
                auto known = calls_.find(key);
                Call call{e.nr, "", now, -1, 0};
                if (known != calls_.end()) {
                    call = known->second;
                    call.nr = e.nr;
                    calls_.erase(known);
                }
                if (e.ticks >= 0) call.since = at(e.tsc - uint64_t(e.ticks));
                if (e.argument) call.argument = argument(e.b);
                finish_call(key, call, now, std::to_string(e.a));
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
                std::string& name = names_[key];
                if (e.nr == 0) name.clear();
                char text[9] = {};
                memcpy(text, &e.a, 8);
                name_coroutine(r.pid, e.co, name += text);
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
    std::map<Key, std::string> names_;
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
    constexpr uint32_t kRingEvents = 1u << 17;
    auto session = Session::make(OC_LEVEL_EVENTS, kRingEvents, p ? p->uid() : geteuid());
    if (!session || (p && !session->attach(*p))) {
        fclose(out);
        unlink(file.c_str());
        return kExitFailure;
    }
    catch_stop();
    int child = 0, status = 0;
    if (!p && (child = session->launch(options, command)) < 0) return kExitFailure;
    Store store(most);
    std::vector<Coroutine> at_first;
    std::vector<Worker> workers;
    uint64_t first_tsc = tsc_now();
    if (p) p->snapshot(&at_first, &workers);
    double end = clock.moment_ns(tsc_now()) + seconds * 1e9, anchored = 0;
    EndOf process_end(p ? p->pid() : child);
    bool ended = false;
    for (;;) {
        session->collect(&store);
        double now = clock.moment_ns(tsc_now());
        if (now - anchored >= kNapMs * 1e6) {
            session->renew();
            clock.anchor();
            session->follow_exec();
            ended = p && process_end.within_ms(0);
            anchored = now;
        }
        if (child && waitpid(child, &status, WNOHANG) == child) break;
        if (p && (g_stop || ended || (seconds > 0 && now >= end))) break;
        session->wait_ms(p && seconds > 0 ? unsigned(std::clamp((end - now) / 1e6 + 1, 1.0, double(kNapMs))) : kNapMs);
    }
    session->collect(&store);
    clock.anchor();
    std::vector<Event> events = session->decode(store);
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
