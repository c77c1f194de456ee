/* A closed-loop load generator for HTTP over a Unix socket: each connection has one request out at a time.
 *
 * usage: load SOCKET PATH CONNECTIONS SECONDS keepalive|connect [BODY]      (GET, or POST of a JSON body)
 * prints one line: requests, requests/s, p50 and p99 in microseconds, its own CPU time as a share of a core, failures.
 * The share tells what it could have reached: at 0.8 some 1.25 times as much, at 1.0 the figure is only a lower bound.
 * `connect` means: connect, one request, close. Build: cc -O2 -o load load.c */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MOST_CONNECTIONS = 4096, ANSWER_BYTES = 65536, MOST_SAMPLES = 1 << 24 };

struct client {
    int fd;
    double sent_at;
    size_t have;
    char answer[ANSWER_BYTES];
};

static struct sockaddr_un address;
static char request[1024];
static size_t request_bytes;
static int epoll_fd;
static float *samples; /* microseconds */
static size_t sample_count, failures;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static double cpu_seconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

static void ask(struct client *c)
{
    c->have = 0;
    if (send(c->fd, request, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes)
        failures++;
}

static int dial(struct client *c)
{
    c->sent_at = now();
    c->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    /* A blocking connect waits for room in the backlog, as an ordinary client does. */
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("connect");
        return -1;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
}

/* 1: complete; 0: more to come; -1: not a 200, or larger than the buffer. */
static int complete(struct client *c)
{
    c->answer[c->have] = 0;
    char *end = strstr(c->answer, "\r\n\r\n");
    if (end == NULL)
        return c->have == ANSWER_BYTES - 1 ? -1 : 0;
    char *length = strcasestr(c->answer, "\r\nContent-Length:");
    if (strncmp(c->answer, "HTTP/1.1 200", 12) != 0 || length == NULL || length > end)
        return -1;
    return c->have >= (size_t)(end + 4 - c->answer) + strtoul(length + 17, NULL, 10);
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    const char *body = argc == 7 ? argv[6] : "";
    if (argc < 6 || argc > 7 || atoi(argv[3]) < 1 || atoi(argv[3]) > MOST_CONNECTIONS ||
        strlen(argv[2]) + strlen(body) > 900) {
        fprintf(stderr, "usage: load SOCKET PATH CONNECTIONS(1-%d) SECONDS keepalive|connect [BODY]\n",
                MOST_CONNECTIONS);
        return 2;
    }
    int connections = atoi(argv[3]), keepalive = strcmp(argv[5], "keepalive") == 0;
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
    request_bytes = (size_t)snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: localhost\r\n",
                                     *body ? "POST" : "GET", argv[2]);
    request_bytes += (size_t)snprintf(request + request_bytes, sizeof request - request_bytes,
                                      *body ? "Content-Length: %zu\r\n\r\n%s" : "\r\n", strlen(body), body);
    samples = malloc(MOST_SAMPLES * sizeof *samples);
    struct client *clients = calloc((size_t)connections, sizeof *clients);
    epoll_fd = epoll_create1(0);
    for (int i = 0; i < connections; i++) {
        if (dial(&clients[i]) != 0)
            return 1;
        ask(&clients[i]);
    }
    double start = now(), end = start + atof(argv[4]), cpu = cpu_seconds();
    struct epoll_event events[256];
    size_t done = 0;
    while (now() < end && failures < 1000) {
        int count = epoll_wait(epoll_fd, events, 256, 100);
        for (int i = 0; i < count; i++) {
            struct client *c = events[i].data.ptr;
            ssize_t got = recv(c->fd, c->answer + c->have, ANSWER_BYTES - 1 - c->have, 0);
            int state = got <= 0 ? -1 : (c->have += (size_t)got, complete(c));
            if (state == 0)
                continue;
            double moment = now();
            if (state < 0)
                failures++;
            else {
                done++;
                if (sample_count < MOST_SAMPLES)
                    samples[sample_count++] = (float)((moment - c->sent_at) * 1e6);
            }
            if (keepalive && state > 0)
                c->sent_at = moment;
            else {
                close(c->fd);
                if (dial(c) != 0)
                    return 1;
            }
            ask(c);
        }
    }
    double seconds = now() - start;
    cpu = cpu_seconds() - cpu;
    qsort(samples, sample_count, sizeof *samples, by_size);
    float p50 = sample_count ? samples[sample_count / 2] : 0;
    float p99 = sample_count ? samples[sample_count * 99 / 100] : 0;
    printf("requests %zu  requests/s %.0f  p50_us %.0f  p99_us %.0f  cpu %.3f  failures %zu\n", done, (double)done / seconds, p50,
           p99, cpu / seconds, failures);
    return failures != 0;
}
