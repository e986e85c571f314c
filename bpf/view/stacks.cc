// stacks.cc - `ocrun stacks PID`: the call chain of every coroutine, identical ones folded
#include <stdio.h>

#include <algorithm>
#include <map>

#include "bpf/view/commands.h"
#include "bpf/view/unwind.h"

namespace ocrun::view {

int stacks(int pid) {
    std::string why;
    auto p = open_process(pid);
    // The program's ELF and DWARF are hostile input: no more rights than its user has.
    if (!p || !become_user_of(*p)) return kExitFailure;
    auto unwinder = Unwinder::open(*p, &why);
    std::vector<Coroutine> coroutines;
    std::vector<Worker> workers;
    if (!unwinder || !p->snapshot(&coroutines, &workers)) {
        complain(unwinder ? "process " + std::to_string(pid) + " cannot be read: " + errno_words() : why);
        return kExitFailure;
    }
    struct Group {
        std::vector<const Coroutine*> members;
        std::vector<Frame> frames;
    };
    std::map<std::string, Group> groups;
    size_t missed = 0;
    for (const Coroutine& c : coroutines) {
        std::vector<Frame> frames = unwinder->stack(c);
        std::string key = std::string(state_name(c.state)) + "\n" + c.waits_for + "\n" + std::to_string(c.call) + "\n";
        for (const Frame& f : frames) key += f.text() + "\n";
        if (frames.empty()) missed++;
        Group& g = groups[key];
        g.members.push_back(&c);
        if (g.frames.empty()) g.frames = std::move(frames);
    }
    std::vector<const Group*> order;
    for (auto& [key, group] : groups) order.push_back(&group);
    std::stable_sort(order.begin(), order.end(), [](const Group* a, const Group* b) { return a->members.size() > b->members.size(); });
    printf("process %d, %zu coroutines, %zu different stacks, %zu could not be caught\n", pid, coroutines.size(), order.size(), missed);
    for (const Group* g : order) {
        const Coroutine& first = *g->members[0];
        constexpr size_t kShown = 6;
        printf("\n%zu %s", g->members.size(), state_name(first.state));
        if (first.call != OC_NO_CALL) printf(" in %s", call_name(first.call).c_str());
        if (!first.waits_for.empty()) printf(", waiting for %s", first.waits_for.c_str());
        printf(":");
        for (size_t i = 0; i < g->members.size() && i < kShown; i++) printf(" %u \"%s\"", g->members[i]->tid, g->members[i]->name.c_str());
        if (g->members.size() > kShown) printf(" and %zu more", g->members.size() - kShown);
        printf("\n");
        for (size_t i = 0; i < g->frames.size(); i++) printf("    #%-2zu %s\n", i, g->frames[i].text().c_str());
        if (g->frames.empty()) printf("    (it runs and could not be stopped)\n");
    }
    return 0;
}

}  // namespace ocrun::view
