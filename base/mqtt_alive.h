/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MQTT_ALIVE_H
#define BASE_MQTT_ALIVE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Is there still somebody at the other end? Any byte of the peer is a sign of life, also in the
 * middle of a packet: over a thin line one takes longer than the keepalive, and the answer to a
 * ping waits behind it. But a peer that trickles a packet at less than MQTT_ALIVE_BYTES_PER_S is
 * given up, for nothing else gets through meanwhile. Pure; times are of one monotonic clock.
 */
enum { MQTT_ALIVE_BYTES_PER_S = 100 };

struct mqtt_alive {
    int64_t keepalive_ms;
    bool asked;         /* a ping waits for its answer */
    int64_t asked_ms;   /* when something was last sent to show that we live */
    uint64_t bytes;     /* read from the peer, at the last look */
    int64_t moved_ms;   /* when that last grew */
    uint64_t whole;     /* `bytes` at the end of the last whole packet */
    int64_t partial_ms; /* since when a packet is coming in; 0: none is */
};

enum mqtt_life {
    MQTT_LIFE_GOOD, /* pings may go on as usual */
    MQTT_LIFE_BUSY, /* a ping is out: no other */
    MQTT_LIFE_STIR, /* the same, but the broker must hear from us: send anything */
    MQTT_LIFE_DEAD, /* half of the keepalive without a byte since the ping */
    MQTT_LIFE_SLOW, /* twice the keepalive, and slower than MQTT_ALIVE_BYTES_PER_S */
};

void mqtt_alive_begin(struct mqtt_alive *alive, int64_t keepalive_ms, int64_t now_ms);
void mqtt_alive_ping(struct mqtt_alive *alive, int64_t now_ms);
void mqtt_alive_answer(struct mqtt_alive *alive);
/* A packet has been read to its end; `bytes` is the count so far. */
void mqtt_alive_packet(struct mqtt_alive *alive, uint64_t bytes, int64_t now_ms);
/* To be asked every eighth of the keepalive or so. */
enum mqtt_life mqtt_alive_look(struct mqtt_alive *alive, uint64_t bytes, int64_t now_ms);
/* At the last look, was a packet coming in? */
bool mqtt_alive_in_packet(const struct mqtt_alive *alive);

#endif
