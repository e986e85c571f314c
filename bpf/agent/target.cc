// target.cc - see target.h
#include "bpf/agent/target.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "ocrun.skel.h"

namespace ocrun::view {

namespace {

constexpr int kInternalSignal = 64, kInternalObserve = 0x0c720003;  // runtime/signal/signals.h
constexpr uint32_t kFewestRows = 64, kMostRows = 65536;
constexpr int kPatienceMs = 1000;
constexpr long kBpfFsMagic = 0xcafe4a11;
constexpr uint64_t kTickNs = 1000000;

std::string g_log;  // what libbpf says, for a failure

int keep_log(libbpf_print_level level, const char* format, va_list arguments) {
    if (level == LIBBPF_DEBUG) return 0;
    char line[1024];
    vsnprintf(line, sizeof line, format, arguments);
    constexpr size_t kMost = 64 * 1024;
    if (g_log.size() < kMost) g_log += line;
    return 0;
}

// The last words of the log that say something, in one line.
std::string log_line() {
    std::string line;
    for (char ch : g_log) line += ch == '\n' ? ' ' : ch;
    constexpr size_t kShown = 600;
    return line.size() > kShown ? "... " + line.substr(line.size() - kShown) : line;
}

std::string words_of(int error) {
    if (error == EPERM) return "BPF needs CAP_BPF, CAP_PERFMON and (for pins and other users' processes) root: " + std::string(strerror(error));
    // The verifier's refusal is EACCES or EINVAL and has a log: a defect, never a missing right.
    return std::string(strerror(error)) + ": " + log_line();
}

uint64_t monotonic_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return uint64_t(t.tv_sec) * 1000000000ull + uint64_t(t.tv_nsec);
}

bool g_no_iterator;  // this kernel refuses it; all else works

// Open, configured and loaded; null with *why.
ocrun_bpf* load_programs(const std::function<void(ocrun_bpf*)>& configure, std::string* why) {
    libbpf_set_print(keep_log);
    for (;;) {
        g_log.clear();
        ocrun_bpf* s = ocrun_bpf__open();
        if (!s) {
            *why = "the BPF programs cannot be read: " + words_of(errno);
            return nullptr;
        }
        configure(s);
        if (g_no_iterator) bpf_program__set_autoload(s->progs.oc_top, false);
        int error = ocrun_bpf__load(s);
        if (!error) return s;
        ocrun_bpf__destroy(s);
        if (error != -EPERM || g_no_iterator) {
            *why = "the kernel does not load the BPF programs: " + words_of(-error);
            return nullptr;
        }
        g_no_iterator = true;  // some kernels allow tracing, but no iterators
    }
}

uint32_t pin_files(const std::string& directory, bool remove) {
    uint32_t n = 0;
    if (DIR* d = opendir(directory.c_str())) {
        while (dirent* e = readdir(d))
            if (e->d_name[0] != '.') {
                n++;
                if (remove) unlinkat(dirfd(d), e->d_name, 0);
            }
        closedir(d);
    }
    if (remove) rmdir(directory.c_str());
    return n;
}

}  // namespace

std::string bpf_unusable() {
    struct statfs fs;
    if (statfs("/sys/fs/bpf", &fs) || (unsigned long)fs.f_type != (unsigned long)(unsigned)kBpfFsMagic)
        return "/sys/fs/bpf is not mounted (mount -t bpf none /sys/fs/bpf)";
    if (access("/sys/kernel/btf/vmlinux", R_OK)) return "this kernel shows no BTF (CONFIG_DEBUG_INFO_BTF)";
    std::string why;
    if (auto* skeleton = load_programs([](ocrun_bpf* s) { bpf_program__set_autoload(s->progs.oc_print_switch, false); }, &why))
        ocrun_bpf__destroy(skeleton);
    return why;
}

bool bpf_lacks_iterator() { return g_no_iterator; }

