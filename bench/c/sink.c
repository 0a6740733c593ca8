/* All children of a node, as receivers: they take what comes and count it.
 *
 *   sink COUNT FIRST_PORT plain|trains
 *
 * COUNT sockets on the ports from FIRST_PORT on, each for all addresses of this host, so every
 * 127.x.y.z:PORT is a receiver. They are drained each millisecond and never waited for: no wake-up of theirs
 * is charged to who sends. `trains` takes trains whole (UDP_GRO), as a next hop or a card that segments
 * does; with `plain` the kernel cuts them on the sender's time, as for an ordinary player.
 *
 * RTP (payload type 33) is counted port by port, and how far the sequence numbers went on there (spans): with N
 * receivers of a port and nothing lost, rtp = N * span, but for a train at either end. How far the timestamps went on
 * (played, in ms) tells whether all was sent that was due. A line of JSON answers each SIGUSR1.
 */
#include "sockets.h"

enum { BATCH = 64, HEAD_BYTES = 64, RECEIVE_BYTES = 64 << 20, FAR_TICKS = 90000 * 60 };

#define TICKS_A_MS 90.0

/* One content's, which all its receivers have in common. */
struct port {
    int fd, highest;            /* the highest sequence number so far; -1: none */
    uint32_t stamp;             /* its timestamp */
    uint64_t rtp, span, played; /* played in ticks of its clock */
};

static uint64_t datagrams, bytes;

static void report(struct port *ports, int count) {
    printf("{\"datagrams\": %llu, \"bytes\": %llu, \"rtp\": [", (unsigned long long)datagrams,
           (unsigned long long)bytes);
    for (int i = 0; i < count; i++) printf(i ? ", %llu" : "%llu", (unsigned long long)ports[i].rtp);
    printf("], \"spans\": [");
    for (int i = 0; i < count; i++) printf(i ? ", %llu" : "%llu", (unsigned long long)ports[i].span);
    printf("], \"played\": [");
    for (int i = 0; i < count; i++) {
        printf(i ? ", %.1f" : "%.1f", ports[i].played / TICKS_A_MS);
        ports[i].rtp = ports[i].span = ports[i].played = 0;
    }
    puts("]}");
    fflush(stdout);
    datagrams = bytes = 0;
}

/* In ticks; a clock that was put back, or far ahead, has begun anew. */
static uint32_t later(uint32_t stamp, uint32_t before) {
    uint32_t ticks = stamp - before;
    return ticks < FAR_TICKS ? ticks : 0;
}

static void count(struct port *port, const uint8_t *head, int length, int size) {
    int pieces = size ? (length + size - 1) / size : 1, last, ahead;
    uint32_t stamp;
    datagrams += pieces;
    bytes += length;
    if (length <= RTP_HEADER + 188 - 1 || (head[1] & 0x7f) != TS_TYPE) return; /* RTCP is shorter */
    port->rtp += pieces;
    last = ((head[2] << 8 | head[3]) + pieces - 1) & 0xffff;
    ahead = (int16_t)(last - port->highest);
    if (port->highest >= 0 && ahead <= 0) return; /* another child's copy */
    stamp = (uint32_t)head[4] << 24 | head[5] << 16 | head[6] << 8 | head[7];
    if (port->highest >= 0) port->span += ahead, port->played += later(stamp, port->stamp);
    port->highest = last, port->stamp = stamp;
}

static void drain(struct port *port) {
    static struct mmsghdr messages[BATCH];
    static struct iovec parts[BATCH];
    static uint8_t heads[BATCH][HEAD_BYTES];
    static char controls[BATCH][CONTROL_BYTES];
    int got;
    do {
        for (int k = 0; k < BATCH; k++) {
            parts[k] = (struct iovec){heads[k], HEAD_BYTES};
            messages[k].msg_hdr = (struct msghdr){.msg_iov = parts + k, .msg_iovlen = 1,
                                                  .msg_control = controls[k], .msg_controllen = CONTROL_BYTES};
        }
        got = recvmmsg(port->fd, messages, BATCH, MSG_TRUNC, NULL); /* the true length, whatever was copied */
        for (int k = 0; k < got; k++) {
            int length = messages[k].msg_len;
            count(port, heads[k], length, segment_size(&messages[k].msg_hdr, length));
        }
    } while (got == BATCH);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int all = atoi(argv[1]), first = atoi(argv[2]);
    struct port *ports = calloc(all, sizeof *ports);
    answer_signals();
    for (int i = 0; i < all; i++) {
        ports[i] = (struct port){.fd = bound_socket(first + i, RECEIVE_BYTES), .highest = -1};
        if (!strcmp(argv[3], "trains")) take_trains(ports[i].fd);
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        wait_for_next_look();
        for (int i = 0; i < all; i++) drain(ports + i);
        if (was_asked()) report(ports, all);
    }
}
