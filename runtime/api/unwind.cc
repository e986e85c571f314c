// unwind.cc - looks at the unwind tables the way the unwinder will (see unwind.h)
//
// A C++ function lists in its call-site table (LSDA) the instructions at which something may be thrown. An unwind through any other
// one ends in std::terminate: a function that is noexcept, or a computation that was interrupted where nothing can throw. So every
// frame's table is read first. Layout: .gcc_except_table as GCC and Clang write it (Itanium C++ ABI, exception handling, level II).
#include "runtime/api/unwind.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unwind.h>

namespace oc {

namespace {

struct Range {
    std::uintptr_t low, high;
};
constexpr int kRanges = 8;
Range g_system[kRanges];
int g_system_count;
bool g_static;  // libc is in the program itself: nobody can tell its code from the program's

struct Search {
    std::uintptr_t address;
    Range found;
};

int object_of(dl_phdr_info* info, size_t, void* p) {
    Search* s = (Search*)p;
    Range whole{~0ul, 0};
    bool mine = false;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr)& h = info->dlpi_phdr[i];
        if (h.p_type != PT_LOAD) continue;
        std::uintptr_t low = info->dlpi_addr + h.p_vaddr, high = low + h.p_memsz;
        if (low < whole.low) whole.low = low;
        if (high > whole.high) whole.high = high;
        mine |= s->address >= low && s->address < high;
    }
    if (!mine) return 0;
    s->found = whole;
    return 1;
}

Range object_at(std::uintptr_t address) {
    Search s{address, {0, 0}};
    if (address) dl_iterate_phdr(object_of, &s);
    return s.found;
}

void note_system(std::uintptr_t address) {
    Range r = object_at(address);
    if (!r.high || g_system_count == kRanges) return;
    for (int i = 0; i < g_system_count; i++)
        if (g_system[i].low == r.low) return;
    g_system[g_system_count++] = r;
}

bool in_system(std::uintptr_t ip) {
    for (int i = 0; i < g_system_count; i++)
        if (ip >= g_system[i].low && ip < g_system[i].high) return true;
    return false;
}

// DWARF pointer encodings (DW_EH_PE_*): the formats that call-site tables use.
constexpr unsigned char kAbsolute = 0, kUleb128 = 1, kUdata2 = 2, kUdata4 = 3, kUdata8 = 4, kOmit = 0xff;