std::unique_ptr<Target> Target::load(int pid, const AgentOptions& options, std::string* why) {
    std::unique_ptr<Target> t(new Target());
    t->pid_ = pid;
    t->options_ = options;
    t->start_ = process_start_time(pid);
    if (!t->start_) {
        *why = "there is no process " + std::to_string(pid);
        return nullptr;
    }
    uint32_t rows = kFewestRows;
    if (auto p = Process::open(pid, why)) {
        std::vector<Coroutine> coroutines;
        std::vector<Worker> workers;
        if (p->snapshot(&coroutines, &workers))
            while (rows < 2 * coroutines.size() && rows < kMostRows) rows *= 2;
    } else {
        constexpr uint32_t kRowsOfANewProcess = 1024;
        rows = kRowsOfANewProcess;
    }
    auto* s = t->skeleton_ = load_programs([&](ocrun_bpf* s) {
        bpf_map__set_max_entries(s->maps.coros, rows);
        s->rodata->target = uint32_t(pid);
        s->rodata->assist = !options.no_assist;
        s->rodata->tick_ns = kTickNs;
        bpf_program__set_autoload(s->progs.oc_print_switch, options.print);
    }, why);
    if (!s) return nullptr;
    s->links.oc_sched_switch = bpf_program__attach(s->progs.oc_sched_switch);
    if (!s->links.oc_sched_switch) {
        *why = "cannot attach to sched_switch: " + words_of(errno);
        return nullptr;
    }
    if (options.print) {
        char exe[64];
        snprintf(exe, sizeof exe, "/proc/%d/exe", pid);
        s->links.oc_print_switch = bpf_program__attach_usdt(s->progs.oc_print_switch, pid, exe, "ocrun", "co_switch", nullptr);
        if (!s->links.oc_print_switch) {
            *why = "cannot attach to the probe co_switch: " + words_of(errno);
            return nullptr;
        }
    }
    if (!t->pin(why)) return nullptr;
    return t;
}

bool Target::pin(std::string* why) {
    auto* s = skeleton_;
    oc_meta meta{};
    meta.abi = OC_ABI;
    meta.pid = uint32_t(pid_);
    meta.agent = uint32_t(getpid());
    meta.worker_rows = bpf_map__max_entries(s->maps.workers);
    meta.coroutine_rows = bpf_map__max_entries(s->maps.coros);
    meta.pid_start = start_;
    meta.agent_start = process_start_time(getpid());
    meta.attached_ns = monotonic_ns();
    uint32_t zero = 0;
    bpf_map_update_elem(bpf_map__fd(s->maps.meta), &zero, &meta, BPF_ANY);
    std::string directory = std::string(kPinRoot) + "/" + std::to_string(pid_);
    for (uint32_t loss = 0; loss < OC_LOSSES; loss++) {
        uint64_t none = 0;
        bpf_map_update_elem(bpf_map__fd(s->maps.dropped), &loss, &none, BPF_ANY);
    }
    if ((mkdir(kPinRoot, 0700) && errno != EEXIST) || mkdir(directory.c_str(), 0700)) {
        *why = errno == EEXIST ? "process " + std::to_string(pid_) + " has BPF already (" + directory + ")" : "cannot make " + directory + ": " + words_of(errno);
        return false;
    }
    for (bpf_map* map : {s->maps.hist_runq, s->maps.hist_oncpu, s->maps.hist_parked})
        for (uint32_t i = 0; i < OC_HIST_ROWS; i++) {
            oc_hist_row row{i ? 1ull << (i - 1) : 0, i + 1 < OC_HIST_ROWS ? 1ull << i : ~0ull, 0};
            bpf_map_update_elem(bpf_map__fd(map), &i, &row, BPF_ANY);
        }
    for (bpf_map* map : {s->maps.workers, s->maps.coros, s->maps.rings, s->maps.hist_runq, s->maps.hist_oncpu, s->maps.hist_parked, s->maps.hist_kblock,
                         s->maps.events, s->maps.dropped, s->maps.meta}) {
        if (!bpf_map__pin(map, (directory + "/" + bpf_map__name(map)).c_str())) continue;
        *why = std::string("cannot pin ") + bpf_map__name(map) + ": " + words_of(errno);
        pin_files(directory, true);
        return false;
    }
    pinned_ = true;
    if (g_no_iterator) return true;
    LIBBPF_OPTS(bpf_iter_attach_opts, opts);
    bpf_iter_link_info info{};
    info.map.map_fd = uint32_t(bpf_map__fd(s->maps.coros));
    opts.link_info = &info;
    opts.link_info_len = sizeof info;
    top_ = bpf_program__attach_iter(s->progs.oc_top, &opts);
    if (!top_ || bpf_link__pin(top_, (directory + "/top").c_str())) {
        *why = "cannot make the iterator `top`: " + words_of(errno);
        return false;
    }
    return true;
}

