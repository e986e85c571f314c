// flame.cc - `ocrun flame PID`: where coroutines compute and where they wait, as one SVG with two flame graphs
//
// Samples the whole process a hundred times a second from outside. A coroutine that has not run since the last sample keeps
// its stack, so thousands of parked ones cost nothing; running ones are stopped for some 50 us each.
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "bpf/view/commands.h"
#include "bpf/view/record.h"
#include "bpf/view/unwind.h"

namespace ocrun::view {

namespace {

constexpr useconds_t kPeriodUs = 10000;
constexpr double kWidth = 1200, kRowHeight = 17, kMargin = 10, kNarrowest = 0.4, kCharacter = 6.6;

struct Node {
    double ns = 0;
    std::map<std::string, Node> inner;
};

void add(Node& root, const std::vector<std::string>& path, double ns) {
    Node* n = &root;
    n->ns += ns;
    for (const std::string& step : path) {
        n = &n->inner[step];
        n->ns += ns;
    }
}

size_t depth(const Node& n) {
    size_t most = 0;
    for (const auto& [name, inner] : n.inner) most = std::max(most, depth(inner));
    return most + 1;
}

std::string escape(const std::string& text) {
    std::string out;
    for (char ch : text) {
        if (ch == '&') out += "&amp;";
        else if (ch == '<') out += "&lt;";
        else if (ch == '>') out += "&gt;";
        else if (ch == '"') out += "&quot;";
        else out += ch;
    }
    return out;
}

class Svg {
public:
    explicit Svg(FILE* out) : out_(out) {}
    void box(const Node& n, const std::string& name, double x, double width, double bottom, double total, bool warm) {
        if (width < kNarrowest) return;
        unsigned shade = 0;
        for (unsigned char ch : name) shade = shade * 31 + ch;
        int a = int(shade % 55), b = int(shade / 55 % 60);
        int red = warm ? 200 + a : 90 + b, green = warm ? 90 + b * 2 : 150 + b, blue = warm ? 50 : 200 + a;
        double y = bottom - kRowHeight;
        fprintf(out_, "<g><title>%s: %s, %.1f%%</title><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" rx=\"2\" fill=\"rgb(%d,%d,%d)\"/>",
                escape(name).c_str(), duration_text(n.ns).c_str(), total > 0 ? 100 * n.ns / total : 0, x, y, width, kRowHeight - 1, red, green, blue);
        size_t fits = size_t(width / kCharacter);
        if (fits >= 3)
            fprintf(out_, "<text x=\"%.1f\" y=\"%.1f\">%s</text>", x + 3, y + 12.5,
                    escape(name.size() <= fits ? name : name.substr(0, fits - 2) + "..").c_str());
        fputs("</g>\n", out_);
        double at = x;
        for (const auto& [inner_name, inner] : n.inner) {
            double w = n.ns > 0 ? width * inner.ns / n.ns : 0;
            box(inner, inner_name, at, w, y, total, warm);
            at += w;
        }
    }

private:
    FILE* out_;
};

// `on CPU;thread;main;f 1234`: the time of a stack itself, in microseconds.
void write_folded(FILE* out, const Node& n, const std::string& path) {
    double inside = 0;
    for (const auto& [name, inner] : n.inner) {
        std::string step = name;
        std::replace(step.begin(), step.end(), ';', ':');
        write_folded(out, inner, path + ";" + step);
        inside += inner.ns;
    }
    if (n.ns - inside >= 1e3) fprintf(out, "%s %.0f\n", path.c_str(), (n.ns - inside) / 1e3);
}

void write_svg(FILE* out, const Process& p, const Node& on, const Node& off, double seconds, size_t samples, size_t missed) {
    double on_height = double(depth(on)) * kRowHeight, off_height = double(depth(off)) * kRowHeight;
    double height = on_height + off_height + 120;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\">\n"
            "<style>text{font:11px monospace;fill:#111} .head{font:bold 14px sans-serif} .note{font:11px sans-serif;fill:#555}</style>\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#fffdf8\"/>\n",
            kWidth + 2 * kMargin, height, kWidth + 2 * kMargin, height);
    fprintf(out, "<text class=\"head\" x=\"%.0f\" y=\"22\">%s (process %d)</text>\n", kMargin, escape(safe_text(p.command(), 100)).c_str(), p.pid());
    fprintf(out, "<text class=\"note\" x=\"%.0f\" y=\"38\">%.1f s, %zu samples of every coroutine; stacks missed: %zu. Width is time.</text>\n", kMargin,
            seconds, samples, missed);
    Svg svg(out);
    double y = 56;
    fprintf(out, "<text class=\"head\" x=\"%.0f\" y=\"%.0f\">On CPU: %s</text>\n", kMargin, y, duration_text(on.ns).c_str());
    y += 8 + on_height;
    svg.box(on, "on CPU", kMargin, kWidth, y, on.ns, true);
    y += 28;
    fprintf(out, "<text class=\"head\" x=\"%.0f\" y=\"%.0f\">Off CPU, by what is waited for: %s</text>\n", kMargin, y, duration_text(off.ns).c_str());
    y += 8 + off_height;
    svg.box(off, "off CPU", kMargin, kWidth, y, off.ns, false);
    fputs("</svg>\n", out);
}

}  // namespace

