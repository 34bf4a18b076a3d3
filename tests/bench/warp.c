/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/warp.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct {
    bool started;
    int64_t boot_ns, wall_offset_ns;
    int segment_bytes;
} warp;

static int64_t kernel_ns(clockid_t id)
{
    struct timespec now = {0};
    syscall(SYS_clock_gettime, id, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Of the C library (time.h), for all that is loaded with this program. */
int clock_gettime(clockid_t id, struct timespec *now)
{
    bool wall = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE;
    bool boot = id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_RAW ||
                id == CLOCK_MONOTONIC_COARSE || id == CLOCK_BOOTTIME;
    if (!warp.started || (!wall && !boot))
        return (int)syscall(SYS_clock_gettime, id, now);
    int64_t ns = warp.boot_ns + (wall ? warp.wall_offset_ns : 0);
    now->tv_sec = (time_t)(ns / 1000000000);
    now->tv_nsec = (long)(ns % 1000000000);
    return 0;
}

void warp_start(int64_t wall_ms)
{
    warp.boot_ns = kernel_ns(CLOCK_MONOTONIC);
    warp.wall_offset_ns = wall_ms * 1000000 - warp.boot_ns;
    warp.started = true;
}

int64_t warp_ms(void)
{
    return warp.boot_ns / 1000000;
}

int64_t warp_wall_ms(void)
{
    return (warp.boot_ns + warp.wall_offset_ns) / 1000000;
}

void warp_to(int64_t boot_ms)
{
    if (boot_ms * 1000000 > warp.boot_ns)
        warp.boot_ns = boot_ms * 1000000;
}

int64_t warp_real_ms(void)
{
    return kernel_ns(CLOCK_MONOTONIC) / 1000000;
}

/* Of the C library (sys/socket.h). */
int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    if (warp.segment_bytes > 0 && address->sa_family == AF_INET)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &warp.segment_bytes,
                         sizeof warp.segment_bytes);
    return (int)syscall(SYS_connect, fd, address, length);
}

void warp_segments(int bytes)
{
    warp.segment_bytes = bytes;
}

void warp_counts(int fd, uint64_t *ret_bytes, uint64_t *ret_segments)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    *ret_bytes = *ret_segments = 0;
    if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0)
        return;
    *ret_bytes = info.tcpi_bytes_sent + info.tcpi_bytes_received;
    *ret_segments = (uint64_t)info.tcpi_segs_out + info.tcpi_segs_in;
}
