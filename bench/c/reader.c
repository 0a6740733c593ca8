/* Viewers over TCP: sockets that are connected already, read and counted.
 *
 *   reader FIRST COUNT
 *
 * The descriptors FIRST, FIRST + 1 ... are inherited: whoever has opened them has asked for a stream there (RTMP
 * or HTTP). What comes is thrown away inside the kernel (MSG_TRUNC). A line of JSON answers each SIGUSR1.
 */
#include "sockets.h"

enum { MOST = 1 << 20 };

int main(int argc, char **argv) {
    uint64_t bytes = 0;
    int closed = 0;
    if (argc != 3) return 2;
    int first = atoi(argv[1]), count = atoi(argv[2]), *open = calloc(count, sizeof *open);
    for (int k = 0; k < count; k++) open[k] = 1;
    answer_signals();
    puts("ready");
    fflush(stdout);
    for (;;) {
        wait_for_next_look();
        for (int k = 0; k < count; k++) {
            if (!open[k]) continue;
            ssize_t got = recv(first + k, NULL, MOST, MSG_TRUNC | MSG_DONTWAIT);
            if (got > 0) bytes += got;
            if (!got || (got < 0 && errno != EAGAIN && errno != EINTR)) open[k] = 0, closed++;
        }
        if (!was_asked()) continue;
        printf("{\"bytes\": %llu, \"closed\": %d}\n", (unsigned long long)bytes, closed);
        fflush(stdout);
        bytes = 0;
    }
}
