// pipeline.cc - C++: stages that hand numbers on through pipes, in a scope that waits for all of them
#include <unistd.h>

#include <cstdio>
#include <ocrun/ocrun.hpp>
#include <system_error>

namespace {

struct Pipe {
    int ends[2];
    Pipe() {
        if (pipe(ends)) throw std::system_error(errno, std::generic_category(), "pipe");
    }
};
bool receive(int fd, long& number) { return read(fd, &number, sizeof number) == sizeof number; }
void send(int fd, long number) {
    if (write(fd, &number, sizeof number) != sizeof number) throw std::system_error(errno, std::generic_category(), "write");
}

}  // namespace

int main() {
    oc_config config = OC_CONFIG_INIT;
    config.mode = OC_MODE_PREFER_OCRUN;
    ocrun::init(config);
    constexpr int kStages = 100, kNumbers = 1000;
    Pipe pipes[kStages + 1];
    ocrun::scope stages;
    for (int i = 0; i < kStages; i++)
        stages.spawn([in = pipes[i].ends[0], out = pipes[i + 1].ends[1]] {
            for (long n; receive(in, n);) send(out, n + 1);
            close(out);
        });
    stages.spawn([out = pipes[0].ends[1]] {
        for (long n = 0; n < kNumbers; n++) send(out, n);
        close(out);
    });
    auto sum = ocrun::spawn([in = pipes[kStages].ends[0]] {
        long total = 0;
        for (long n; receive(in, n);) total += n;
        return total;
    });
    long total = sum.join();
    stages.join();
    std::printf("sum %ld\n", total);
    ocrun::stop();
    return total == long(kNumbers) * (kNumbers - 1) / 2 + long(kNumbers) * kStages ? 0 : 1;
}