Target::~Target() {
    // The pins first: taking programs down waits for the kernel's grace periods.
    if (pinned_) pin_files(std::string(kPinRoot) + "/" + std::to_string(pid_), true);
    for (auto& [tid, link] : ticks_) bpf_link__destroy(link);
    if (handed_over_ && alive()) {
        std::string why;
        if (auto p = Process::open(pid_, &why)) tell_runtime(*p, 0);
    }
    if (top_) bpf_link__destroy(top_);
    if (pinned_) rmdir(kPinRoot);  // the last one
    if (skeleton_) ocrun_bpf__destroy(skeleton_);
}

bool Target::alive() const { return process_start_time(pid_) == start_ && thread_state(pid_, pid_) != 'Z'; }

bool tell_runtime(const Process& process, uint32_t agent) {
    uint64_t at = (uint64_t)process.board().control + offsetof(oc_control, agent);
    if (!process.write(at, &agent, sizeof agent)) return false;
    siginfo_t info{};
    info.si_signo = kInternalSignal;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = kInternalObserve;
    return syscall(SYS_rt_sigqueueinfo, process.pid(), kInternalSignal, &info) == 0;
}

bool Target::hand_over() {
    // After an exec everything is new: the board, and nothing is mapped.
    std::string why;
    process_ = Process::open(pid_, &why);
    if (!process_) return false;
    oc_control control;
    if (!process_->read((uint64_t)process_->board().control, &control, sizeof control)) return false;
    if (control.mirrored == uint32_t(getpid())) return true;
    if (handed_over_) forget_image();
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    int n = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "ocrun-agent-%d-%d", getpid(), pid_);
    bool good = listener >= 0 && bind(listener, (sockaddr*)&address, socklen_t(offsetof(sockaddr_un, sun_path) + 1 + size_t(n))) == 0 &&
                listen(listener, 4) == 0 && tell_runtime(*process_, uint32_t(getpid()));
    good = good && send_maps(listener);
    if (listener >= 0) close(listener);
    // The runtime says when it uses them.
    for (int i = 0; good && i < kPatienceMs; i++) {
        if (!process_->read((uint64_t)process_->board().control, &control, sizeof control)) return false;
        if (control.mirrored == uint32_t(getpid())) return handed_over_ = true;
        usleep(1000);
    }
    return false;
}

// An exec: threads, their clocks and the monitor are gone.
void Target::forget_image() {
    for (auto& [tid, link] : ticks_) bpf_link__destroy(link);
    ticks_.clear();
    skeleton_->bss->monitor = 0;
    wanting_ = 0;
}

