/* What the programs of the benchmark share. */
#ifndef SOCKETS_H
#define SOCKETS_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum { TRAIN_BYTES = 65536, PLAIN_BYTES = 2048, CONTROL_BYTES = 64, RTP_HEADER = 12, TS_TYPE = 33, LOOK_NS = 1000000 };

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* As large as asked, above the system's bound where root may. */
static void set_buffer(int fd, int option, int forced, int bytes) {
    if (setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof bytes))
        setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof bytes);
}

/* May share its port with sockets of single addresses, which then get what is sent there. */
static int bound_to(struct sockaddr_in address, int receive_bytes) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), one = 1;
    if (fd < 0) die("socket");
    set_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE, receive_bytes);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one)) die("SO_REUSEADDR");
    if (bind(fd, (struct sockaddr *)&address, sizeof address)) die("bind");
    return fd;
}

static inline int bound_socket(int port, int receive_bytes) {
    return bound_to((struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)}, receive_bytes);
}

/* IP:PORT */
static inline struct sockaddr_in address_of(char *text) {
    char *colon = strchr(text, ':');
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (!colon) die(text);
    *colon = 0;
    address.sin_port = htons(atoi(colon + 1));
    if (inet_pton(AF_INET, text, &address.sin_addr) != 1) die(text);
    return address;
}

static inline void take_trains(int fd) {
    int one = 1;
    if (setsockopt(fd, SOL_UDP, UDP_GRO, &one, sizeof one)) die("UDP_GRO");
}

/* How long each datagram of a received train is; the whole length where the kernel merged nothing. */
static inline int segment_size(struct msghdr *header, int length) {
    int size = length;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c))
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) memcpy(&size, CMSG_DATA(c), sizeof size);
    return size;
}

/* Who receives looks each millisecond, so that no wake-up of it is charged to who sends; who wants to know how
 * it stands sends SIGUSR1 and reads a line. */
static volatile sig_atomic_t asked;

static inline void on_signal(int number) {
    (void)number;
    asked = 1;
}

static inline void answer_signals(void) {
    signal(SIGUSR1, on_signal);
    prctl(PR_SET_TIMERSLACK, 1);
}

static inline void wait_for_next_look(void) {
    struct timespec look = {0, LOOK_NS};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &look, NULL);
}

static inline int was_asked(void) {
    int is = asked;
    asked = 0;
    return is;
}
#endif
