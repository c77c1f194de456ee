/* The yardstick: a C epoll server that answers every request with the same bytes, as fast as one thread can.
 *
 * usage: reference SOCKET [BODY_BYTES]    (1024 unless given; at most 65536)
 * It parses nothing but the end of the headers. Build: cc -O2 -o reference reference.c */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MOST_BODY_BYTES = 65536, HEAD_BYTES = 256 };

int main(int argc, char **argv)
{
    int body = argc == 3 ? atoi(argv[2]) : 1024;
    if (argc < 2 || argc > 3 || body < 0 || body > MOST_BODY_BYTES) {
        fprintf(stderr, "usage: reference SOCKET [BODY_BYTES]\n");
        return 2;
    }
    static char answer[HEAD_BYTES + MOST_BODY_BYTES];
    int head = snprintf(answer, HEAD_BYTES,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", body);
    memset(answer + head, 'x', (size_t)body);
    size_t answer_bytes = (size_t)(head + body);

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
    int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    unlink(argv[1]);
    if (bind(listening, (struct sockaddr *)&address, sizeof address) != 0 || listen(listening, 1024) != 0) {
        perror(argv[1]);
        return 1;
    }
    int epoll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listening}, events[256];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listening, &event);
    for (;;) {
        int count = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listening) {
                while ((fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    event = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
                    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
                }
                continue;
            }
            char request[4096];
            ssize_t got = recv(fd, request, sizeof request, 0);
            if (got <= 0)
                close(fd);
            else if (got >= 4 && memcmp(request + got - 4, "\r\n\r\n", 4) == 0)
                send(fd, answer, answer_bytes, MSG_NOSIGNAL);
        }
    }
}
