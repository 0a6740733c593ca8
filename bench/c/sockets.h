/* What the relay and the sink of the benchmark share. */
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

enum { TRAIN_BYTES = 65536, PLAIN_BYTES = 2048, CONTROL_BYTES = 64 };

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* As large as asked, above the system's bound where root may. */
static void set_buffer(int fd, int option, int forced, int bytes) {
    if (setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof bytes))
        setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof bytes);
}

static int bound_socket(int port, int receive_bytes) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (fd < 0) die("socket");
    set_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE, receive_bytes);
    if (bind(fd, (struct sockaddr *)&address, sizeof address)) die("bind");
    return fd;
}

static void take_trains(int fd) {
    int one = 1;
    if (setsockopt(fd, SOL_UDP, UDP_GRO, &one, sizeof one)) die("UDP_GRO");
}

/* How long each datagram of a received train is; the whole length where the kernel merged nothing. */
static int segment_size(struct msghdr *header, int length) {
    int size = length;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c))
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) memcpy(&size, CMSG_DATA(c), sizeof size);
    return size;
}
#endif
