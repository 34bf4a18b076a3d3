/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_TRAFFIC_H
#define BASE_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a connection costs, layer by layer. Each layer holds the one before it: `tcpip` is what a
 * contract by volume is billed for. Names are not resolved over the connection: DNS is not in it.
 */
struct traffic_way {
    uint64_t payload; /* of publishes */
    uint64_t mqtt;    /* packets: what goes into TLS */
    uint64_t tls;     /* records and handshakes: what goes into the socket */
    uint64_t tcpip;   /* IP packets: headers, handshake, acknowledgements, what was sent again */
};

struct traffic {
    struct traffic_way up, down;
};

void traffic_add(struct traffic *to, const struct traffic *more);
bool traffic_equal(const struct traffic *left, const struct traffic *right);

/* What TCP counts of one connection (tcp(7), TCP_INFO). */
struct traffic_tcp {
    bool ipv6, timestamps, sack, window_scale; /* options that both sides agreed on */
    bool answered;                             /* the SYN was */
    uint64_t segments_up, segments_down;
    uint64_t bytes_up, bytes_down; /* of data; up with what was sent again */
};

/* Sets `tcpip` of both ways. SACK blocks, which only loss brings, are not seen. */
void traffic_count_tcp(const struct traffic_tcp *tcp, struct traffic *traffic);
/* The same for a socket; leaves `tcpip` alone where the kernel does not tell. */
void traffic_count_socket(int fd, struct traffic *traffic);
/* One attempt that was refused before there was a socket to ask: a SYN and a RST. */
void traffic_count_refusal(bool ipv6, struct traffic *traffic);

#endif
