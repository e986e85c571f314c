// process.cc - see process.h
#include "bpf/view/process.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace ocrun::view {

namespace {

// Bounds on what a process may make us believe.
constexpr uint64_t kMostChunks = 1u << 16, kMostSlotBytes = 16u << 20, kMostWorkers = 4096;
constexpr size_t kBatch = 512;  // slots a call; the kernel takes 1,024 (UIO_MAXIOV)

std::string read_file(const std::string& path, size_t most = 1 << 16) {
    std::string text;
    int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return text;
    char buffer[4096];
    for (ssize_t n; text.size() < most && (n = ::read(fd, buffer, sizeof buffer)) > 0;) text.append(buffer, size_t(n));
    close(fd);
    return text;
}

template <class T>
T take(const uint8_t* bytes, uint16_t offset, size_t size) {
    T value{};
    if (size_t(offset) + sizeof value <= size) memcpy(&value, bytes + offset, sizeof value);
    return value;
}

const char* table_name(uint32_t nr) {
    switch (nr) {
#define OC_SYSCALL(nr, name, args, groups, hook, condition, can_park, handler, limitation) \
    case nr: return name;
#include "seccomp/syscall_table.def"
#undef OC_SYSCALL
    }
    return nullptr;
}

}  // namespace

void complain(const std::string& text) { fprintf(stderr, "ocrun: %s\n", text.c_str()); }

std::string errno_words() { return strerror(errno); }

std::string safe_text(const std::string& text, size_t columns) {
    std::string out;
    for (unsigned char ch : text) {
        if (out.size() >= columns) break;
        out += ch >= 32 && ch < 127 ? char(ch) : '?';
    }
    return out;
}

std::string call_name(uint32_t nr) {
    if (const char* name = table_name(nr)) return name;
    return "syscall_" + std::to_string(nr);
}

const char* state_name(State state) {
    switch (state) {
        case State::running: return "running";
        case State::kernel: return "kernel";
        case State::ready: return "ready";
        case State::parked: return "parked";
    }
    return "?";
}

std::unique_ptr<Process> open_process(int pid) {
    std::string why;
    auto p = Process::open(pid, &why);
    if (!p) complain(why);
    return p;
}

unsigned long long process_start_time(int pid) {
    std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
    size_t at = stat.rfind(')');
    if (at == std::string::npos) return 0;
    unsigned long long start = 0;
    sscanf(stat.c_str() + at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &start);
    return start;
}

char thread_state(int pid, int tid) {
    std::string stat = read_file("/proc/" + std::to_string(pid) + "/task/" + std::to_string(tid) + "/stat");
    size_t at = stat.rfind(')');
    return at == std::string::npos || at + 2 >= stat.size() ? '?' : stat[at + 2];
}

uint64_t board_address(const std::string& file) {
    int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    uint64_t found = 0;
    Elf64_Ehdr head;
    if (pread(fd, &head, sizeof head, 0) == ssize_t(sizeof head) && memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 &&
        head.e_ident[EI_CLASS] == ELFCLASS64 && head.e_machine == EM_X86_64 && head.e_phentsize == sizeof(Elf64_Phdr)) {
        for (unsigned i = 0; i < head.e_phnum && i < 64 && !found; i++) {
            Elf64_Phdr segment;
            if (pread(fd, &segment, sizeof segment, off_t(head.e_phoff + i * sizeof segment)) != ssize_t(sizeof segment)) break;
            constexpr size_t kMostNotes = 1 << 16;
            if (segment.p_type != PT_NOTE || segment.p_filesz > kMostNotes) continue;
            std::vector<char> notes(segment.p_filesz);
            if (pread(fd, notes.data(), notes.size(), off_t(segment.p_offset)) != ssize_t(notes.size())) continue;
            auto up = [](size_t n) { return (n + 3) & ~size_t(3); };
            for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= notes.size();) {
                Elf64_Nhdr note;
                memcpy(&note, &notes[at], sizeof note);
                size_t name = at + sizeof note, data = name + up(note.n_namesz), end = data + up(note.n_descsz);
                if (end > notes.size() || end <= at) break;
                if (note.n_type == 1 && note.n_namesz == sizeof OC_NOTE_NAME && memcmp(&notes[name], OC_NOTE_NAME, sizeof OC_NOTE_NAME) == 0 &&
                    note.n_descsz == 8)
                    memcpy(&found, &notes[data], 8);
                at = end;
            }
        }
    }
    close(fd);
    return found;
}

bool Process::read(uint64_t address, void* to, size_t bytes) const {
    iovec local{to, bytes}, remote{(void*)address, bytes};
    return process_vm_readv(pid_, &local, 1, &remote, 1, 0) == ssize_t(bytes);
}

