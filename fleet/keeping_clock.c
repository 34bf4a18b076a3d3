/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/keeping_clock.h"

static bool is_near(int64_t one_ms, int64_t other_ms, int64_t off_ms)
{
    return one_ms < other_ms ? other_ms - one_ms <= off_ms : one_ms - other_ms <= off_ms;
}

static bool believe(struct keeping_clock *clock, int64_t believed_ms)
{
    clock->note = (struct fleetdb_kept_clock){.believed_ms = believed_ms};
    return true;
}

static bool doubt(struct keeping_clock *clock, int64_t wall_ms, int64_t passed_ms, bool first)
{
    struct fleetdb_kept_clock *note = &clock->note;
    const int64_t goes_on_ms = note->doubted_ms + passed_ms;
    if (note->doubted_ms == 0 ||
        !is_near(wall_ms, goes_on_ms, first ? KEEPING_OFF_MS : KEEPING_SLIP_MS)) {
        note->doubted_ms = wall_ms;
        note->held_ms = 0;
        return false;
    }
    /* Not what it says now: small slips would add up unseen. */
    note->doubted_ms = first ? wall_ms : goes_on_ms;
    note->held_ms += passed_ms;
    return note->held_ms >= KEEPING_HELD_MS && believe(clock, wall_ms);
}

bool keeping_clock_look(struct keeping_clock *clock, int64_t wall_ms, int64_t boot_ms)
{
    const bool first = !clock->looked;
    const int64_t passed_ms = first ? 0 : boot_ms - clock->boot_ms;
    clock->looked = true;
    clock->boot_ms = boot_ms;
    if (clock->note.believed_ms == 0)
        return believe(clock, wall_ms);
    clock->note.believed_ms += passed_ms;
    if (is_near(wall_ms, clock->note.believed_ms, KEEPING_OFF_MS))
        return believe(clock, first ? wall_ms : clock->note.believed_ms);
    return doubt(clock, wall_ms, passed_ms, first);
}

int64_t keeping_clock_left_ms(const struct keeping_clock *clock)
{
    return clock->note.doubted_ms == 0 ? 0 : KEEPING_HELD_MS - clock->note.held_ms;
}