int flame(int pid, double seconds, const std::string& file, bool folded) {
    std::string why;
    auto p = open_process(pid);
    if (!p) return kExitFailure;
    FILE* out = fopen(file.c_str(), "we");
    if (!out) {
        complain(file + ": " + errno_words());
        return kExitFailure;
    }
    if (!become_user_of(*p)) return kExitFailure;
    auto unwinder = Unwinder::open(*p, &why);
    if (!unwinder) {
        complain(why);
        return kExitFailure;
    }
    catch_stop();
    struct Known {
        uint64_t switches;
        uint32_t call;
        std::vector<std::string> path;
    };
    std::map<std::pair<uint64_t, uint32_t>, Known> known;  // by address and tid
    Node on, off;
    TscClock clock;
    double rate = clock.ns_per_tick();
    uint64_t begin = tsc_now(), last = begin;
    size_t samples = 0, missed = 0;
    while (!g_stop && (seconds <= 0 || double(tsc_now() - begin) * rate < seconds * 1e9)) {
        usleep(kPeriodUs);
        std::vector<Coroutine> coroutines;
        std::vector<Worker> workers;
        if (!p->snapshot(&coroutines, &workers) || coroutines.empty()) break;
        uint64_t now = tsc_now();
        double span = double(now - last) * rate;
        last = now;
        samples++;
        for (const Coroutine& c : coroutines) {
            Known& k = known[{c.address, c.tid}];
            bool stays = c.state == State::parked && k.switches == c.switches && k.call == c.call && !k.path.empty();
            if (!stays) {
                auto frames = unwinder->stack(c);
                k.switches = c.switches;
                k.call = c.call;
                k.path.clear();
                k.path.push_back(c.state == State::running  ? safe_text(c.name)
                                 : c.state == State::parked ? "parked: " + c.waits_for
                                 : c.state == State::ready  ? "in queue"
                                                            : "in the kernel");
                if (frames.empty()) missed++;
                for (auto f = frames.rbegin(); f != frames.rend(); ++f)
                    k.path.push_back(f->function.empty() ? "[" + (f->module.empty() ? "?" : f->module) + "]" : f->function);
                // One that runs may have gone on between the look at its call and the look at its stack.
                Coroutine now = c;
                bool same = c.state != State::running || (p->refresh(&now) && now.call == c.call && now.switches == c.switches);
                if (c.call != OC_NO_CALL && same) k.path.push_back("syscall " + call_name(c.call));
            }
            add(c.state == State::running ? on : off, k.path, span);
        }
    }
    if (folded) {
        write_folded(out, on, "on CPU");
        write_folded(out, off, "off CPU");
    } else {
        write_svg(out, *p, on, off, double(last - begin) * rate / 1e9, samples, missed);
    }
    if (fclose(out)) {
        complain(file + ": " + errno_words());
        return kExitFailure;
    }
    fprintf(stderr, "ocrun: %s: %zu samples, on CPU %s, off CPU %s, stacks missed %zu\n", file.c_str(), samples, duration_text(on.ns).c_str(),
            duration_text(off.ns).c_str(), missed);
    return 0;
}

}  // namespace ocrun::view
