/* SPDX-License-Identifier: Apache-2.0 */
#include "base/traffic.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum {
    IPV4_BYTES = 20,
    IPV6_BYTES = 40,
    TCP_BYTES = 20,
    /* Options are padded to words of 4 (RFC 9293, 3.1). */
    TIMESTAMPS_BYTES = 12,
    MSS_BYTES = 4,
    SACK_PERMITTED_BYTES = 4, /* 0 beside timestamps, whose padding it fills */
    WINDOW_SCALE_BYTES = 4,
};

static void add_way(struct traffic_way *to, const struct traffic_way *more)
{
    to->payload += more->payload;
    to->mqtt += more->mqtt;
    to->tls += more->tls;
    to->tcpip += more->tcpip;
}

void traffic_add(struct traffic *to, const struct traffic *more)
{
    add_way(&to->up, &more->up);
    add_way(&to->down, &more->down);
}

bool traffic_equal(const struct traffic *left, const struct traffic *right)
{
    return memcmp(left, right, sizeof *left) == 0; /* eight u64: no padding */
}

static unsigned syn_options(bool timestamps, bool sack, bool window_scale)
{
    return (unsigned)MSS_BYTES +
           (timestamps ? (unsigned)TIMESTAMPS_BYTES
            : sack     ? (unsigned)SACK_PERMITTED_BYTES
                       : 0U) +
           (window_scale ? (unsigned)WINDOW_SCALE_BYTES : 0U);
}

void traffic_count_tcp(const struct traffic_tcp *tcp, struct traffic *traffic)
{
    unsigned fixed = (tcp->ipv6 ? IPV6_BYTES : IPV4_BYTES) + TCP_BYTES;
    unsigned plain = fixed + (tcp->timestamps ? (unsigned)TIMESTAMPS_BYTES : 0U);
    unsigned ours = fixed + syn_options(true, true, true); /* Linux offers all it knows */
    unsigned theirs = fixed + syn_options(tcp->timestamps, tcp->sack, tcp->window_scale);
    /* Of an answered connection one SYN each way; before, all that went out are SYNs. */
    uint64_t syns_up = !tcp->answered ? tcp->segments_up : tcp->segments_up > 0 ? 1U : 0U;
    uint64_t syns_down = tcp->answered && tcp->segments_down > 0 ? 1U : 0U;

    traffic->up.tcpip = syns_up * ours + (tcp->segments_up - syns_up) * plain + tcp->bytes_up;
    traffic->down.tcpip =
        syns_down * theirs + (tcp->segments_down - syns_down) * plain + tcp->bytes_down;
}

void traffic_count_socket(int fd, struct traffic *traffic)
{
    struct sockaddr_storage local = {0};
    struct tcp_info info = {0};
    socklen_t length = sizeof info, local_length = sizeof local;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0 ||
        getsockname(fd, (struct sockaddr *)&local, &local_length) != 0 ||
        length < offsetof(struct tcp_info, tcpi_bytes_sent) + sizeof info.tcpi_bytes_sent) {
        return; /* Linux before 4.19 */
    }
    const struct traffic_tcp tcp = {
        .ipv6 = local.ss_family == AF_INET6,
        .timestamps = (info.tcpi_options & TCPI_OPT_TIMESTAMPS) != 0,
        .sack = (info.tcpi_options & TCPI_OPT_SACK) != 0,
        .window_scale = (info.tcpi_options & TCPI_OPT_WSCALE) != 0,
        .answered = info.tcpi_bytes_acked > 0, /* the SYN counts as one */
        .segments_up = info.tcpi_segs_out,
        .segments_down = info.tcpi_segs_in,
        .bytes_up = info.tcpi_bytes_sent,
        .bytes_down = info.tcpi_bytes_received,
    };
    traffic_count_tcp(&tcp, traffic);
}

void traffic_count_refusal(bool ipv6, struct traffic *traffic)
{
    unsigned fixed = (ipv6 ? IPV6_BYTES : IPV4_BYTES) + TCP_BYTES;

    traffic->up.tcpip += fixed + syn_options(true, true, true);
    traffic->down.tcpip += fixed;
}
