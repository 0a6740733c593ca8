/* The least that a relay can do: what the kernel needs to copy datagrams, and next to nothing else.
 *
 *   relay trains|single|payload ROUTES
 *
 * ROUTES is a file; each of its lines is a content: PORT IP:PORT IP:PORT ...
 * trains   UDP_GRO takes a train with one call, UDP_SEGMENT sends it whole, sendmmsg sends it to all: the limit
 * single   recvmmsg and sendmmsg of single datagrams: what a careful relay of today does
 * payload  as trains, but without the RTP headers and without RTCP: so programs are fed that take bare TS
 *
 * A route may lead to a multicast group: it is then on the loopback interface.
 */
#include "sockets.h"

enum { CONTENTS = 4096, BATCH = 64, SENDS = 1024, RECEIVE_BYTES = 8 << 20, SEND_BYTES = 16 << 20 };

struct content {
    int fd, count;
    struct sockaddr_in *children;
};

static struct content contents[CONTENTS];
static struct mmsghdr sends[SENDS];
static int out;

static void send_all(int count) {
    for (int sent = 0; sent < count;) {
        int now = sendmmsg(out, sends + sent, count - sent, 0);
        sent += now > 0 ? now : 1; /* a child that is gone (ECONNREFUSED) costs its own copy */
    }
}

static void add_child(struct content *content, char *text) {
    content->children = realloc(content->children, (content->count + 1) * sizeof *content->children);
    content->children[content->count++] = address_of(text);
}

static void read_routes(const char *path, int trains, int poll) {
    FILE *file = fopen(path, "r");
    char *line = NULL, *word;
    size_t room = 0;
    if (!file) die(path);
    for (int n = 0; n < CONTENTS && getline(&line, &room, file) > 0; n++) {
        struct content *content = contents + n;
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = n};
        if (!(word = strtok(line, " \n"))) break;
        content->fd = bound_socket(atoi(word), RECEIVE_BYTES);
        if (trains) take_trains(content->fd);
        while ((word = strtok(NULL, " \n"))) add_child(content, word);
        epoll_ctl(poll, EPOLL_CTL_ADD, content->fd, &event);
    }
}

/* Take the RTP header out of each datagram of a train; what remains is empty for all that is no media. */
static int strip(uint8_t *train, int length, int size) {
    int kept = 0;
    if (length <= RTP_HEADER || (train[1] & 0x7f) != TS_TYPE) return 0;
    for (int at = 0; at < length; at += size) {
        int piece = (at + size < length ? size : length - at) - RTP_HEADER;
        memmove(train + kept, train + at + RTP_HEADER, piece);
        kept += piece;
    }
    return kept;
}

/* Send what was received on to all children of the content, each datagram or train in turn. */
static void forward(struct content *content, struct mmsghdr *received, int count, int payload) {
    static char controls[BATCH][CONTROL_BYTES];
    int filled = 0;
    for (int k = 0; k < count; k++) {
        int length = received[k].msg_len, size = segment_size(&received[k].msg_hdr, length);
        struct msghdr header = {.msg_iov = received[k].msg_hdr.msg_iov, .msg_iovlen = 1};
        if (payload) {
            if (!(length = strip(header.msg_iov->iov_base, length, size))) continue;
            size -= RTP_HEADER;
        }
        header.msg_iov->iov_len = length;
        if (size < length) {
            struct cmsghdr *control = (void *)controls[k];
            uint16_t segment = size;
            *control = (struct cmsghdr){CMSG_LEN(sizeof segment), SOL_UDP, UDP_SEGMENT};
            memcpy(CMSG_DATA(control), &segment, sizeof segment);
            header.msg_control = control;
            header.msg_controllen = CMSG_SPACE(sizeof segment);
        }
        for (int i = 0; i < content->count; i++) {
            header.msg_name = content->children + i;
            header.msg_namelen = sizeof *content->children;
            sends[filled].msg_hdr = header;
            if (++filled == SENDS) send_all(filled), filled = 0;
        }
    }
    send_all(filled);
}

int main(int argc, char **argv) {
    int payload = argc == 3 && !strcmp(argv[1], "payload"), trains = payload || (argc == 3 && !strcmp(argv[1], "trains"));
    int poll = epoll_create1(0);
    /* one large buffer stays in the cache; single datagrams need many */
    int batch = trains ? 2 : BATCH, bytes = trains ? TRAIN_BYTES : PLAIN_BYTES;
    char *memory = malloc((size_t)BATCH * TRAIN_BYTES);
    static struct mmsghdr received[BATCH];
    static struct iovec parts[BATCH];
    static char controls[BATCH][CONTROL_BYTES];
    struct epoll_event ready[256];
    struct in_addr loopback = {htonl(INADDR_LOOPBACK)};
    if (argc != 3 || (!trains && strcmp(argv[1], "single"))) return 2;
    out = socket(AF_INET, SOCK_DGRAM, 0);
    set_buffer(out, SO_SNDBUF, SO_SNDBUFFORCE, SEND_BYTES);
    setsockopt(out, IPPROTO_IP, IP_MULTICAST_IF, &loopback, sizeof loopback);
    read_routes(argv[2], trains, poll);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int some = epoll_wait(poll, ready, 256, -1);
        for (int e = 0; e < some; e++) {
            struct content *content = contents + ready[e].data.u32;
            for (int k = 0; k < batch; k++) {
                parts[k] = (struct iovec){memory + (size_t)k * bytes, bytes};
                received[k].msg_hdr = (struct msghdr){.msg_iov = parts + k, .msg_iovlen = 1};
                if (!trains) continue;
                received[k].msg_hdr.msg_control = controls[k];
                received[k].msg_hdr.msg_controllen = CONTROL_BYTES;
            }
            int count = recvmmsg(content->fd, received, batch, 0, NULL);
            if (count > 0) forward(content, received, count, payload);
        }
    }
}
