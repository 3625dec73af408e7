// The floor of scripts/bench: what a proxy on one thread costs at least. Each client's connection is paired with one
// of its own to a backend, in turns; a request is receive, send, receive, send, and nothing is looked at.
//
//   floor PORT...      the backends' ports on 127.0.0.1; prints "listening on 127.0.0.1:PORT"

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER (64 * 1024)

struct end {
    int fd;
    struct end *other;
    bool readable, ending;
    char *left; // what could not be sent to this end, if anything
    size_t from, to;
};

static int poll_fd;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static struct end *watch(int fd) {
    struct end *it = calloc(1, sizeof *it);
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = it};
    if (!it || epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl");
    it->fd = fd;
    return it;
}

static void pair(int client, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int backend = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (backend < 0 || (connect(backend, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS))
        fail("connect");
    struct end *near = watch(client), *far = watch(backend);
    near->other = far;
    far->other = near;
}

// Closed for good; the memory stays, events of this batch may still name it.
static void part(struct end *it) {
    if (it->fd >= 0) {
        close(it->fd);
        close(it->other->fd);
        it->fd = it->other->fd = -1;
    }
}

// Sends what it can; false when something is left.
static bool flush(struct end *it) {
    while (it->from < it->to) {
        ssize_t n = send(it->fd, it->left + it->from, it->to - it->from, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN && errno != ENOTCONN)
                part(it);
            return false;
        }
        it->from += n;
    }
    return true;
}

static void move(struct end *from, struct end *to) {
    static char buffer[BUFFER];
    while (from->readable && flush(to)) {
        ssize_t n = recv(from->fd, buffer, BUFFER, 0);
        if (n < 0 && errno == EAGAIN) {
            from->readable = false;
            return;
        }
        if (n <= 0) {
            part(from);
            return;
        }
        from->readable = n == BUFFER || from->ending;
        ssize_t sent = send(to->fd, buffer, n, MSG_NOSIGNAL);
        if (sent < n) {
            if (sent < 0 && errno != EAGAIN && errno != ENOTCONN) {
                part(from);
                return;
            }
            to->from = 0;
            to->to = n - (sent > 0 ? sent : 0);
            if (!to->left && !(to->left = malloc(BUFFER)))
                fail("malloc");
            memcpy(to->left, buffer + n - to->to, to->to);
        }
    }
}

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), next = 0;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096) ||
        getsockname(listener, (struct sockaddr *)&address, &size))
        fail("listen");
    poll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event);
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(poll_fd, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct end *it = events[i].data.ptr;
            if (!it) {
                int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (client >= 0)
                    pair(client, atoi(argv[1 + next++ % (argc - 1)]));
                continue;
            }
            if (events[i].events & EPOLLOUT && it->fd >= 0 && it->from < it->to && flush(it))
                move(it->other, it);
            if (events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) && it->fd >= 0) {
                it->readable = true;
                it->ending |= (events[i].events & ~(EPOLLIN | EPOLLOUT)) != 0;
                move(it, it->other);
            }
        }
    }
}
