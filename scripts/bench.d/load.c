// The client of scripts/bench: one thread, epoll, HTTP/1.1 over loopback. Every answer is checked: status 200, exactly
// the expected number of body bytes, framed by Content-Length or chunked, nothing behind it, no connection lost.
//
//   load PORT PATH BODY closed CONNECTIONS SECONDS [close] [post BYTES]
//       as many requests as CONNECTIONS allow, each one after the answer to the one before
//   load PORT PATH BODY rate CONNECTIONS SECONDS PER_SECOND [close] [post BYTES]
//       request i is due at start + i / PER_SECOND, whatever became of the others; it goes out on the first free
//       connection, and its latency counts from when it was due to the last byte of its answer
//   load PORT PATH BODY idle CONNECTIONS
//       one request on each connection, then a line "idle", then silence until standard input ends; then all of
//       them must still be open
//
// `close`: a connection for each request, which the server closes. Except with idle connections, a fifth of a second
// of requests comes first, then the line "warm", then whatever counts after the next byte of standard input. The
// result is one line of JSON; the connections stay until standard input ends.

#define _GNU_SOURCE
#define WARM_UP_S 0.2
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "latencies.h"

enum state { FREE, HEAD, BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, CLOSING };

struct connection {
    int fd;
    enum state state;
    bool written;      // the request is out
    bool chunked;
    size_t sent;       // bytes of the request
    size_t head;       // bytes of the head in `kept`
    uint64_t left;     // bytes of the body, or of the chunk, that are to come
    uint64_t body;     // bytes of the body so far
    uint64_t due_ns;
    char kept[2048];   // a head, or a chunk-size line, that has not all arrived
};

static struct connection *connections, **free_list;
static size_t count, free_count;
static int poll_fd, port;
static char *request;
static size_t request_bytes;
static uint64_t expected, completed, received;
static bool closing, at_rate, ended;
static uint64_t start_ns, end_ns, issued, total;
static double per_second;

static void wrong(const char *what) {
    printf("{\"error\": \"%s\", \"requests\": %llu}\n", what, (unsigned long long)completed);
    exit(1);
}

static void fail(const char *call) {
    char what[256];
    snprintf(what, sizeof what, "%s: %s", call, strerror(errno));
    wrong(what);
}

static void wait_for_the_end(void) {
    while (getchar() != EOF)
        ;
}

static void connect_it(struct connection *it) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    it->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int one = 1;
    if (it->fd < 0 || setsockopt(it->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one))
        fail("socket");
    if (connect(it->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS)
        fail("connect");
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = it};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, it->fd, &event))
        fail("epoll_ctl");
}

static void write_request(struct connection *it) {
    while (it->sent < request_bytes) {
        ssize_t n = send(it->fd, request + it->sent, request_bytes - it->sent, MSG_NOSIGNAL);
        // ENOTCONN: the handshake is under way.
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
            return;
        if (n < 0)
            fail("send");
        it->sent += n;
    }
    it->written = true;
}

static void start(struct connection *it, uint64_t due_ns) {
    if (it->fd < 0)
        connect_it(it);
    it->state = HEAD;
    it->written = it->chunked = false;
    it->sent = it->head = 0;
    it->body = it->left = 0;
    it->due_ns = due_ns;
    issued++;
    write_request(it);
}

static uint64_t due(uint64_t place) {
    return start_ns + (uint64_t)(place * 1e9 / per_second);
}

// The next request on a connection that has become free, if there is one.
static void next(struct connection *it) {
    uint64_t due_ns = at_rate ? due(issued) : 0;
    if (issued >= total || (at_rate && due_ns > now()) || (!at_rate && ended)) {
        it->state = FREE;
        free_list[free_count++] = it;
    } else
        start(it, due_ns);
}

static void complete(struct connection *it) {
    if (it->body != expected || !it->written)
        wrong("an answer of the wrong length");
    completed++;
    if (at_rate)
        note_latency(it->due_ns);
    it->state = closing ? CLOSING : FREE;
}

// What the head says about the body.
static void read_head(struct connection *it) {
    if (it->head < 12 || memcmp(it->kept, "HTTP/1.1 200", 12))
        wrong("a status other than 200");
    char *length = strcasestr(it->kept, "\r\ncontent-length:");
    it->chunked = strcasestr(it->kept, "\r\ntransfer-encoding: chunked");
    if (!length == !it->chunked)
        wrong("an answer without framing");
    it->head = 0;
    if (it->chunked) {
        it->state = CHUNK_SIZE;
        return;
    }
    it->left = strtoull(length + 17, NULL, 10);
    it->state = BODY;
    if (it->left == 0)
        complete(it);
}

