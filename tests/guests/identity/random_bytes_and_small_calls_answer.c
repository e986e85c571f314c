// random_bytes_and_small_calls_answer.c - getrandom, getdents, statx, sysinfo, access, links, times: ordinary calls
// from 50 threads.
#include <dirent.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/times.h>

#include "check.h"

static void* all(void* arg) {
    unsigned char bytes[64] = {0};
    int sum = 0;
    CHECK_EQ(getrandom(bytes, sizeof bytes, 0), sizeof bytes);
    for (int i = 0; i < 64; i++) sum += bytes[i];
    CHECK(sum > 0);
    char name[32], other[32], text[64];
    snprintf(name, sizeof name, "file-%ld", (long)arg);
    snprintf(other, sizeof other, "link-%ld", (long)arg);
    CHECK_OK(close(open(name, O_CREAT | O_WRONLY, 0600)));
    CHECK_OK(link(name, other));
    struct statx x;
    CHECK_OK(statx(AT_FDCWD, other, 0, STATX_ALL, &x));
    CHECK_EQ(x.stx_nlink, 2);
    CHECK_OK(unlink(other));
    CHECK_OK(symlink(name, other));
    CHECK_EQ(readlink(other, text, sizeof text), (ssize_t)strlen(name));
    CHECK_OK(access(other, R_OK));
    CHECK_OK(chmod(name, 0));
    CHECK_OK(utimensat(AT_FDCWD, name, NULL, 0));
    struct sysinfo info;
    CHECK_OK(sysinfo(&info));
    CHECK(times(&(struct tms){0}) != (clock_t)-1);
    snprintf(text, sizeof text, "dir-%ld", (long)arg);
    CHECK_OK(mkdir(text, 0700));
    CHECK_ERR(rmdir(name), ENOTDIR);
    DIR* d = opendir(text);
    int entries = 0;
    while (readdir(d)) entries++;
    closedir(d);
    CHECK_EQ(entries, 2);
    CHECK_OK(rmdir(text));
    return NULL;
}

int main(void) {
    pthread_t t[50];
    for (long i = 0; i < 50; i++) t[i] = start(all, (void*)i);
    for (int i = 0; i < 50; i++) finish(t[i]);
    say("ok");
}
