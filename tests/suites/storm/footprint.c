// cycles of threads and of child processes leave nothing behind: memory, descriptors, mappings
#include "storm.h"
extern char** environ;
// Without pages of files: how many of libc's are mapped depends on what it was called for and on the page cache.
static long kilobytes(void) {
    char line[256];
    long n, sum = 0;
    FILE* f = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "RssAnon: %ld", &n) == 1 || sscanf(line, "RssShmem: %ld", &n) == 1) sum += n;
    fclose(f);
    return sum;
}
static int lines(const char* path) {
    int n = 0, c;
    FILE* f = fopen(path, "r");
    while ((c = getc(f)) != EOF) n += c == '\n';
    fclose(f);
    return n;
}
static int descriptors(void) {
    int n = 0;
    for (int i = 0; i < 5000; i++) n += fcntl(i, F_GETFD) >= 0;
    return n;
}
static void* nothing(void* p) { return p; }
static void one(const char* what, int i) {
    char* argv[] = {"true", NULL};
    int status;
    pid_t pid;
    switch (what[0]) {
        case 't': finish(start(nothing, NULL)); return;
        case 'f': pid = fork(); if (!pid) _exit(0); break;
        case 'e': pid = fork(); if (!pid) { execv("/bin/true", argv); _exit(9); } break;
        case 'v': pid = vfork(); if (!pid) { if (i % 2) execv("/nonexistent", argv); _exit(0); } break;
        case 'w': pid = vfork(); if (!pid) { execv("/bin/true", argv); _exit(9); } break;
        default: CHECK(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) == 0);
    }
    CHECK(pid > 0 && wait_for(pid, &status) == pid && status == 0);
}
int main(int argc, char** argv) {
    const char* what = argc > 1 ? argv[1] : "threads";
    int n = argc > 2 ? atoi(argv[2]) : 20000;
    if (argc > 3) pthread_detach(start((void* (*)(void*))(void*)pause, NULL));  // with a second thread
    for (int i = 0; i < n / 10; i++) one(what, i);
    long rss = kilobytes();
    int fds = descriptors(), maps = lines("/proc/self/maps");
    for (int i = 0; i < n; i++) one(what, i);
    long more = kilobytes() - rss;
    if (more > 256) dprintf(2, "grew by %ld kB\n", more);
    if (descriptors() != fds || lines("/proc/self/maps") > maps + 1) dprintf(2, "%d -> %d descriptors, %d -> %d mappings\n", fds, descriptors(), maps, lines("/proc/self/maps"));
    CHECK(more <= 256 && descriptors() == fds && lines("/proc/self/maps") <= maps + 1);
    puts("ok");
    return 0;
}