bool Process::write(uint64_t address, const void* from, size_t bytes) const {
    iovec local{const_cast<void*>(from), bytes}, remote{(void*)address, bytes};
    return process_vm_writev(pid_, &local, 1, &remote, 1, 0) == ssize_t(bytes);
}

std::string Process::read_text(uint64_t address, size_t most) const {
    std::string text(most, 0);
    iovec local{text.data(), most}, remote{(void*)address, most};
    ssize_t n = process_vm_readv(pid_, &local, 1, &remote, 1, 0);
    if (n <= 0) {  // the text may end just before an unmapped page
        size_t left = 4096 - (address & 4095);
        if (left >= most) return "";
        local.iov_len = remote.iov_len = left;
        n = process_vm_readv(pid_, &local, 1, &remote, 1, 0);
        if (n <= 0) return "";
    }
    return text.substr(0, strnlen(text.data(), size_t(n)));
}

std::string Process::waits_text(uint64_t address) const {
    auto found = texts_.find(address);
    if (found != texts_.end()) return found->second;
    constexpr size_t kMostTexts = 256;
    if (texts_.size() > kMostTexts) texts_.clear();
    return texts_[address] = safe_text(read_text(address, 24));
}

std::unique_ptr<Process> Process::open(int pid, std::string* why) {
    std::string exe = "/proc/" + std::to_string(pid) + "/exe";
    std::string who = "process " + std::to_string(pid);
    std::unique_ptr<Process> p(new Process());
    p->pid_ = pid;
    p->start_time_ = process_start_time(pid);
    if (!p->start_time_) {
        *why = "there is no " + who;
        return nullptr;
    }
    struct stat s;
    if (stat(("/proc/" + std::to_string(pid)).c_str(), &s) == 0) p->uid_ = s.st_uid;
    if (access(exe.c_str(), R_OK) && errno == EACCES) {
        *why = who + " is not yours to look at (another user's, or not dumpable)";
        return nullptr;
    }
    uint64_t address = board_address(exe);
    if (!address) {
        *why = who + " does not run under ocrun";
        return nullptr;
    }
    if (!p->read(address, &p->board_, sizeof p->board_)) {
        *why = errno == EPERM ? who + ": reading its memory is refused; it needs the same user or CAP_SYS_PTRACE, and kernel.yama.ptrace_scope 0"
                              : who + ": " + errno_words();
        return nullptr;
    }
    const oc_board& b = p->board_;
    if (b.magic != OC_BOARD_MAGIC || b.abi != OC_ABI || b.bytes != sizeof b || b.slots_per_chunk == 0 || b.slots_per_chunk > 65536) {
        *why = who + " runs under an ocrun of another version";
        return nullptr;
    }
    uint32_t known = 0;
    if (!p->read((uint64_t)b.pid, &known, sizeof known) || !known) {
        *why = who + " has not started its program yet";
        return nullptr;
    }
    std::string line = read_file("/proc/" + std::to_string(pid) + "/cmdline", 4096);
    while (!line.empty() && line.back() == 0) line.pop_back();
    std::replace(line.begin(), line.end(), '\0', ' ');
    p->command_ = safe_text(line);
    return p;
}

std::vector<std::unique_ptr<Process>> Process::all(unsigned* unreadable) {
    std::vector<std::unique_ptr<Process>> found;
    std::map<std::pair<dev_t, ino_t>, bool> under_ocrun;  // by executable
    *unreadable = 0;
    DIR* proc = opendir("/proc");
    if (!proc) return found;
    while (dirent* entry = readdir(proc)) {
        int pid = atoi(entry->d_name);
        if (pid <= 0) continue;
        std::string exe = "/proc/" + std::to_string(pid) + "/exe";
        struct stat s;
        if (stat(exe.c_str(), &s)) continue;
        auto key = std::make_pair(s.st_dev, s.st_ino);
        auto known = under_ocrun.find(key);
        if (known == under_ocrun.end()) known = under_ocrun.emplace(key, board_address(exe) != 0).first;
        if (!known->second) continue;
        std::string why;
        if (auto p = open(pid, &why))
            found.push_back(std::move(p));
        else if (kill(pid, 0) == 0 || errno == EPERM)
            ++*unreadable;
    }
    closedir(proc);
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a->pid() < b->pid(); });
    return found;
}

