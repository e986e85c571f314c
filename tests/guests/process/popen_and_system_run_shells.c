// popen_and_system_run_shells.c - system's statuses and signal handling, popen both ways, pipelines in a shell, in
// threads.
#include "check.h"

static void* in_thread(void* arg) {
    char command[64], text[64] = {0};
    snprintf(command, sizeof command, "echo %ld | tr 0-9 a-j | cat", (long)arg);
    FILE* f = popen(command, "r");
    CHECK(f != NULL);
    CHECK(fgets(text, sizeof text, f) != NULL);
    CHECK_EQ(text[0], 'a' + (long)arg);
    CHECK_EQ(pclose(f), 0);
    return NULL;
}

int main(void) {
    int s = system("exit 3");
    CHECK(WIFEXITED(s) && WEXITSTATUS(s) == 3);
    s = system("kill -TERM $$");
    CHECK(WIFSIGNALED(s) && WTERMSIG(s) == SIGTERM);
    CHECK_EQ(system(NULL) != 0, 1);
    CHECK_EQ(system("no-such-command-at-all 2>/dev/null") >> 8, 127);
    FILE* f = popen("cat > out", "w");
    fprintf(f, "written through popen\n");
    CHECK_EQ(pclose(f), 0);
    CHECK_EQ(system("cat out"), 0);
    CHECK_EQ(system("seq 1000 | sort -rn | head -3 | tail -1 | sed s/8/x/ | awk '{print $1 \"!\"}'"), 0);
    pthread_t t[8];
    for (long i = 0; i < 8; i++) t[i] = start(in_thread, (void*)i);
    for (int i = 0; i < 8; i++) finish(t[i]);
}