std::uintptr_t read_uleb(const unsigned char*& p) {
    std::uintptr_t value = 0;
    unsigned shift = 0;
    unsigned char byte;
    do {
        byte = *p++;
        value |= std::uintptr_t(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    return value;
}

template <class T>
std::uintptr_t read_plain(const unsigned char*& p) {
    T value;
    memcpy(&value, p, sizeof value);
    p += sizeof value;
    return std::uintptr_t(value);
}

bool read_encoded(const unsigned char*& p, unsigned char encoding, std::uintptr_t* value) {
    switch (encoding) {
        case kAbsolute:
        case kUdata8: *value = read_plain<u64>(p); return true;
        case kUleb128: *value = read_uleb(p); return true;
        case kUdata2: *value = read_plain<std::uint16_t>(p); return true;
        case kUdata4: *value = read_plain<u32>(p); return true;
    }
    return false;
}

// Does the frame's table know the instruction? A frame without one has nothing to say.
bool lets_through(_Unwind_Context* context, std::uintptr_t ip) {
    const unsigned char* p = (const unsigned char*)_Unwind_GetLanguageSpecificData(context);
    if (!p || in_system(ip)) return true;
    std::uintptr_t start = _Unwind_GetRegionStart(context), ignored;
    unsigned char encoding = *p++;
    if (encoding != kOmit) return false;  // landing pads elsewhere: no compiler for x86-64 does so
    encoding = *p++;
    if (encoding != kOmit) read_uleb(p);  // where the types are
    encoding = *p++;
    std::uintptr_t bytes = read_uleb(p);
    for (const unsigned char* end = p + bytes; p < end;) {
        std::uintptr_t from, length;
        if (!read_encoded(p, encoding, &from) || !read_encoded(p, encoding, &length) || !read_encoded(p, encoding, &ignored)) return false;
        read_uleb(p);
        if (ip - start < from) return false;  // sorted
        if (ip - start < from + length) return true;
    }
    return false;
}

// The C++ library's locks call this one, declared to throw nothing, and throw themselves when it returns an error.
std::uintptr_t g_mutex_lock;

struct Registers {
    std::uintptr_t sp, ip, rbx, rbp, r12, r13, r14, r15;
};

struct Walk {
    std::uintptr_t from;  // the interrupted instruction; 0: the next frame is the first
    bool computing;
    bool started = false;
    int index = 0;
    bool drop = false;
    bool reached = false;
    bool wrong = false;
    bool from_lock = false;       // the frame before was pthread_mutex_lock
    bool fail_lock = false;       // whose caller can be unwound when it returns
    Registers caller{};           // of the innermost frame, or of pthread_mutex_lock
};

Registers registers_of(_Unwind_Context* context) {
    return {_Unwind_GetCFA(context),     _Unwind_GetIP(context),      _Unwind_GetGR(context, 3),  _Unwind_GetGR(context, 6),
            _Unwind_GetGR(context, 12), _Unwind_GetGR(context, 13), _Unwind_GetGR(context, 14), _Unwind_GetGR(context, 15)};
}

_Unwind_Reason_Code step(_Unwind_Context* context, void* argument) {
    Walk& w = *(Walk*)argument;
    int exact = 0;
    std::uintptr_t ip = _Unwind_GetIPInfo(context, &exact);
    if (!w.started) {
        if (w.from && ip != w.from) return _URC_NO_REASON;
        w.started = true;
    }
    std::uintptr_t look = exact ? ip : ip - 1;
    if (_Unwind_FindEnclosingFunction((void*)look) == (void*)run_task_body) {
        w.reached = true;
        // Interrupted in it; or not the caller of the frame that may be dropped.
        if (w.index == 0) w.wrong = true;
        if (w.index != 1) return _URC_END_OF_STACK;
    } else if (w.computing && in_system(look)) {
        w.wrong = true;
        return _URC_END_OF_STACK;
    }
    if (w.index == 0) {
        w.drop = !lets_through(context, look);
    } else {
        if (w.index == 1) w.caller = registers_of(context);
        if (!lets_through(context, look)) {
            if (!w.from_lock || w.fail_lock || w.drop || !w.from) {
                w.wrong = true;
                return _URC_END_OF_STACK;
            }
            w.fail_lock = true;
            w.caller = registers_of(context);
        }
    }
    w.from_lock = _Unwind_FindEnclosingFunction((void*)look) == (void*)g_mutex_lock;
    w.index++;
    return w.reached ? _URC_END_OF_STACK : _URC_NO_REASON;
}

}  // namespace

void unwind_init() {
    if (g_system_count) return;
    const void* places[] = {(void*)pthread_mutex_lock, (void*)malloc, dlsym(RTLD_DEFAULT, "__cxa_throw"), (void*)_Unwind_Backtrace};
    // The function itself: its address here may be a stub of the program's.
    void* handle = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    g_mutex_lock = (std::uintptr_t)(handle ? dlsym(handle, "pthread_mutex_lock") : (void*)pthread_mutex_lock);
    Range libc = object_at((std::uintptr_t)places[0]), own = object_at((std::uintptr_t)unwind_init);
    g_static = libc.low == own.low;
    if (g_static) return;
    for (const void* p : places) {
        Range r = object_at((std::uintptr_t)p);
        if (r.low != own.low) note_system((std::uintptr_t)p);
    }
    note_system(getauxval(AT_BASE));
}

Verdict unwind_judge(ucontext_t* interrupted, bool computing, bool may_drop, void (*instead)()) {
    if (computing && g_static) return Verdict::later;
    greg_t* g = interrupted->uc_mcontext.gregs;
    Walk w{std::uintptr_t(g[REG_RIP]), computing};
    _Unwind_Backtrace(step, &w);
    if (!w.reached || w.wrong) return Verdict::later;
    if (!w.drop && !w.fail_lock) return Verdict::here;
    if (!w.caller.sp || (w.drop && !may_drop)) return Verdict::later;
    g[REG_RBX] = greg_t(w.caller.rbx);
    g[REG_RBP] = greg_t(w.caller.rbp);
    g[REG_R12] = greg_t(w.caller.r12);
    g[REG_R13] = greg_t(w.caller.r13);
    g[REG_R14] = greg_t(w.caller.r14);
    g[REG_R15] = greg_t(w.caller.r15);
    g[REG_EFL] &= ~0x400;
    if (w.fail_lock) {
        g[REG_RSP] = greg_t(w.caller.sp);
        g[REG_RIP] = greg_t(w.caller.ip);
        g[REG_RAX] = ECANCELED;
    } else {
        g[REG_RSP] = greg_t(w.caller.sp - 8);  // the return address lies there
        g[REG_RIP] = greg_t((std::uintptr_t)instead);
    }
    return Verdict::changed;
}

Verdict unwind_judge_here() {
    Walk w{0, false};
    _Unwind_Backtrace(step, &w);
    return w.reached && !w.wrong && !w.drop ? Verdict::here : Verdict::later;
}

}  // namespace oc