bool Process::decode(const uint8_t* bytes, uint64_t address, Coroutine* c) const {
    const oc_coroutine_layout& at = board_.coroutine;
    size_t n = at.bytes;
    if (!take<uint8_t>(bytes, at.registered, n) && !take<uint8_t>(bytes, at.direct, n)) return false;
    c->address = address;
    c->tid = take<uint32_t>(bytes, at.tid, n);
    c->parent = take<uint32_t>(bytes, at.parent, n);
    c->direct = take<uint8_t>(bytes, at.direct, n);
    char name[OC_NAME_BYTES + 1] = {};
    if (size_t(at.name) + OC_NAME_BYTES <= n) memcpy(name, bytes + at.name, OC_NAME_BYTES);
    c->name = safe_text(name);
    uint32_t sched = take<uint32_t>(bytes, at.sched_state, n);
    c->on = take<uint64_t>(bytes, at.on, n);
    c->worker_tid = 0;
    c->switches = take<uint64_t>(bytes, at.switches, n);
    c->cpu_tsc = take<uint64_t>(bytes, at.cpu_tsc, n);
    c->cpu_base_ns = take<uint64_t>(bytes, at.cpu_base_ns, n);
    c->queued_tsc = take<uint64_t>(bytes, at.queued_tsc, n);
    c->parked_tsc = take<uint64_t>(bytes, at.parked_tsc, n);
    c->call = take<uint32_t>(bytes, at.call_nr, n);
    uint64_t waits = take<uint64_t>(bytes, at.waits_for, n);
    c->waits_for = waits ? waits_text(waits) : "";
    c->waits_detail = take<uint64_t>(bytes, at.waits_detail, n);
    c->parked_since_tsc = take<uint64_t>(bytes, at.parked_since_tsc, n);
    c->timed = take<uint8_t>(bytes, at.timer_armed, n);
    c->deadline_ns = take<uint64_t>(bytes, at.timer_deadline, n);
    c->mask = take<uint64_t>(bytes, at.mask, n);
    c->pending = take<uint64_t>(bytes, at.pending, n);
    if (size_t(at.regs) + sizeof c->regs <= n) memcpy(c->regs, bytes + at.regs, sizeof c->regs);
    constexpr uint32_t kWoken = 1;
    c->state = c->on ? State::running : waits && !(sched & kWoken) ? State::parked : State::ready;
    return true;
}

bool Process::refresh(Coroutine* c) const {
    std::vector<uint8_t> bytes(board_.coroutine.bytes);
    uint32_t tid = c->tid, worker = c->worker_tid;
    if (!read(c->address, bytes.data(), bytes.size()) || !decode(bytes.data(), c->address, c)) return false;
    c->worker_tid = worker;
    return c->tid == tid;
}

bool Process::snapshot(std::vector<Coroutine>* coroutines, std::vector<Worker>* workers) const {
    coroutines->clear();
    workers->clear();
    const oc_board& b = board_;
    uint64_t chunks = 0, count = 0, fresh = 0, slot_bytes = 0;
    if (!read((uint64_t)b.pool_chunks, &chunks, 8) || !read((uint64_t)b.pool_chunk_count, &count, 8) ||
        !read((uint64_t)b.pool_fresh, &fresh, 8) || !read((uint64_t)b.pool_slot_bytes, &slot_bytes, 8))
        return false;
    if (count > kMostChunks || slot_bytes > kMostSlotBytes) return false;
    std::vector<uint64_t> chunk(count);
    if (count && !read(chunks, chunk.data(), count * 8)) return false;

    uint32_t n = 0;
    if (!read((uint64_t)b.worker_count, &n, 4)) return false;
    n = std::min<uint32_t>(n, kMostWorkers);
    std::vector<uint64_t> blocks(n);
    if (n && !read((uint64_t)b.workers, blocks.data(), n * 8)) return false;
    std::vector<uint8_t> bytes(std::max<size_t>(b.worker.bytes, b.coroutine.bytes));
    std::map<uint64_t, size_t> by_address;
    for (uint64_t block : blocks) {
        if (!block || !read(block, bytes.data(), b.worker.bytes)) continue;
        Worker w{};
        w.address = block;
        w.tid = take<uint32_t>(bytes.data(), b.worker.tid, b.worker.bytes);
        w.queued = take<uint32_t>(bytes.data(), b.worker.run_count, b.worker.bytes);
        w.current = take<uint64_t>(bytes.data(), b.worker.current, b.worker.bytes);
        w.since_tsc = take<uint64_t>(bytes.data(), b.worker.switched_in_tsc, b.worker.bytes);
        w.kernel_state = thread_state(pid_, int(w.tid));
        by_address[block] = workers->size();
        workers->push_back(w);
    }

    std::vector<uint64_t> addresses;
    for (size_t i = 0; i < count; i++)
        for (uint64_t k = 0; k < (i + 1 == count ? std::min<uint64_t>(fresh, b.slots_per_chunk) : b.slots_per_chunk); k++)
            addresses.push_back(chunk[i] + k * slot_bytes);
    std::vector<uint8_t> batch(kBatch * b.coroutine.bytes);
    for (size_t at = 0; at < addresses.size(); at += kBatch) {
        size_t here = std::min(kBatch, addresses.size() - at);
        std::vector<iovec> remote(here);
        for (size_t i = 0; i < here; i++) remote[i] = {(void*)addresses[at + i], b.coroutine.bytes};
        iovec local{batch.data(), here * b.coroutine.bytes};
        ssize_t got = process_vm_readv(pid_, &local, 1, remote.data(), here, 0);
        if (got < 0) return false;
        for (size_t i = 0; i < size_t(got) / b.coroutine.bytes; i++) {
            Coroutine c{};
            if (!decode(&batch[i * b.coroutine.bytes], addresses[at + i], &c)) continue;
            auto worker = by_address.find(c.on);
            if (worker != by_address.end()) {
                const Worker& w = (*workers)[worker->second];
                c.worker_tid = w.tid;
                if (w.kernel_state == 'S' || w.kernel_state == 'D') c.state = State::kernel;
            }
            coroutines->push_back(std::move(c));
        }
    }
    return true;
}

