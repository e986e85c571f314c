// record.cc - see record.h
#include "bpf/view/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace ocrun::view {

namespace {

constexpr double kLeaseSeconds = 2;
constexpr size_t kSessionBytes = 4096, kMostRecords = 65536, kMostRing = 1u << 20;

uint64_t ticks_per_second() {
    static const uint64_t ticks = [] {
        TscClock clock;
        return uint64_t(1e9 / clock.ns_per_tick());
    }();
    return ticks;
}

}  // namespace

volatile bool g_stop;

namespace {
oc_u32* g_bell;  // of the session there is: a signal between the look and the sleep is not missed
void ring_bell() {
    if (oc_u32* bell = __atomic_load_n(&g_bell, __ATOMIC_RELAXED)) __atomic_add_fetch(bell, 1, __ATOMIC_RELAXED);
}
}  // namespace

void catch_stop() {
    struct sigaction act {};
    act.sa_handler = [](int) {
        g_stop = true;
        ring_bell();
    };
    sigaction(SIGINT, &act, nullptr);
    sigaction(SIGTERM, &act, nullptr);
    sigaction(SIGHUP, &act, nullptr);
    act.sa_handler = [](int) { ring_bell(); };
    sigaction(SIGCHLD, &act, nullptr);
    signal(SIGXFSZ, SIG_IGN);  // a limit on files: what cannot be kept is counted
}