// Takes one line; true when it is all there.
static bool line(struct connection *it, char **at, char *end) {
    char *feed = memchr(*at, '\n', end - *at);
    size_t n = (feed ? feed + 1 : end) - *at;
    if (it->head + n >= sizeof it->kept)
        wrong("a line too long");
    memcpy(it->kept + it->head, *at, n);
    it->head += n;
    it->kept[it->head] = 0;
    *at += n;
    return feed;
}

static void take_head(struct connection *it, char **at, char *end) {
    // Lines are kept one behind the other; the head ends with an empty one.
    while (*at < end) {
        if (!line(it, at, end))
            return;
        if (it->head >= 4 && !memcmp(it->kept + it->head - 4, "\r\n\r\n", 4)) {
            read_head(it);
            return;
        }
    }
}

static void take_body(struct connection *it, char **at, char *end) {
    uint64_t n = (uint64_t)(end - *at) < it->left ? (uint64_t)(end - *at) : it->left;
    it->left -= n;
    it->body += n;
    *at += n;
    if (it->left == 0) {
        if (it->state == BODY)
            complete(it);
        else
            it->state = CHUNK_END;
    }
}

static void take_line(struct connection *it, char **at, char *end) {
    if (!line(it, at, end))
        return;
    bool empty = it->head == 2;
    it->head = 0;
    if (it->state == CHUNK_SIZE) {
        it->left = strtoull(it->kept, NULL, 16);
        it->state = it->left ? CHUNK_DATA : TRAILER;
    } else if (it->state == CHUNK_END) {
        if (!empty)
            wrong("a chunk of the wrong length");
        it->state = CHUNK_SIZE;
    } else if (empty)
        complete(it);
}

static void take(struct connection *it, char *at, char *end) {
    while (at < end) {
        switch (it->state) {
        case HEAD: take_head(it, &at, end); break;
        case BODY:
        case CHUNK_DATA: take_body(it, &at, end); break;
        case CHUNK_SIZE:
        case CHUNK_END:
        case TRAILER: take_line(it, &at, end); break;
        default: wrong("bytes that nobody asked for");
        }
    }
}

static void ready(struct connection *it, uint32_t events) {
    static char buffer[256 * 1024];
    if (it->fd < 0)
        return;
    if (!it->written && it->state != FREE && events & EPOLLOUT)
        write_request(it);
    bool announced = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    if (!(events & EPOLLIN) && !announced)
        return;
    for (;;) {
        ssize_t n = recv(it->fd, buffer, sizeof buffer, 0);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            fail("receive");
        if (n == 0) {
            if (it->state != CLOSING)
                wrong("a connection closed too early");
            close(it->fd);
            it->fd = -1;
            next(it);
            return;
        }
        received += n;
        bool waited = it->state != FREE;
        take(it, buffer, buffer + n);
        if (it->state == FREE && waited)
            next(it);
        // Filled less than the buffer: dry, unless the end was announced with it.
        if (n < (ssize_t)sizeof buffer && !announced)
            break;
    }
}

static void wait_for_events(uint64_t until_ns) {
    struct epoll_event events[256];
    uint64_t time_ns = now();
    uint64_t left_ns = until_ns > time_ns ? until_ns - time_ns : 0;
    struct timespec timeout = {left_ns / 1000000000, left_ns % 1000000000};
    int n = syscall(SYS_epoll_pwait2, poll_fd, events, 256, &timeout, NULL, 0);
    if (n < 0 && errno != EINTR)
        fail("epoll_pwait2");
    for (int i = 0; i < n; i++)
        ready(events[i].data.ptr, events[i].events);
}

static void run_closed(double seconds) {
    ended = false;
    total = UINT64_MAX;
    start_ns = now();
    end_ns = start_ns + (uint64_t)(seconds * 1e9);
    while (free_count)
        next(free_list[--free_count]);
    while (now() < end_ns)
        wait_for_events(end_ns);
    // What is under way is finished and counted.
    ended = true;
    uint64_t give_up_ns = end_ns + 5000000000;
    while (free_count < count && now() < give_up_ns)
        wait_for_events(give_up_ns);
    end_ns = now();
}

