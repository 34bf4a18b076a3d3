/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_parts.h"

#include "base/log.h"
#include "proto/limits.h"
#include "proto/local.pb-c.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char clock_note[] = "clock";

enum { NOTE_BYTES = 256, SPAN_CHARS = 32 };

static ProtobufCBinaryData binary(const uint8_t *data, size_t length)
{
    return (ProtobufCBinaryData){.len = length, .data = (uint8_t *)(uintptr_t)data};
}

/* ---- what outlives the agent ---- */

static void take_kept(struct timekeeper *keeper, const Muster__KeptClock *kept)
{
    bool newer = kept->at_least_ms > keeper->at_least_ms;
    if (newer) {
        keeper->at_least_ms = kept->at_least_ms;
        keeper->at_boot_ms = 0; /* the boot that knew it has ended */
    }
    if (kept->boot_id.len != TIMEKEEPER_BOOT_BYTES)
        return;
    if (memcmp(kept->boot_id.data, keeper->boot_id, TIMEKEEPER_BOOT_BYTES) != 0) {
        memcpy(keeper->before, kept->boot_id.data, TIMEKEEPER_BOOT_BYTES);
        keeper->has_before = true;
        return;
    }
    keeper->spoke = true;
    if (newer)
        keeper->at_boot_ms = (int64_t)kept->at_boot_ms;
    if (kept->before.len == TIMEKEEPER_BOOT_BYTES) {
        memcpy(keeper->before, kept->before.data, TIMEKEEPER_BOOT_BYTES);
        keeper->has_before = true;
    }
    keeper->exact = kept->exact;
    keeper->sight_told = kept->sight_told;
    keeper->sight = (struct timekeeper_sight){kept->sight_fleet_ms, (int64_t)kept->sight_asked_ms,
                                              (int64_t)kept->sight_came_ms};
}

bool agent_load_clock(struct agent *agent, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = NOTE_BYTES};
    struct buf note = {.limit = NOTE_BYTES};
    struct arena arena = {0};
    struct err why = {0};
    ProtobufCMessage *message = NULL;
    struct timekeeper *keeper = &agent->timekeeper;
    memcpy(keeper->boot_id, agent->boot_id, sizeof keeper->boot_id);
    keeper->at_least_ms = trust_issued_ms(agent->trust);
    keeper->at_boot_ms = clock_boot_ms(agent->clock);
    (void)timekeeper_look(keeper, clock_wall_ms(agent->clock), clock_boot_ms(agent->clock));
    bool ok = spool_note_read(agent->spool, clock_note, &note, err);
    if (ok && note.length > 0 &&
        !unpack(&muster__kept_clock__descriptor, buf_bytes(&note), &limits, &arena, &message, &why))
        log_warn("what was kept of the clock cannot be read: %s", why.text);
    if (message != NULL)
        take_kept(keeper, (const Muster__KeptClock *)message);
    arena_done(&arena);
    buf_done(&note);
    return ok;
}

/* Late by a power cut it says less than is true, never more. */
void agent_save_clock(struct agent *agent)
{
    struct timekeeper *keeper = &agent->timekeeper;
    Muster__KeptClock kept = MUSTER__KEPT_CLOCK__INIT;
    struct buf note = {.limit = NOTE_BYTES};
    struct err err = {0};
    if (!keeper->unsaved)
        return;
    /* A boot that has said nothing is not one that another could name. */
    const uint8_t *named = keeper->spoke ? keeper->boot_id : keeper->before;
    kept.boot_id = binary(named, keeper->spoke || keeper->has_before ? TIMEKEEPER_BOOT_BYTES : 0);
    kept.before =
        binary(keeper->before, keeper->spoke && keeper->has_before ? TIMEKEEPER_BOOT_BYTES : 0);
    kept.sight_fleet_ms = keeper->sight.fleet_ms;
    kept.sight_asked_ms = (uint64_t)keeper->sight.asked_ms;
    kept.sight_came_ms = (uint64_t)keeper->sight.came_ms;
    kept.at_least_ms = keeper->at_least_ms;
    kept.at_boot_ms = (uint64_t)keeper->at_boot_ms;
    kept.exact = keeper->exact;
    kept.sight_told = keeper->sight_told;
    if (pack(&kept.base, &note, &err) &&
        spool_note_write(agent->spool, clock_note, buf_bytes(&note), &err))
        keeper->unsaved = false;
    else
        log_warn("what is known of the time was not saved: %s", err.text);
    buf_done(&note);
}

/* ---- what is told ---- */