bool Target::send_maps(int listener) {
    pollfd p{listener, POLLIN, 0};
    if (poll(&p, 1, kPatienceMs) <= 0) return false;
    int peer = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    ucred who{};
    socklen_t who_bytes = sizeof who;
    bool good = peer >= 0 && getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &who, &who_bytes) == 0 && who.pid == pid_;
    if (good) {
        TscClock clock;
        oc_maps_message message{};
        message.magic = OC_MAPS_MAGIC;
        message.abi = OC_ABI;
        message.maps = OC_MAPS;
        message.worker_rows = bpf_map__max_entries(skeleton_->maps.workers);
        message.coroutine_rows = bpf_map__max_entries(skeleton_->maps.coros);
        message.ns_per_tick = uint64_t(clock.ns_per_tick() * 4294967296.0);
        message.tsc = tsc_now();
        message.ns = uint64_t(clock.moment_ns(message.tsc));
        auto& maps = skeleton_->maps;
        int fds[OC_MAPS];
        fds[OC_MAP_WORKERS] = bpf_map__fd(maps.workers);
        fds[OC_MAP_COROS] = bpf_map__fd(maps.coros);
        fds[OC_MAP_RINGS] = bpf_map__fd(maps.rings);
        fds[OC_MAP_RUNQ] = bpf_map__fd(maps.hist_runq);
        fds[OC_MAP_ONCPU] = bpf_map__fd(maps.hist_oncpu);
        fds[OC_MAP_PARKED] = bpf_map__fd(maps.hist_parked);
        char control[CMSG_SPACE(sizeof fds)] = {};
        iovec text{&message, sizeof message};
        msghdr m{};
        m.msg_iov = &text;
        m.msg_iovlen = 1;
        m.msg_control = control;
        m.msg_controllen = sizeof control;
        cmsghdr* c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fds);
        memcpy(CMSG_DATA(c), fds, sizeof fds);
        good = sendmsg(peer, &m, MSG_NOSIGNAL) == ssize_t(sizeof message);
    }
    if (peer >= 0) close(peer);
    return good;
}

void Target::attach_ticks() {
    uint64_t preempt = 0;
    if (options_.no_assist || !process_->multi() || !process_->read((uint64_t)process_->board().preempt, &preempt, sizeof preempt) || !preempt) return;
    std::vector<Coroutine> coroutines;
    std::vector<Worker> workers;
    uint32_t n = 0;
    if (!process_->read((uint64_t)process_->board().worker_count, &n, 4) || n == ticks_.size() || !process_->snapshot(&coroutines, &workers)) return;
    for (const Worker& w : workers) {
        if (ticks_.count(w.tid)) continue;
        perf_event_attr attr{};
        attr.size = sizeof attr;
        attr.type = PERF_TYPE_SOFTWARE;
        attr.config = PERF_COUNT_SW_CPU_CLOCK;
        attr.sample_period = kTickNs;
        attr.remove_on_exec = 1;  // the new image has no handler yet, and its rows are the old one's
        int fd = int(syscall(SYS_perf_event_open, &attr, pid_t(w.tid), -1, -1, PERF_FLAG_FD_CLOEXEC));
        bpf_link* link = fd >= 0 ? bpf_program__attach_perf_event(skeleton_->progs.oc_tick, fd) : nullptr;
        if (!link && fd >= 0) close(fd);
        ticks_[w.tid] = link;
    }
}

void Target::look_after() {
    if (!process_ || !handed_over_) return;
    attach_ticks();
    uint32_t monitor = 0;
    if (process_->read((uint64_t)process_->board().monitor, &monitor, sizeof monitor)) skeleton_->bss->monitor = monitor;
    oc_control control;
    if (process_->read((uint64_t)process_->board().control, &control, sizeof control) && control.rows_wanting != wanting_) {
        uint32_t key = rows_wanting;
        uint64_t value = wanting_ = control.rows_wanting;
        bpf_map_update_elem(bpf_map__fd(skeleton_->maps.dropped), &key, &value, BPF_ANY);
    }
}

void reap_stale() {
    DIR* d = opendir(kPinRoot);
    if (!d) return;
    while (dirent* e = readdir(d)) {
        if (e->d_name[0] == '.') continue;
        std::string directory = std::string(kPinRoot) + "/" + e->d_name;
        oc_meta meta{};
        uint32_t zero = 0;
        int fd = bpf_obj_get((directory + "/meta").c_str());
        bool known = fd >= 0 && bpf_map_lookup_elem(fd, &zero, &meta) == 0;
        if (fd >= 0) close(fd);
        if (known && process_start_time(int(meta.agent)) == meta.agent_start) continue;
        pin_files(directory, true);
        std::string why;
        if (known && process_start_time(int(meta.pid)) == meta.pid_start)
            if (auto p = Process::open(int(meta.pid), &why)) tell_runtime(*p, 0);
    }
    closedir(d);
    rmdir(kPinRoot);
}

}  // namespace ocrun::view
