// proc_self_task_lists_every_thread.c - /proc/self/task shows exactly the threads of the program, each can be looked
// at.
#include <dirent.h>

#include "check.h"

enum { N = 20 };
static pthread_barrier_t barrier;
static pid_t tids[N + 1];

static void* stay(void* arg) {
    tids[(long)arg] = gettid();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

static int list(const char* path) {
    DIR* d = opendir(path);
    CHECK(d != NULL);
    int count = 0;
    for (struct dirent* e; (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        int known = 0;
        for (int i = 0; i <= N; i++) known |= tids[i] == atoi(e->d_name);
        CHECK(known);
        count++;
    }
    closedir(d);
    return count;
}

int main(void) {
    pthread_t t[N];
    char path[64], text[4096];
    struct stat st;
    pthread_barrier_init(&barrier, NULL, N + 1);
    tids[N] = gettid();
    CHECK_EQ(gettid(), getpid());
    say("%d", list("/proc/self/task"));
    for (long i = 0; i < N; i++) t[i] = start(stay, (void*)i);
    pthread_barrier_wait(&barrier);
    say("%d", list("/proc/self/task"));
    snprintf(path, sizeof path, "/proc/%d/task", getpid());
    say("%d", list(path));
    for (int i = 0; i <= N; i++) {
        for (int j = 0; j < i; j++) CHECK(tids[i] != tids[j]);
        snprintf(path, sizeof path, "/proc/self/task/%d", tids[i]);
        CHECK_OK(stat(path, &st));
        CHECK(S_ISDIR(st.st_mode));
        strcat(path, "/stat");
        int fd = open(path, O_RDONLY);
        CHECK_OK(fd);
        ssize_t n = read(fd, text, sizeof text - 1);
        CHECK(n > 0);
        text[n] = 0;
        CHECK_EQ(atoi(text), tids[i]);
        close(fd);
    }
    CHECK_ERR(stat("/proc/self/task/1", &st), ENOENT);
    int fd = open("/proc/self/status", O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    char* line = strstr(text, "\nThreads:");
    CHECK(line != NULL);
    say("Threads %d", atoi(line + 9));
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < N; i++) finish(t[i]);
    while (list("/proc/self/task") != 1) sleep_ms(1);  // a joined thread may be a moment on its way out
    char self[64];
    ssize_t length = readlink("/proc/thread-self", self, sizeof self - 1);
    CHECK(length > 0);
    self[length] = 0;
    snprintf(path, sizeof path, "%d/task/%d", getpid(), gettid());
    CHECK(strcmp(self, path) == 0);
}