static void span_text(int64_t span_ms, char out[SPAN_CHARS])
{
    int64_t seconds = (span_ms < 0 ? -(span_ms + 1) : span_ms) / 1000;
    if (seconds >= INT64_C(2) * 86400)
        snprintf(out, SPAN_CHARS, "%" PRId64 " days", seconds / 86400);
    else if (seconds >= 7200)
        snprintf(out, SPAN_CHARS, "%" PRId64 " hours", seconds / 3600);
    else if (seconds >= 120)
        snprintf(out, SPAN_CHARS, "%" PRId64 " minutes", seconds / 60);
    else
        snprintf(out, SPAN_CHARS, "%" PRId64 ".%03d s", seconds,
                 (int)((span_ms < 0 ? -(span_ms + 1) : span_ms) % 1000));
}

static void record_clock(struct agent *agent, int64_t jump_ms, const char *text)
{
    const struct timekeeper_sight *seen = &agent->timekeeper.sight;
    Muster__ClockSight sight = MUSTER__CLOCK_SIGHT__INIT;
    Muster__Event event = MUSTER__EVENT__INIT;
    struct buf detail = {.limit = NOTE_BYTES};
    struct err err = {0};
    sight.fleet_ms = seen->fleet_ms;
    sight.asked_ms = (uint64_t)seen->asked_ms;
    sight.came_ms = (uint64_t)seen->came_ms;
    sight.jump_ms = jump_ms;
    event.kind = MUSTER__EVENT_KIND__EVENT_CLOCK;
    event.text = (char *)(uintptr_t)text;
    if (!pack(&sight.base, &detail, &err)) {
        log_error("the clock's event was not made: %s", err.text);
        return;
    }
    event.detail = (ProtobufCBinaryData){.len = detail.length, .data = detail.data};
    agent_record_event(agent, &event);
    buf_done(&detail);
}

void agent_look_at_clock(struct agent *agent)
{
    int64_t wall_ms = clock_wall_ms(agent->clock);
    int64_t jump_ms = timekeeper_look(&agent->timekeeper, wall_ms, clock_boot_ms(agent->clock));
    char span[SPAN_CHARS], now[32], text[128];
    if (jump_ms == 0)
        return;
    span_text(jump_ms, span);
    clock_format(wall_ms, now);
    snprintf(text, sizeof text, "the clock was set %s by %s, to %s",
             jump_ms < 0 ? "back" : "forward", span, now);
    log_warn("%s", text);
    record_clock(agent, jump_ms, text);
}

void agent_tell_link_time(struct agent *agent)
{
    const struct timekeeper *keeper = &agent->timekeeper;
    int64_t boot_ms = clock_boot_ms(agent->clock);
    struct linkport_time time = {timekeeper_at_least(keeper, boot_ms), boot_ms,
                                 keeper->exact && keeper->sight.fleet_ms != 0};
    if (time.at_least_ms > 0)
        linkport_time(agent->port, &time);
}

void agent_clock_welcomed(struct agent *agent, int64_t fleet_ms)
{
    struct timekeeper *keeper = &agent->timekeeper;
    char span[SPAN_CHARS], text[128];
    int64_t wall_ms = clock_wall_ms(agent->clock), boot_ms = clock_boot_ms(agent->clock);
    agent_look_at_clock(agent);
    timekeeper_welcomed(
        keeper, &(struct timekeeper_sight){fleet_ms, agent->hello_asked_ms, boot_ms}, wall_ms);
    agent_tell_link_time(agent);
    int64_t offset_ms = timekeeper_offset(keeper, wall_ms, boot_ms);
    span_text(offset_ms, span);
    snprintf(text, sizeof text, "the clock is %s %s the fleet's", span,
             offset_ms < 0 ? "ahead of" : "behind");
    log_info("welcomed; %s", text);
    if (!keeper->sight_told)
        record_clock(agent, 0, text);
    keeper->sight_told = true;
}

void agent_place_txn(struct agent *agent, Muster__TxnResult *txn)
{
    int64_t wall_ms = clock_wall_ms(agent->clock), boot_ms = clock_boot_ms(agent->clock);
    if (txn->boot_ms > (uint64_t)boot_ms) /* of another boot, or of no clock that we know */
        txn->boot_ms = 0;
    if (txn->boot_ms == 0)
        txn->boot_ms =
            (uint64_t)(txn->wall_ms == 0
                           ? boot_ms
                           : timekeeper_place(&agent->timekeeper, txn->wall_ms, wall_ms, boot_ms));
    if (txn->wall_ms == 0)
        txn->wall_ms = wall_ms;
}
