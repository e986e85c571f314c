// top.cc - `ocrun top [PID]`: coroutines by what they cost, live
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "bpf/view/commands.h"
#include "bpf/view/record.h"

namespace ocrun::view {

namespace {

constexpr size_t kColumns = 80;

struct Row {
    int pid;
    Coroutine c;
    double cpu, queued, parked;  // parts of the interval, 0 ... 1
    double switches;             // a second
};

struct Before {
    uint64_t cpu_tsc, queued_tsc, parked_tsc, switches;
};

// Raw keys while it lives, if standard input is a terminal.
class Keys {
public:
    Keys() {
        on_ = isatty(0) && tcgetattr(0, &old_) == 0;
        if (!on_) return;
        termios raw = old_;
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO);
        tcsetattr(0, TCSANOW, &raw);
    }
    ~Keys() {
        if (on_) tcsetattr(0, TCSANOW, &old_);
    }
    // A key within the time, or 0.
    char wait(double seconds) {
        if (!on_) {
            usleep(useconds_t(seconds * 1e6));
            return 0;
        }
        pollfd p{0, POLLIN, 0};
        char key = 0;
        if (poll(&p, 1, int(seconds * 1000)) > 0 && read(0, &key, 1) != 1) key = 'q';
        return key;
    }

private:
    bool on_;
    termios old_;
};

void sort_rows(std::vector<Row>& rows, char key) {
    auto by = [&](auto value) { std::stable_sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) { return value(a) > value(b); }); };
    switch (key) {
        case 'w': by([](const Row& r) { return r.queued; }); break;
        case 'p': by([](const Row& r) { return r.parked; }); break;
        case 's': by([](const Row& r) { return r.switches; }); break;
        case 't': by([](const Row& r) { return -double(r.c.tid); }); break;
        default: by([](const Row& r) { return r.cpu; });
    }
}

std::string percent(double part) {
    char text[16];
    snprintf(text, sizeof text, "%5.1f", std::min(100 * part, 999.9));
    return text;
}

}  // namespace

int top(int pid, const std::string& sort, int rounds, double seconds) {
    char key = sort.empty() ? 'c' : sort == "queue" ? 'w' : sort[0];
    std::vector<std::unique_ptr<Process>> processes;
    unsigned unreadable = 0;
    if (pid) {
        auto p = open_process(pid);
        if (!p) return kExitFailure;
        processes.push_back(std::move(p));
    }
    catch_stop();
    // Times in queues and parked are counted only while a session is in force; without one the columns stay empty.
    std::unique_ptr<Session> session;
    if (pid) {
        session = Session::make(OC_LEVEL_TIMES | OC_LEVEL_CALLS, 0, processes[0]->uid());
        if (session && !session->attach(*processes[0])) session.reset();
    }
    TscClock clock;
    Keys keys;
    bool screen = isatty(1);
    std::map<std::pair<int, uint64_t>, Before> before;
    uint64_t last = 0, calls_before = 0;
    for (int round = 0; !g_stop && (rounds == 0 || round <= rounds); round++) {
        if (!pid) processes = Process::all(&unreadable);
        if (session) session->renew();
        clock.anchor();
        std::vector<Row> rows;
        std::map<std::pair<int, uint64_t>, Before> now_seen;
        size_t count[4] = {}, workers_count = 0;
        uint64_t now = tsc_now(), calls = 0;
        double span = last ? double(now - last) : 1;
        for (auto& p : processes) {
            std::vector<Coroutine> coroutines;
            std::vector<Worker> workers;
            if (!p->snapshot(&coroutines, &workers)) continue;
            calls += p->system_calls();
            workers_count += workers.size();
            std::map<uint64_t, uint64_t> since;
            for (const Worker& w : workers) since[w.address] = w.since_tsc;
            for (Coroutine& c : coroutines) {
                count[int(c.state)]++;
                Before b{c.cpu_tsc, c.queued_tsc, c.parked_tsc, c.switches};
                // The present stretch is not in the sums yet.
                if (c.on && since.count(c.on) && now > since[c.on]) b.cpu_tsc += now - since[c.on];
                if (c.state == State::parked && now > c.parked_since_tsc) b.parked_tsc += now - c.parked_since_tsc;
                auto id = std::make_pair(p->pid(), uint64_t(c.tid) << 32 | (c.address >> 12 & 0xffffffff));
                now_seen[id] = b;
                Before old = before.count(id) ? before[id] : b;
                auto part = [&](uint64_t a, uint64_t z) { return z > a ? std::min(1.0, double(z - a) / span) : 0.0; };
                rows.push_back({p->pid(), c, part(old.cpu_tsc, b.cpu_tsc), part(old.queued_tsc, b.queued_tsc),
                                part(old.parked_tsc, b.parked_tsc),
                                b.switches > old.switches ? double(b.switches - old.switches) / clock.ns(uint64_t(span)) * 1e9 : 0});
            }
        }
        if (pid && (rows.empty() || !processes[0]->alive())) {
            complain("process " + std::to_string(pid) + " has ended");
            return 0;
        }
        bool first = last == 0;
        before = std::move(now_seen);
        double per_second = first || calls < calls_before ? 0 : double(calls - calls_before) / clock.ns(uint64_t(span)) * 1e9;
        calls_before = calls;
        last = now;
        if (first) {  // rates need two looks
            keys.wait(std::min(seconds, 0.5));
            continue;
        }
        sort_rows(rows, key);
        size_t lines = 24;
        winsize size{};
        if (screen && ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_row > 8) lines = size.ws_row;
        if (!screen) lines = rounds ? 1u << 20 : 40;
        if (screen) printf("\033[H\033[2J");
        printf("%zu coroutines: %zu running, %zu in the kernel, %zu ready, %zu parked\n", rows.size(), count[0], count[1], count[2], count[3]);
        printf("%zu worker(s), %.0f system calls/s", workers_count, per_second);
        if (session) {
            uint64_t on_cpu[OC_BUCKETS] = {}, queued[OC_BUCKETS] = {}, parked[OC_BUCKETS] = {};
            session->collect();
            add_buckets(*session, on_cpu, queued, parked);
            printf(", in queue: half < %s, 99%% < %s; %s", duration_text(clock.ns(percentile(queued, 0.5))).c_str(),
                   duration_text(clock.ns(percentile(queued, 0.99))).c_str(), session->losses().c_str());
        }
        printf("\n%7s %10s %-11s %-7s %5s %5s %5s %8s %-13s\n", "PID", "TID", "NAME", "STATE", "CPU%", "WAIT%", "PARK%", "SWITCH/s", "CALL");
        size_t shown = 0;
        for (const Row& r : rows) {
            if (shown++ + 5 >= lines) break;
            char text[160];
            snprintf(text, sizeof text, "%7d %10u %-11.11s %-7s %5s %5s %5s %8.0f %-13.13s", r.pid, r.c.tid, r.c.name.c_str(), state_name(r.c.state),
                     percent(r.cpu).c_str(), session ? percent(r.queued).c_str() : "", session ? percent(r.parked).c_str() : "", r.switches,
                     r.c.call == OC_NO_CALL ? "" : call_name(r.c.call).c_str());
            printf("%.*s\n", int(kColumns), text);
        }
        if (screen) printf("sort: c CPU  w queue  p parked  s switches  t tid      q ends");
        fflush(stdout);
        if (rounds && round >= rounds) break;
        char pressed = keys.wait(seconds);
        if (pressed == 'q') break;
        if (pressed) key = pressed;
    }
    if (screen) printf("\n");
    return 0;
}

}  // namespace ocrun::view
