// a_restart_takes_the_settings_along.c - oc_config.workers and pin_workers are ocrun's options after a restart, and only then;
// nothing of the way there is left in the environment
// TEST: libs=ocrun_shared
#include <dirent.h>
#include <sched.h>

#include "api.h"

// Of the parent's kernel threads, in a child: are all bound to one CPU each, but for helpers?
static int parent_is_pinned(void) {
    char path[128], line[256], name[64], list[128];
    int bound = 0, free_ones = 0;
    snprintf(path, sizeof path, "/proc/%d/task", getppid());
    DIR* tasks = opendir(path);
    CHECK(tasks);
    for (struct dirent* e; (e = readdir(tasks));) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/status", getppid(), e->d_name);
        FILE* f = fopen(path, "r");
        if (!f) continue;
        name[0] = list[0] = 0;
        while (fgets(line, sizeof line, f)) {
            sscanf(line, "Name: %63s", name);
            sscanf(line, "Cpus_allowed_list: %127s", list);
        }
        fclose(f);
        if (!strncmp(name, "ocrun-", 6)) continue;
        int cpu, end = 0;
        *(sscanf(list, "%d%n", &cpu, &end) == 1 && !list[end] ? &bound : &free_ones) += 1;
    }
    closedir(tasks);
    return bound && !free_ones;
}

static void* answers(void* n) {
    oc_sleep(MS / 2);
    return n;
}

int main(void) {
    const char* mode = getenv("OC_API_MODE");
    int restarted = mode && !strcmp(mode, "restart");
    cpu_set_t cpus;
    CHECK_OK(sched_getaffinity(0, sizeof cpus, &cpus));

    oc_config config = api_config();
    config.workers = 3;
    config.pin_workers = 1;
    CHECK_EQ(oc_init(&config), 0);
    CHECK(!getenv("OCRUN_RESTARTED"));
    oc_stats stats = {.size = sizeof stats};
    CHECK_EQ(oc_get_stats(&stats), 0);
    if (restarted) CHECK_EQ(stats.workers, 3);
    if (!stats.under_ocrun) CHECK_EQ(stats.workers, 1);
    for (long i = 0; i < 20; i++) CHECK_EQ((long)finished(oc_task_create(answers, (void*)i, 0), 0), i);
    // With one CPU there is nothing to tell it from.
    if (CPU_COUNT(&cpus) > 1) {
        int status;
        pid_t child = fork();
        CHECK_OK(child);
        if (!child) _exit(parent_is_pinned());
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK(WIFEXITED(status));
        CHECK_EQ(WEXITSTATUS(status), restarted);
    }
    api_end();
    say("ok");
    return 0;
}
