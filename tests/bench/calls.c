// calls.c - what one system call costs in a process with a second (sleeping) thread
//
// same_call      hooked, made by the runtime in the form the program gave it: flock(LOCK_UN)
// socket_call    hooked, made with MSG_DONTWAIT: send and recv of one byte over a socket pair, halved
// file_call      hooked, made with RWF_NOWAIT: pread of one byte of a cached file
// unhooked_call  not hooked by the built-in policy: getppid
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "bench.h"

static int pair[2], file;

static void same(long n) {
    while (n--) must(flock(file, LOCK_UN) == 0, "flock");
}
static void socket_bytes(long n) {
    char c = 0;
    while (n--) must(send(pair[1], &c, 1, 0) == 1 && recv(pair[0], &c, 1, 0) == 1, "socket");
}
static void file_byte(long n) {
    char c;
    while (n--) must(pread(file, &c, 1, 0) == 1, "pread");
}
static void unhooked(long n) {
    while (n--) syscall(SYS_getppid);
}

static void* sleeper(void* arg) {
    for (;;) pause();
    return arg;
}

int main(int argc, char** argv) {
    pthread_t t;
    must(pthread_create(&t, NULL, sleeper, NULL) == 0, "pthread_create");
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
    file = open("/proc/self/exe", O_RDONLY);
    must(file >= 0, "open");
    if (chosen(argc, argv, "same_call")) result("same_call", per_call(same), "ns");
    if (chosen(argc, argv, "socket_call")) result("socket_call", per_call(socket_bytes) / 2, "ns");
    if (chosen(argc, argv, "file_call")) result("file_call", per_call(file_byte), "ns");
    if (chosen(argc, argv, "unhooked_call")) result("unhooked_call", per_call(unhooked), "ns");
    return 0;
}
