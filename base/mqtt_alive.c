/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mqtt_alive.h"

void mqtt_alive_begin(struct mqtt_alive *alive, int64_t keepalive_ms, int64_t now_ms)
{
    *alive = (struct mqtt_alive){.keepalive_ms = keepalive_ms, .moved_ms = now_ms};
}

void mqtt_alive_ping(struct mqtt_alive *alive, int64_t now_ms)
{
    alive->asked = true;
    alive->asked_ms = now_ms;
}

void mqtt_alive_answer(struct mqtt_alive *alive)
{
    alive->asked = false;
}

void mqtt_alive_packet(struct mqtt_alive *alive, uint64_t bytes, int64_t now_ms)
{
    alive->bytes = alive->whole = bytes;
    alive->moved_ms = now_ms;
    alive->partial_ms = 0;
}

static bool too_slow(const struct mqtt_alive *alive, int64_t now_ms)
{
    int64_t bytes = (int64_t)(alive->bytes - alive->whole);
    int64_t allowed_ms = 2 * alive->keepalive_ms + bytes * 1000 / MQTT_ALIVE_BYTES_PER_S;

    return alive->partial_ms > 0 && now_ms - alive->partial_ms >= allowed_ms;
}

enum mqtt_life mqtt_alive_look(struct mqtt_alive *alive, uint64_t bytes, int64_t now_ms)
{
    if (bytes != alive->bytes) {
        alive->bytes = bytes;
        alive->moved_ms = now_ms;
        alive->partial_ms = alive->partial_ms > 0 ? alive->partial_ms : now_ms;
    }
    if (too_slow(alive, now_ms)) {
        return MQTT_LIFE_SLOW;
    }
    if (!alive->asked) {
        return MQTT_LIFE_GOOD;
    }
    int64_t silent_since_ms = alive->moved_ms > alive->asked_ms ? alive->moved_ms : alive->asked_ms;
    if (now_ms - silent_since_ms >= alive->keepalive_ms / 2) {
        return MQTT_LIFE_DEAD;
    }
    if (now_ms - alive->asked_ms < alive->keepalive_ms) {
        return MQTT_LIFE_BUSY;
    }
    alive->asked_ms = now_ms;
    return MQTT_LIFE_STIR;
}

bool mqtt_alive_in_packet(const struct mqtt_alive *alive)
{
    return alive->partial_ms > 0;
}
