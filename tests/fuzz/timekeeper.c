/* SPDX-License-Identifier: Apache-2.0 */
/* Times from a clock that may say anything and from a fleet whose key was stolen, one after the
 * other: a byte that chooses, eight of a time, two of how much later it is. What is proved of true
 * time never goes back, and no time is placed where it cannot have been. */
#include "agent/timekeeper.h"
#include "tests/fuzz/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    struct timekeeper keeper = {.at_least_ms = INT64_C(1790000000000)};
    int64_t boot_ms = 0, wall_ms = 0;
    while (in.length > 0) {
        uint8_t what = fuzz_byte(&in);
        int64_t time_ms = (int64_t)fuzz_number(&in, 8);
        int64_t before_ms = timekeeper_at_least(&keeper, boot_ms);
        int64_t asked_ms = boot_ms;
        boot_ms += (int64_t)fuzz_number(&in, 2);
        struct timekeeper_sight sight = {time_ms, asked_ms, boot_ms};
        if (what % 3 == 0)
            (void)timekeeper_look(&keeper, wall_ms = time_ms, boot_ms);
        else if (what % 3 == 1)
            timekeeper_welcomed(&keeper, &sight, wall_ms);
        int64_t place_ms = timekeeper_place(&keeper, time_ms, wall_ms, boot_ms);
        HOLDS(place_ms >= 0 && place_ms <= boot_ms);
        HOLDS(timekeeper_at_least(&keeper, boot_ms) >= before_ms);
        (void)timekeeper_offset(&keeper, wall_ms, boot_ms);
    }
    return 0;
}
