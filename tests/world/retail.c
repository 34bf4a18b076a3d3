/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/world/retail.h"

bool retail_open(struct retail *retail, const struct retail_settings *settings, struct err *err)
{
    const struct results_settings world = {
        .deck = {.world_seed = settings->world_seed != 0 ? settings->world_seed : settings->seed,
                 .seed = settings->seed,
                 .ranges = &retail->ranges,
                 .ca_keys = &retail->ca_keys,
                 .stranger_share = RESULTS_STRANGER_SHARE},
        .start_wall_ms =
            settings->start_wall_ms != 0 ? settings->start_wall_ms : INT64_C(1767225600000),
    };
    return ranges_read(settings->routing, &retail->ranges, err) &&
           ca_keys_read(settings->ca_keys, &retail->ca_keys, err) &&
           results_open(&world, &retail->results, err);
}

void retail_close(struct retail *retail)
{
    results_close(retail->results);
    ca_keys_done(&retail->ca_keys);
    ranges_done(&retail->ranges);
}