static void warm_up(void) {
    run_closed(WARM_UP_S);
    if (!completed || free_count < count)
        wrong("no answers");
    puts("warm");
    fflush(stdout);
    getchar();
    completed = received = issued = 0;
}

static void run_at_rate(double seconds) {
    total = (uint64_t)(seconds * per_second);
    start_ns = now();
    uint64_t give_up_ns = start_ns + (uint64_t)(seconds * 1e9) + 5000000000;
    while (completed < total && now() < give_up_ns) {
        uint64_t due_ns = give_up_ns;
        if (free_count && issued < total) {
            due_ns = due(issued);
            if (due_ns <= now()) {
                start(free_list[--free_count], due_ns);
                continue;
            }
        }
        wait_for_events(due_ns);
    }
    end_ns = now();
    // What has no answer by now has waited so long at least.
    for (size_t i = 0; i < count && completed < total; i++)
        if (connections[i].state != FREE && connections[i].state != CLOSING)
            note_latency(connections[i].due_ns);
    for (uint64_t place = issued; place < total; place++)
        note_latency(due(place));
}

static void run_idle(void) {
    total = count;
    // One request on each.
    ended = true;
    free_count = 0;
    start_ns = now();
    uint64_t give_up_ns = start_ns + 20000000000;
    // A few at a time: the listener's queue is finite.
    while (completed < total && now() < give_up_ns) {
        while (issued < total && issued - completed < 64)
            start(&connections[issued], 0);
        wait_for_events(give_up_ns);
    }
    end_ns = now();
    if (completed < total)
        wrong("not every connection got its answer");
    puts("idle");
    fflush(stdout);
    wait_for_the_end();
    char byte;
    for (size_t i = 0; i < count; i++)
        if (recv(connections[i].fd, &byte, 1, MSG_PEEK) >= 0 || errno != EAGAIN)
            wrong("an idle connection did not stay open");
}

static void make_request(const char *path, size_t post_bytes) {
    request = malloc(4096 + post_bytes);
    char length[64] = "";
    if (post_bytes)
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", post_bytes);
    request_bytes = snprintf(request, 4096, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s%s\r\n", post_bytes ? "POST" : "GET",
                             path, port, length, closing ? "Connection: close\r\n" : "");
    memset(request + request_bytes, 'x', post_bytes);
    request_bytes += post_bytes;
}

int main(int argc, char **argv) {
    if (argc < 6)
        return 2;
    port = atoi(argv[1]);
    expected = strtoull(argv[3], NULL, 10);
    const char *mode = argv[4];
    count = strtoull(argv[5], NULL, 10);
    bool idle = !strcmp(mode, "idle");
    bool rate = !strcmp(mode, "rate");
    int more = idle ? 6 : rate ? 8 : 7;
    if (argc < more)
        return 2;
    size_t post_bytes = 0;
    for (; more < argc; more++) {
        closing |= !strcmp(argv[more], "close");
        if (!strcmp(argv[more], "post") && more + 1 < argc)
            post_bytes = strtoull(argv[++more], NULL, 10);
    }
    make_request(argv[2], post_bytes);
    prctl(PR_SET_TIMERSLACK, 1);
    poll_fd = epoll_create1(0);
    connections = calloc(count, sizeof *connections);
    free_list = calloc(count, sizeof *free_list);
    for (size_t i = 0; i < count; i++) {
        connections[i].fd = -1;
        if (!closing && !idle)
            connect_it(&connections[i]);
        free_list[free_count++] = &connections[i];
    }
    if (idle)
        run_idle();
    else
        warm_up();
    if (rate) {
        at_rate = true;
        per_second = atof(argv[7]);
        run_at_rate(atof(argv[6]));
    } else if (!idle)
        run_closed(atof(argv[6]));
    printf("{\"requests\": %llu, \"received\": %llu, \"seconds\": %.6f", (unsigned long long)completed,
           (unsigned long long)received, (end_ns - start_ns) / 1e9);
    if (at_rate)
        printf(", \"unanswered\": %llu, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f",
               (unsigned long long)(total - completed), quantile_us(0.5), quantile_us(0.99), quantile_us(0.999),
               most_ns / 1000.0);
    puts("}");
    fflush(stdout);
    wait_for_the_end();
    return 0;
}
