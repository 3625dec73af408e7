// A backend on the board: answers every request with the same 128 bytes, keeps connections unless told to close.
//
//     server PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BODY = 128, EVENTS = 64 };

static char response[256];
static int length, epoll;

static void prepare(void)
{
    length = sprintf(response, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", BODY);
    memset(response + length, 'x', BODY);
    length += BODY;
}

static int listening(int port)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) {
        perror("server");
        exit(1);
    }
    return listener;
}

static void watch(int descriptor)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
    epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event);
}

static void accept_all(int listener)
{
    int connection, one = 1;
    while ((connection = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(connection);
    }
}

// Requests come whole: they are shorter than a segment, and a connection sends one at a time.
static void answer(int connection)
{
    char request[8192];
    ssize_t got = read(connection, request, sizeof request);
    if (got <= 0 || !memmem(request, got, "\r\n\r\n", 4) || write(connection, response, length) != length ||
        memmem(request, got, "onnection: close", 16))
        close(connection);
}

int main(int count, char **words)
{
    if (count != 2)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    prepare();
    epoll = epoll_create1(0);
    int listener = listening(atoi(words[1]));
    watch(listener);
    for (;;) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener)
                accept_all(listener);
            else
                answer(events[i].data.fd);
        }
    }
}
