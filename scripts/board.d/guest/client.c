// The client on the board. Any wrong answer ends it with an error.
//
//     client keep PORT REQUESTS CONNECTIONS    sends a request on each connection, then reads the answers, and so on
//     client fresh PORT REQUESTS               a connection for every request
//     client start PORT COMMAND ARGUMENT...    starts a proxy and asks it as soon as it listens; prints its process id
//                                              and the microseconds from before the fork to the answer's first byte
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD "GET / HTTP/1.1\r\nHost: board\r\nUser-Agent: board-bench\r\nAccept: */*\r\n"
static const char KEEP[] = HEAD "\r\n", CLOSE[] = HEAD "Connection: close\r\n\r\n";

enum { MOST = 256, BETWEEN_TRIES_NS = 20000, TRIES = 50000 };

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int connected(int port)
{
    int connection = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(connection, (struct sockaddr *)&address, sizeof address)) {
        close(connection);
        return -1;
    }
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return connection;
}

static int connection_to(int port)
{
    int connection = connected(port);
    if (connection < 0)
        fail("connect");
    return connection;
}

static void ask(int connection, const char *request)
{
    size_t length = strlen(request);
    if (write(connection, request, length) != (ssize_t)length)
        fail("write");
}

static void take_answer(int connection)
{
    static char answer[65536];
    size_t filled = 0;
    for (;;) {
        ssize_t got = read(connection, answer + filled, sizeof answer - 1 - filled);
        if (got <= 0)
            fail("answer");
        filled += got;
        answer[filled] = 0;
        char *end = strstr(answer, "\r\n\r\n"), *field = strcasestr(answer, "\r\ncontent-length:");
        if (!end)
            continue;
        if (strncmp(answer, "HTTP/1.1 200 ", 13) || !field || field > end)
            fail(answer);
        if (filled >= (size_t)(end + 4 - answer) + atoi(field + 17))
            return;
    }
}

static void keep(int port, int requests, int connections)
{
    int open[MOST];
    for (int i = 0; i < connections; i++)
        open[i] = connection_to(port);
    for (int done = 0; done < requests; done += connections) {
        for (int i = 0; i < connections; i++)
            ask(open[i], KEEP);
        for (int i = 0; i < connections; i++)
            take_answer(open[i]);
    }
}

static void fresh(int port, int requests)
{
    for (int done = 0; done < requests; done++) {
        int connection = connection_to(port);
        ask(connection, CLOSE);
        take_answer(connection);
        close(connection);
    }
}

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void start(int port, char **command)
{
    long long begin = now_ns();
    pid_t process = fork();
    if (process == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        execv(command[0], command);
        _exit(127);
    }
    struct timespec pause = {.tv_nsec = BETWEEN_TRIES_NS};
    int connection, tries = 0;
    while ((connection = connected(port)) < 0 && tries++ < TRIES)
        nanosleep(&pause, NULL);
    char first;
    if (connection < 0)
        fail("it does not listen");
    ask(connection, KEEP);
    if (recv(connection, &first, 1, MSG_PEEK) != 1)
        fail("first byte");
    printf("%d %lld\n", process, (now_ns() - begin) / 1000);
    take_answer(connection);
}

int main(int count, char **words)
{
    int port = count > 2 ? atoi(words[2]) : 0;
    if (count == 5 && !strcmp(words[1], "keep") && atoi(words[4]) > 0 && atoi(words[4]) <= MOST)
        keep(port, atoi(words[3]), atoi(words[4]));
    else if (count == 4 && !strcmp(words[1], "fresh"))
        fresh(port, atoi(words[3]));
    else if (count >= 4 && !strcmp(words[1], "start"))
        start(port, words + 3);
    else
        return 2;
    return 0;
}
