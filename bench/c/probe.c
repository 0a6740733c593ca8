/* How long a datagram takes through one hop.
 *
 *   probe WAIT_MS TAP_IP:PORT IP:PORT ...
 *
 * At the tap arrives what the hop gets, in the same moment from the same sender; at the others, what its children
 * get of the same content. The kernel stamps each arrival (SO_TIMESTAMPNS), so it does not matter when the probe
 * looks. A line of JSON answers each SIGUSR1: quantiles in microseconds of what came since the last one, over
 * all children; less than 65,536 datagrams of the content may come meanwhile, or numbers are no names. What came
 * to the tap in the last WAIT_MS is left out, as it may still be on its way to the children.
 */
#include "sockets.h"

enum { NUMBERS = 65536, RECEIVE_BYTES = 64 << 20, HEAD_BYTES = 16, CONTROL_ROOM = 256 };

struct point {
    int fd;
    int64_t came[NUMBERS]; /* in nanoseconds, by sequence number; 0: not yet */
};

static int64_t stamp_of(struct msghdr *header) {
    struct timespec at = {0};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) memcpy(&at, CMSG_DATA(c), sizeof at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void drain(struct point *point) {
    for (;;) {
        uint8_t head[HEAD_BYTES];
        char control[CONTROL_ROOM];
        struct iovec part = {head, HEAD_BYTES};
        struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CONTROL_ROOM};
        ssize_t length = recvmsg(point->fd, &header, MSG_TRUNC);
        if (length < 0) return;
        if (length <= RTP_HEADER || (head[1] & 0x7f) != TS_TYPE) continue;
        int64_t *came = point->came + (head[2] << 8 | head[3]);
        if (!*came) *came = stamp_of(&header);
    }
}

static int ascending(const void *one, const void *other) {
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

/* Of all that should have come: what was lost took longer than anything, and is told as the longest. */
static double quantile(const int64_t *took, int came, int all, double share) {
    int at = (int)(all * share);
    return took[at < came ? at : came - 1] / 1e3;
}

static void report(struct point *tap, struct point *children, int count, int64_t wait_ns) {
    int64_t *took = malloc(sizeof *took * NUMBERS * count);
    int64_t newest = 0;
    int tapped = 0, came = 0;
    for (int n = 0; n < NUMBERS; n++)
        if (tap->came[n] > newest) newest = tap->came[n];
    for (int n = 0; n < NUMBERS; n++) {
        if (!tap->came[n] || tap->came[n] > newest - wait_ns) continue;
        tapped++;
        for (int k = 0; k < count; k++)
            if (children[k].came[n]) took[came++] = children[k].came[n] - tap->came[n];
    }
    qsort(took, came, sizeof *took, ascending);
    printf("{\"tapped\": %d, \"came\": %d", tapped * count, came);
    if (came)
        printf(", \"p50\": %.1f, \"p99\": %.1f, \"most\": %.1f", quantile(took, came, tapped * count, 0.5),
               quantile(took, came, tapped * count, 0.99), took[came - 1] / 1e3);
    puts("}");
    fflush(stdout);
    free(took);
    memset(tap->came, 0, sizeof tap->came);
    for (int k = 0; k < count; k++) memset(children[k].came, 0, sizeof children[k].came);
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    int64_t wait_ns = atoi(argv[1]) * 1000000LL;
    int count = argc - 2, one = 1;
    struct point *points = calloc(count, sizeof *points);
    for (int k = 0; k < count; k++) {
        points[k].fd = bound_to(address_of(argv[k + 2]), RECEIVE_BYTES);
        if (setsockopt(points[k].fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one)) die("SO_TIMESTAMPNS");
    }
    answer_signals();
    puts("ready");
    fflush(stdout);
    for (;;) {
        wait_for_next_look();
        for (int k = 0; k < count; k++) drain(points + k);
        if (was_asked()) {
            for (int k = 0; k < count; k++) drain(points + k);
            report(points, points + 1, count - 1, wait_ns);
        }
    }
}
