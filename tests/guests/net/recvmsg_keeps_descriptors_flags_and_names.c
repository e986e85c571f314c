// recvmsg_keeps_descriptors_flags_and_names.c - SCM_RIGHTS, SCM_CREDENTIALS, MSG_CTRUNC, MSG_TRUNC, name and control
// lengths.
#include <sys/uio.h>

#include "net.h"

static int pair[2];

static void send_fd(int fd, const char* text) {
    char control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec v = {(void*)text, strlen(text)};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr* c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    CHECK_EQ(sendmsg(pair[1], &m, 0), (ssize_t)strlen(text));
}

static void* receive_fd(void* arg) {
    char control[256], text[64];
    struct iovec v = {text, sizeof text};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CHECK_EQ(recvmsg(pair[0], &m, MSG_CMSG_CLOEXEC), 5);
    CHECK_EQ(m.msg_controllen, CMSG_SPACE(sizeof(int)));
    CHECK_EQ(m.msg_flags, MSG_CMSG_CLOEXEC);
    struct cmsghdr* c = CMSG_FIRSTHDR(&m);
    CHECK(c && c->cmsg_type == SCM_RIGHTS);
    int fd;
    memcpy(&fd, CMSG_DATA(c), sizeof fd);
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    return (void*)(long)fd;
}

int main(void) {
    int fds[2];
    char text[64], control[256];
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    make_pipe(fds);
    pthread_t t = start(receive_fd, NULL);
    settle();
    send_fd(fds[1], "hello");
    int passed = (int)(long)finish(t);
    CHECK_EQ(write(passed, "through", 7), 7);
    CHECK_EQ(read(fds[0], text, sizeof text), 7);

    send_fd(fds[1], "again");  // no room for the control message
    struct iovec v = {text, sizeof text};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = 4};
    CHECK_EQ(recvmsg(pair[0], &m, 0), 5);
    say("control truncated: flags %#x length %zu", m.msg_flags, m.msg_controllen);

    CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    int on = 1;
    CHECK_OK(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    CHECK_EQ(send(pair[1], "0123456789", 10, 0), 10);
    v.iov_len = 4;
    m = (struct msghdr){.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CHECK_EQ(recvmsg(pair[0], &m, 0), 4);
    struct ucred who;
    CHECK(CMSG_FIRSTHDR(&m)->cmsg_type == SCM_CREDENTIALS);
    memcpy(&who, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof who);
    CHECK_EQ(who.pid, getpid());
    CHECK_EQ(who.uid, getuid());
    say("data truncated: flags %#x", m.msg_flags);

    struct sockaddr_un a = unix_address("a"), b = unix_address("bb"), from;
    int one = socket(AF_UNIX, SOCK_DGRAM, 0), two = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK_OK(bind(one, (struct sockaddr*)&a, offsetof(struct sockaddr_un, sun_path) + 2));
    CHECK_OK(bind(two, (struct sockaddr*)&b, offsetof(struct sockaddr_un, sun_path) + 3));
    CHECK_EQ(sendto(two, "dgram", 5, 0, (struct sockaddr*)&a, offsetof(struct sockaddr_un, sun_path) + 2), 5);
    v.iov_len = sizeof text;
    memset(&from, 0, sizeof from);
    m = (struct msghdr){.msg_iov = &v, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof from};
    CHECK_EQ(recvmsg(one, &m, 0), 5);
    say("from %s, name length %u, flags %#x", from.sun_path, m.msg_namelen, m.msg_flags);
    socklen_t length = 1;
    CHECK_EQ(sendto(two, "dgram", 5, 0, (struct sockaddr*)&a, sizeof a), 5);
    CHECK_EQ(recvfrom(one, text, sizeof text, 0, (struct sockaddr*)&from, &length), 5);
    say("true length %u", length);
}
