/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_UPLINK_WORLD_H
#define TESTS_UNIT_UPLINK_WORLD_H

/* Streams of one terminal, and what it sends of them. */
#include "agent/uplink.h"

#include <string.h>

static inline struct uplink_stream stream(uint64_t last_seq, uint64_t first_unsent)
{
    return (struct uplink_stream){
        .incarnation = 7, .lane = 1, .last_seq = last_seq, .first_unsent = first_unsent};
}

/* The plan's packet as if everything asked for was there; its digest is its token. */
static inline struct uplink_packet packet_of(const struct uplink_plan *plan)
{
    struct uplink_packet packet = {.part_count = plan->range_count};
    memcpy(packet.digest, &plan->token, sizeof plan->token);
    for (size_t i = 0; i < plan->range_count; i++)
        packet.parts[i] = (struct uplink_part){
            .incarnation = plan->ranges[i].incarnation,
            .lane = plan->ranges[i].lane,
            .first = plan->ranges[i].from_seq,
            .last = plan->ranges[i].from_seq + plan->ranges[i].max_records - 1,
        };
    return packet;
}

static inline void send_all(struct uplink *uplink, const struct uplink_plan *plan, int64_t now_ms)
{
    const struct uplink_packet packet = packet_of(plan);
    uplink_sent(uplink, plan, &packet, now_ms, UINT64_MAX);
}

#endif