std::unique_ptr<Session> Session::make(uint32_t level, uint32_t ring_events, uid_t owner) {
    std::unique_ptr<Session> s(new Session());
    std::string tried;
    for (const char* place : {"/dev/shm", "/tmp"}) {
        std::string path = std::string(place) + "/ocrun-XXXXXX";
        if (mkdtemp(path.data())) {
            s->directory_ = path;
            break;
        }
        tried = path + ": " + errno_words();
    }
    if (s->directory_.empty()) {
        complain("no directory for the records: " + tried);
        return nullptr;
    }
    std::string file = s->directory_ + "/session";
    int fd = open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0 && ftruncate(fd, kSessionBytes) == 0;
    // Root looks at another user's process: that user must be able to write here, nobody else.
    if (good && owner != geteuid()) good = fchown(fd, owner, gid_t(-1)) == 0 && chown(s->directory_.c_str(), owner, gid_t(-1)) == 0;
    void* mapped = good ? mmap(nullptr, kSessionBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    std::string error = errno_words();
    if (fd >= 0) close(fd);
    if (mapped == MAP_FAILED) {
        complain("cannot make " + file + ": " + error);
        return nullptr;
    }
    s->session_ = (oc_session*)mapped;
    s->level_ = level;
    s->session_->abi = OC_ABI;
    s->session_->level = level;
    s->session_->ring_events = ring_events;
    s->session_->magic = OC_SESSION_MAGIC;
    __atomic_store_n(&g_bell, &s->session_->bell, __ATOMIC_RELAXED);
    s->renew();
    return s;
}

Session::~Session() {
    __atomic_store_n(&g_bell, nullptr, __ATOMIC_RELAXED);
    if (session_) {
        __atomic_store_n(&session_->until_tsc, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&session_->level, 0, __ATOMIC_RELAXED);
    }
    for (size_t i = 0; i < attached_.size(); i++) {
        std::string why;
        auto p = Process::open(attached_[i].first, &why);
        uint32_t level;
        if (!p || p->start_time() != attached_[i].second || !p->read(controls_[i], &level, sizeof level)) continue;
        level &= OC_LEVEL_MIRROR;
        p->write(controls_[i], &level, sizeof level);
    }
    for (Record& r : records_) munmap((void*)r.shared, OC_RING_OFFSET);
    if (session_) munmap(session_, kSessionBytes);
    if (directory_.empty()) return;
    if (DIR* d = opendir(directory_.c_str())) {
        while (dirent* e = readdir(d))
            if (e->d_name[0] != '.') unlinkat(dirfd(d), e->d_name, 0);
        closedir(d);
    }
    rmdir(directory_.c_str());
}

bool Session::attach(Process& process) {
    uint64_t at = (uint64_t)process.board().control;
    oc_control control;
    std::string who = "process " + std::to_string(process.pid());
    if (!process.read(at, &control, sizeof control)) {
        complain(who + ": " + errno_words());
        return false;
    }
    control.directory[OC_DIRECTORY_BYTES - 1] = 0;
    if ((control.level & ~OC_LEVEL_MIRROR) && control.directory[0]) {
        oc_session other{};
        int fd = open((std::string(control.directory) + "/session").c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        bool busy = fd >= 0 && ::read(fd, &other, sizeof other) == ssize_t(sizeof other) && other.until_tsc > tsc_now();
        if (fd >= 0) close(fd);
        if (busy) {
            complain(who + " is being recorded by another view; one at a time");
            return false;
        }
    }
    if (!tell(process, control)) {
        complain(who + " cannot be told to record: " + errno_words());
        return false;
    }
    attached_.push_back({process.pid(), process.start_time()});
    controls_.push_back(at);
    return true;
}

bool Session::tell(Process& process, oc_control& control) {
    uint64_t at = (uint64_t)process.board().control;
    strncpy(control.directory, directory_.c_str(), OC_DIRECTORY_BYTES - 1);
    control.generation++;
    uint32_t level = (control.level & OC_LEVEL_MIRROR) | level_;
    return process.write(at + offsetof(oc_control, directory), control.directory, OC_DIRECTORY_BYTES) &&
           process.write(at + offsetof(oc_control, generation), &control.generation, 4) && process.write(at, &level, 4);
}

void Session::follow_exec() {
    for (size_t i = 0; i < attached_.size(); i++) {
        auto [pid, start] = attached_[i];
        // A new image knows of no directory. All images have it at the same address: one short read tells.
        oc_control control;
        iovec here{&control, sizeof control}, there{(void*)controls_[i], sizeof control};
        if (process_vm_readv(pid, &here, 1, &there, 1, 0) != ssize_t(sizeof control) || control.directory[0]) continue;
        std::string why;
        auto p = Process::open(pid, &why);
        if (p && p->start_time() == start && p->read((uint64_t)p->board().control, &control, sizeof control) && !control.directory[0]) tell(*p, control);
    }
}

void Session::renew() {
    __atomic_store_n(&session_->until_tsc, tsc_now() + uint64_t(kLeaseSeconds * double(ticks_per_second())), __ATOMIC_RELAXED);
}

void Session::find_files() {
    DIR* d = opendir(directory_.c_str());
    if (!d) return;
    while (dirent* e = readdir(d)) {
        std::string name = e->d_name;
        if (name[0] == '.' || name == "session" || records_.size() >= kMostRecords) continue;
        if (std::binary_search(seen_.begin(), seen_.end(), name)) continue;
        int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        struct stat st;
        if (fd < 0) continue;
        if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= OC_RING_OFFSET) {
            void* m = mmap(nullptr, OC_RING_OFFSET, PROT_READ, MAP_SHARED, fd, 0);
            if (m != MAP_FAILED) {
                auto* r = (const oc_record*)m;
                uint32_t ring = r->ring_events;
                bool whole = __atomic_load_n(&r->magic, __ATOMIC_ACQUIRE) == OC_RECORD_MAGIC && r->abi == OC_ABI && ring <= kMostRing &&
                             (ring & (ring - 1)) == 0 && size_t(st.st_size) >= OC_RING_OFFSET + size_t(ring) * sizeof(oc_event);
                if (whole) {
                    char program[OC_NAME_BYTES + 1] = {};
                    memcpy(program, r->name, OC_NAME_BYTES);
                    records_.push_back({r, name, r->pid, r->tid, ring, r->start_tsc, 0, safe_text(program)});
                    seen_.insert(std::upper_bound(seen_.begin(), seen_.end(), name), name);
                } else {
                    munmap(m, OC_RING_OFFSET);
                }
            }
        }
        close(fd);
    }
    closedir(d);
}

void Session::wait_ms(unsigned ms) {
    timespec t{time_t(ms / 1000), long(ms % 1000) * 1000000};
    if (__atomic_load_n(&session_->bell, __ATOMIC_ACQUIRE) == bell_heard_) syscall(SYS_futex, &session_->bell, FUTEX_WAIT, bell_heard_, &t, nullptr, 0);
    bell_heard_ = __atomic_load_n(&session_->bell, __ATOMIC_ACQUIRE);
}

// By reads, not through a mapping: each page of one would cost a fault, and the file is another's to shorten. How many were copied.
size_t Session::copy_ring(const Record& r, uint64_t from, size_t count, Store* store) {
    int fd = open((directory_ + "/" + r.file).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return 0;
    size_t done = 0;
    while (done < count) {
        size_t at = (from + done) & (r.ring_events - 1), n = std::min(count - done, r.ring_events - at);
        oc_event* place = store->place(n);
        if (!place || pread(fd, place, n * sizeof *place, off_t(OC_RING_OFFSET + at * sizeof *place)) != ssize_t(n * sizeof *place)) break;
        store->added(n);
        done += n;
    }
    close(fd);
    return done;
}

void Session::collect(Store* store) {
    uint32_t made = __atomic_load_n(&session_->records, __ATOMIC_ACQUIRE);
    if (made != records_known_) {
        records_known_ = made;
        find_files();
    }
    if (!store) return;
    std::vector<uint64_t>& heads = heads_;
    heads.resize(records_.size());
    size_t fresh = 0;
    for (size_t i = 0; i < records_.size(); i++) {
        Record& r = records_[i];
        heads[i] = r.ring_events ? std::max(r.tail, __atomic_load_n(&r.shared->head, __ATOMIC_ACQUIRE)) : r.tail;
        if (heads[i] - r.tail > r.ring_events) {
            dropped_ += heads[i] - r.tail - r.ring_events;
            r.tail = heads[i] - r.ring_events;
        }
        fresh += heads[i] - r.tail;
    }
    if (fresh > store->free()) return keep_the_first(store, heads);
    for (uint32_t i = 0; i < records_.size(); i++) {
        Record& r = records_[i];
        size_t n = heads[i] - r.tail;
        if (!n) continue;
        uint64_t from = r.tail;
        r.tail = heads[i];
        size_t first = store->count_, copied = copy_ring(r, from, n, store);
        // What the writer reached meanwhile may be half of this, half of that.
        uint64_t now = __atomic_load_n(&r.shared->head, __ATOMIC_ACQUIRE);
        size_t torn = now >= from + r.ring_events ? std::min<uint64_t>(now - from - r.ring_events + 1, copied) : 0;
        dropped_ += torn + n - copied;
        store->pieces_.push_back({i, first + torn, copied - torn, from + torn, tsc_now()});
    }
}

uint64_t Session::refused() const { return session_->refused; }

std::string Session::losses() const {
    std::string text = "dropped " + std::to_string(dropped_);
    if (not_kept_) text += ", beyond the limit " + std::to_string(not_kept_);
    if (refused()) text += ", kernel threads that could not record " + std::to_string(refused());
    return text;
}

void add_buckets(const Session& session, uint64_t on_cpu[OC_BUCKETS], uint64_t queued[OC_BUCKETS], uint64_t parked[OC_BUCKETS]) {
    for (const Record& r : session.records())
        for (int i = 0; i < OC_BUCKETS; i++) {
            on_cpu[i] += r.shared->on_cpu[i];
            queued[i] += r.shared->queued[i];
            parked[i] += r.shared->parked[i];
        }
}

uint64_t percentile(const uint64_t buckets[OC_BUCKETS], double part) {
    uint64_t all = 0, seen = 0;
    for (int i = 0; i < OC_BUCKETS; i++) all += buckets[i];
    for (int i = 0; i < OC_BUCKETS && all; i++) {
        seen += buckets[i];
        if (double(seen) >= part * double(all)) return i ? 1ull << i : 0;
    }
    return 0;
}

std::string duration_text(double ns) {
    char text[32];
    if (ns < 1e3)
        snprintf(text, sizeof text, "%.0f ns", ns);
    else if (ns < 1e6)
        snprintf(text, sizeof text, "%.1f us", ns / 1e3);
    else if (ns < 1e9)
        snprintf(text, sizeof text, "%.1f ms", ns / 1e6);
    else
        snprintf(text, sizeof text, "%.2f s", ns / 1e9);
    return text;
}

EndOf::EndOf(int pid) : fd_(int(syscall(SYS_pidfd_open, pid, 0))) {}
EndOf::~EndOf() {
    if (fd_ >= 0) close(fd_);
}
bool EndOf::within_ms(double ms) {
    pollfd p{fd_, POLLIN, 0};
    timespec t{time_t(ms / 1e3), long(ms * 1e6) % 1000000000};
    // Without a descriptor (EMFILE) it is a sleep.
    return ppoll(&p, 1, &t, nullptr) == 1 && fd_ >= 0;
}

int Session::launch(std::vector<std::string> options, const std::vector<std::string>& command) const {
    options.push_back("--record=" + std::to_string(level_) + ":" + directory_);
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 16);
    if (n <= 0) return -1;
    path[n] = 0;
    strcpy(strrchr(path, '/') + 1, "ocrun");
    std::vector<char*> argv{path};
    for (auto& o : options) argv.push_back(const_cast<char*>(o.c_str()));
    std::string end = "--";
    argv.push_back(end.data());
    for (auto& c : command) argv.push_back(const_cast<char*>(c.c_str()));
    argv.push_back(nullptr);
    fflush(nullptr);
    int pid = fork();
    if (pid == 0) {
        execv(path, argv.data());
        complain(std::string("cannot execute ") + path + ": " + errno_words());
        _exit(125);
    }
    if (pid < 0) complain("cannot start a process: " + errno_words());
    return pid;
}

}  // namespace ocrun::view
