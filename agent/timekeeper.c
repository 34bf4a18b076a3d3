/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/timekeeper.h"

static const int64_t day_ms = INT64_C(24) * 3600 * 1000;
static const int64_t step_ms = INT64_C(30) * 24 * 3600 * 1000;

/* Clocks at the ends of their range are as wrong as others. */
static int64_t minus(int64_t a, int64_t b)
{
    int64_t difference = 0;
    if (__builtin_sub_overflow(a, b, &difference))
        return a < b ? INT64_MIN : INT64_MAX;
    return difference;
}

static int64_t plus(int64_t a, int64_t b)
{
    int64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum))
        return a < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

int64_t timekeeper_look(struct timekeeper *keeper, int64_t wall_ms, int64_t boot_ms)
{
    int64_t offset_ms = minus(wall_ms, boot_ms);
    int64_t jump_ms = keeper->looked ? minus(offset_ms, keeper->offset_ms) : 0;
    bool jumped = jump_ms > TIMEKEEPER_JUMP_MS || jump_ms < -TIMEKEEPER_JUMP_MS;
    if (jumped) {
        keeper->jumped_ms = boot_ms;
        keeper->offset_before_ms = keeper->offset_ms;
    }
    keeper->looked = true;
    keeper->offset_ms = offset_ms;
    return jumped ? jump_ms : 0;
}

int64_t timekeeper_at_least(const struct timekeeper *keeper, int64_t boot_ms)
{
    int64_t since_ms = minus(boot_ms, keeper->at_boot_ms);
    return plus(keeper->at_least_ms, since_ms > 0 ? since_ms : 0);
}

void timekeeper_welcomed(struct timekeeper *keeper, const struct timekeeper_sight *sight,
                         int64_t wall_ms)
{
    int64_t known_ms = timekeeper_at_least(keeper, sight->came_ms);
    int64_t step_end_ms = plus(known_ms, step_ms), off_ms = minus(wall_ms, sight->fleet_ms);
    if (sight->fleet_ms <= 0)
        return;
    keeper->sight = *sight;
    /* The first one ever is believed: nothing else is known. */
    keeper->exact = keeper->at_least_ms == 0 || sight->fleet_ms <= step_end_ms ||
                    (off_ms < day_ms && off_ms > -day_ms);
    keeper->unsaved = true;
    if (sight->fleet_ms <= known_ms)
        return;
    keeper->at_least_ms = keeper->exact ? sight->fleet_ms : step_end_ms;
    keeper->at_boot_ms = sight->came_ms;
}

void timekeeper_rooted(struct timekeeper *keeper, int64_t issued_ms, int64_t boot_ms)
{
    if (issued_ms <= timekeeper_at_least(keeper, boot_ms))
        return;
    keeper->at_least_ms = issued_ms;
    keeper->at_boot_ms = boot_ms;
    keeper->unsaved = true;
}

int64_t timekeeper_offset(const struct timekeeper *keeper, int64_t wall_ms, int64_t boot_ms)
{
    const struct timekeeper_sight *sight = &keeper->sight;
    if (sight->fleet_ms == 0)
        return 0;
    int64_t middle_ms = plus(sight->asked_ms, minus(sight->came_ms, sight->asked_ms) / 2);
    return minus(plus(sight->fleet_ms, minus(boot_ms, middle_ms)), wall_ms);
}

int64_t timekeeper_place(const struct timekeeper *keeper, int64_t wall_ms, int64_t now_wall_ms,
                         int64_t now_boot_ms)
{
    int64_t ago_ms = minus(now_wall_ms, wall_ms);
    if (ago_ms <= 0 && keeper->jumped_ms == 0)
        return now_boot_ms;
    int64_t then_ms = minus(now_boot_ms, ago_ms);
    if (then_ms > keeper->jumped_ms && then_ms <= now_boot_ms)
        return then_ms;
    /* Before the clock was set it had another offset. */
    then_ms = minus(wall_ms, keeper->offset_before_ms);
    if (keeper->jumped_ms != 0 && then_ms > 0 && then_ms <= keeper->jumped_ms)
        return then_ms;
    return ago_ms <= 0 ? now_boot_ms : 0;
}
