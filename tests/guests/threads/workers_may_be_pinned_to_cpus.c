// TEST: native=skip ocrun="-c ${ROOT}/tests/guests/threads/pinned_workers.json" args="self"
// workers_may_be_pinned_to_cpus.c - with pin_workers each worker runs on one CPU, no two of the first ones on the same; threads,
// children and executed programs see all CPUs, and helper threads use them
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/wait.h>

#include "check.h"

extern char** environ;

static int cpus_seen(void) {
    cpu_set_t set;
    CHECK_OK(sched_getaffinity(0, sizeof set, &set));
    return CPU_COUNT(&set);
}

// Of `pid`'s kernel threads, as another process sees them: workers bound to one CPU, and to how many different ones.
static void kernel_threads(pid_t pid, int all, int* workers, int* different) {
    char path[128], line[256], name[64], list[128];
    cpu_set_t used;
    CPU_ZERO(&used);
    *workers = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR* tasks = opendir(path);
    CHECK(tasks);
    for (struct dirent* e; (e = readdir(tasks));) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/status", pid, e->d_name);
        int helper = 0, cpu = 0, bound = 0;
        // One that just begins may not have its name or its CPUs yet.
        for (int looks = 0; looks < 500; looks++) {
            FILE* f = fopen(path, "r");
            name[0] = 0;
            if (!f) break;
            list[0] = 0;
            while (fgets(line, sizeof line, f)) {
                sscanf(line, "Name: %63s", name);
                sscanf(line, "Cpus_allowed_list: %127s", list);
            }
            fclose(f);
            int end = 0;
            helper = strncmp(name, "ocrun-", 6) == 0;
            bound = sscanf(list, "%d%n", &cpu, &end) == 1 && !list[end];
            if (bound == (!helper || all == 1)) break;
            sleep_ms(10);
        }
        if (!name[0]) continue;  // it has ended
        CHECK_EQ(bound, !helper || all == 1);
        if (helper) continue;
        CPU_SET(cpu, &used);
        ++*workers;
    }
    closedir(tasks);
    *different = CPU_COUNT(&used);
}

// In a child: what it sees of its parent comes back as its status.
static void look_at_parent(int all, int* workers, int* different) {
    pid_t parent = getpid();
    int back[2], found[2];
    CHECK_OK(pipe(back));
    pid_t child = fork();
    CHECK_OK(child);
    if (!child) {
        CHECK_EQ(cpus_seen(), all);
        kernel_threads(parent, all, &found[0], &found[1]);
        CHECK_EQ(write(back[1], found, sizeof found), sizeof found);
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(read(back[0], found, sizeof found), sizeof found);
    close(back[0]);
    close(back[1]);
    *workers = found[0];
    *different = found[1];
}

static int stop;
static void* computes(void* unused) {
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {}
    return unused;
}

int main(int argc, char** argv) {
    if (argc == 3) {  // executed: how many CPUs are there to be seen?
        CHECK_EQ(cpus_seen(), atoi(argv[2]));
        return 0;
    }
    int all = cpus_seen(), workers, different;
    look_at_parent(all, &workers, &different);
    CHECK_EQ(workers, 1);

    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_create(&threads[i], NULL, computes, NULL), 0);
    for (int i = 0; i < 50; i++) {
        usleep(2000);
        look_at_parent(all, &workers, &different);
        CHECK(different <= workers);
    }
    CHECK_EQ(cpus_seen(), all);
    // One that asks for a CPU of its own gets it and gives it back.
    cpu_set_t before, one;
    CHECK_OK(sched_getaffinity(0, sizeof before, &before));
    int last = CPU_SETSIZE;
    while (!CPU_ISSET(--last, &before)) {}
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    CHECK_OK(sched_setaffinity(0, sizeof one, &one));
    CHECK_EQ(cpus_seen(), 1);
    CHECK_EQ(sched_getcpu(), last);
    CHECK_OK(sched_setaffinity(0, sizeof before, &before));
    CHECK_EQ(cpus_seen(), all);
    __atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);

    char number[16];
    snprintf(number, sizeof number, "%d", all);
    char* again[] = {argv[0], argv[1], number, NULL};
    pid_t child;
    int status;
    CHECK_EQ(posix_spawn(&child, argv[0], NULL, NULL, again, environ), 0);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    child = fork();
    CHECK_OK(child);
    if (!child) {
        execv(argv[0], again);
        _exit(1);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(execv("/nonexistent", again), -1);
    look_at_parent(all, &workers, &different);
    CHECK(workers >= 1);
    say("ok");
    return 0;
}