uint64_t Process::system_calls() const {
    uint64_t sum = 0;
    uint32_t n = 0;
    if (!read((uint64_t)board_.worker_count, &n, 4)) return 0;
    std::vector<uint64_t> blocks(std::min<uint32_t>(n, kMostWorkers));
    if (blocks.empty() || !read((uint64_t)board_.workers, blocks.data(), blocks.size() * 8)) return 0;
    for (uint64_t block : blocks) {
        uint64_t calls = 0;
        if (block && read(block + board_.worker.calls, &calls, 8)) sum += calls;
    }
    return sum;
}

bool Process::multi() const {
    uint8_t multi = 0;
    read((uint64_t)board_.multi, &multi, 1);
    return multi;
}

bool Process::alive() const { return process_start_time(pid_) == start_time_ && thread_state(pid_, pid_) != 'Z'; }

uint64_t tsc_now() { return __builtin_ia32_rdtsc(); }

TscClock::TscClock() { anchor(); }

void TscClock::anchor() {
    timespec t;
    // Of a few tries the one with the least time between both clocks.
    Anchor best{};
    uint64_t least = ~0ull;
    for (int i = 0; i < 5; i++) {
        uint64_t before = tsc_now();
        clock_gettime(CLOCK_MONOTONIC, &t);
        uint64_t after = tsc_now();
        if (after - before < least) {
            least = after - before;
            best = {before + (after - before) / 2, uint64_t(t.tv_sec) * 1000000000ull + uint64_t(t.tv_nsec)};
        }
    }
    anchors_.push_back(best);
}

double TscClock::ns_per_tick() {
    constexpr uint64_t kShortest = 20000000;  // ns; a rate over less is not worth much
    if (anchors_.size() < 2 || anchors_.back().ns - anchors_.front().ns < kShortest) {
        timespec nap{0, long(kShortest)};
        while (nanosleep(&nap, &nap) && errno == EINTR) {
        }
        anchor();
    }
    const Anchor &a = anchors_.front(), &z = anchors_.back();
    return double(z.ns - a.ns) / double(z.tsc - a.tsc);
}

double TscClock::moment_ns(uint64_t tsc) {
    ns_per_tick();
    // The pair of anchors around the moment, or the outermost pair.
    size_t i = 1;
    while (i + 1 < anchors_.size() && anchors_[i].tsc < tsc) i++;
    const Anchor &a = anchors_[i - 1], &z = anchors_[i];
    double rate = z.ns - a.ns > 1000000 ? double(z.ns - a.ns) / double(z.tsc - a.tsc) : ns_per_tick();
    return double(a.ns) + (double(tsc) - double(a.tsc)) * rate;
}

bool become_user_of(const Process& process) {
    if (geteuid() != 0 || process.uid() == 0) return true;
    struct stat s;
    if (stat(("/proc/" + std::to_string(process.pid())).c_str(), &s) || setgroups(0, nullptr) || setresgid(s.st_gid, s.st_gid, s.st_gid) ||
        setresuid(s.st_uid, s.st_uid, s.st_uid)) {
        complain("cannot take the rights of the user whose program is to be read: " + errno_words());
        return false;
    }
    return true;
}

}  // namespace ocrun::view
