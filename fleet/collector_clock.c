/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/collector_internal.h"

enum {
    REDO_ROWS = 64, /* of one device; and in one transaction: */
    REDO_STEPS = 64,
    REDO_ROWS_ALL = 1024,
    SPREAD_BOOTS = 64,                    /* what one fact may tell of others, at once */
    SPREAD_BOOTS_ALL = 16 * SPREAD_BOOTS, /* of one message */
    BOOT_ID_BYTES = 16,
};

/* Between two transactions that judge times again: batches go first. */
static const int64_t redo_pause_ms = 20;

static int64_t signed_of(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static int64_t ppm_of(const struct collector *collector)
{
    return collector->settings.clock_ppm;
}

/* ---- one boot and its neighbours ---- */

static bool write_boot(struct collector *collector, const struct fleetdb_boot *boot,
                       struct err *err)
{
    collector->clock_work = true;
    return fleetdb_boot_write(collector->settings.db, boot, err);
}

void collector_clock_message(struct collector *collector)
{
    collector->spread_left = SPREAD_BOOTS_ALL;
}

/* What is not spread any further is when more becomes known. */
static bool may_spread(struct collector *collector)
{
    if (collector->spread_left == 0)
        return false;
    collector->spread_left--;
    return true;
}

/* Each boot before ended before the next began. */
static bool spread_back(struct collector *collector, const struct fleetdb_boot *from,
                        struct err *err)
{
    struct fleetdb_boot after = *from, before;
    int64_t last_ms = 0;
    for (size_t i = 0; i < SPREAD_BOOTS && after.before != 0 && may_spread(collector); i++) {
        if (!fleetdb_boot_read(collector->settings.db, after.before, &before, err) ||
            !fleetdb_boot_last(collector->settings.db, before.boot, &last_ms, err))
            return false;
        if (!truetime_precedes(&before, &after, last_ms, ppm_of(collector)))
            return true;
        if (!write_boot(collector, &before, err))
            return false;
        after = before;
    }
    return true;
}

/* Each boot after began after this one had ended. */
static bool spread_on(struct collector *collector, int64_t from, struct err *err)
{
    struct fleetdb *db = collector->settings.db;
    int64_t boots[SPREAD_BOOTS + FLEETDB_BOOTS_AFTER] = {from}, last_ms = 0;
    size_t count = 1, more = 0;
    for (size_t i = 0; i < count && i < SPREAD_BOOTS; i++) {
        struct fleetdb_boot before, after;
        if (!fleetdb_boot_after(db, boots[i], boots + count, &more, err))
            return false;
        if (more == 0)
            continue;
        if (!fleetdb_boot_read(db, boots[i], &before, err) ||
            !fleetdb_boot_last(db, before.boot, &last_ms, err))
            return false;
        size_t end = count + more;
        for (size_t j = count; j < end && may_spread(collector); j++) {
            if (!fleetdb_boot_read(db, boots[j], &after, err))
                return false;
            if (!truetime_follows(&after, &before, last_ms, ppm_of(collector)))
                continue;
            if (!write_boot(collector, &after, err))
                return false;
            boots[count++] = after.boot;
        }
        if (count > SPREAD_BOOTS)
            count = SPREAD_BOOTS;
    }
    return true;
}

/* Writes what is new of a boot, and what follows of those around it. */
static bool save(struct collector *collector, struct fleetdb_boot *boot, struct err *err)
{
    struct fleetdb_boot before;
    int64_t last_ms = 0;
    if (boot->before != 0) {
        if (!fleetdb_boot_read(collector->settings.db, boot->before, &before, err) ||
            !fleetdb_boot_last(collector->settings.db, before.boot, &last_ms, err))
            return false;
        (void)truetime_follows(boot, &before, last_ms, ppm_of(collector));
    }
    return write_boot(collector, boot, err) && spread_back(collector, boot, err) &&
           spread_on(collector, boot->boot, err);
}

static bool claim_boot(struct collector *collector, const struct fleetdb_device *device,
                       uint64_t incarnation, struct bytes id, int64_t *ret_row, struct err *err)
{
    struct fleetdb *db = collector->settings.db;
    collector->clock_work = true;
    return fleetdb_boot_find(db, device->device, id, clock_wall_ms(collector->settings.clock),
                             ret_row, err) &&
           fleetdb_boot_claim(db, device->device, incarnation, *ret_row, err);
}

/* An agent runs in one boot: of another that it names, `*ret_boot` is none. */
static bool find_boot(struct collector *collector, const struct fleetdb_device *device,
                      uint64_t incarnation, ProtobufCBinaryData id, enum refusal_kind kind,
                      struct fleetdb_boot *ret_boot, struct err *err)
{
    struct fleetdb *db = collector->settings.db;
    const struct bytes boot_id = bytes_of(id.data, id.len);
    int64_t row = 0;
    bool is_it = true;
    *ret_boot = (struct fleetdb_boot){0};
    if (!fleetdb_boot_of(db, device->device, incarnation, &row, err) ||
        (row == 0 ? !claim_boot(collector, device, incarnation, boot_id, &row, err)
                  : !fleetdb_boot_is(db, row, boot_id, &is_it, err)))
        return false;
    if (is_it)
        return fleetdb_boot_read(db, row, ret_boot, err);
    collector_refuse(collector, kind, REASON_TOO_MANY, device->id,
                     "one agent names two boots that it runs in; the first one counts");
    return true;
}

bool collector_clock_boot(struct collector *collector, const struct fleetdb_device *device,
                          uint64_t incarnation, struct fleetdb_boot *ret_boot, struct err *err)
{
    int64_t row = 0;
    *ret_boot = (struct fleetdb_boot){0};
    return fleetdb_boot_of(collector->settings.db, device->device, incarnation, &row, err) &&
           (row == 0 || fleetdb_boot_read(collector->settings.db, row, ret_boot, err));
}

bool collector_clock_late(struct collector *collector, const struct fleetdb_boot *boot,
                          struct err *err)
{
    struct fleetdb *db = collector->settings.db;
    struct fleetdb_boot now, after;
    int64_t boots[FLEETDB_BOOTS_AFTER], last_ms = 0;
    size_t count = 0;
    bool changed = false;
    if (boot->boot == 0)
        return true;
    if (!fleetdb_boot_after(db, boot->boot, boots, &count, err))
        return false;
    if (count == 0)
        return true;
    if (!fleetdb_boot_read(db, boot->boot, &now, err) ||
        !fleetdb_boot_last(db, boot->boot, &last_ms, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!fleetdb_boot_read(db, boots[i], &after, err))
            return false;
        changed = truetime_precedes(&now, &after, last_ms, ppm_of(collector)) || changed;
    }
    return changed ? save(collector, &now, err) : spread_on(collector, boot->boot, err);
}

/* ---- a device's clock ---- */

static bool note_clock(struct collector *collector, const struct fleetdb_device *device,
                       const struct fleetdb_boot *boot, const struct collector_moment *moment,
                       int64_t fleet_ms, int64_t jump_ms, struct err *err)
{
    struct fleetdb_device_clock clock;
    if (!fleetdb_clock_read(collector->settings.db, device->device, &clock, err))
        return false;
    struct truetime_span span = truetime_at(boot, moment->boot_ms, ppm_of(collector));
    bool checked = fleet_ms >= clock.checked_ms && fleet_ms > 0 && span.lower_ms > 0 &&
                   span.upper_ms < INT64_MAX && span.lower_ms <= span.upper_ms;
    if (!checked && jump_ms == 0)
        return true;
    if (checked) {
        clock.checked_ms = fleet_ms;
        clock.width_ms = span.upper_ms - span.lower_ms;
        /* A clock beyond all calendars is as wrong as one at their end. */
        if (__builtin_sub_overflow(moment->wall_ms, span.lower_ms + clock.width_ms / 2,
                                   &clock.offset_ms))
            clock.offset_ms = moment->wall_ms < 0 ? INT64_MIN : INT64_MAX;
        if (!truetime_drift(boot, &clock.drift_ppb, &clock.drift_known_ppb))
            clock.drift_known_ppb = 0;
    }
    if (jump_ms != 0) {
        clock.jumps++;
        clock.jump_ms = jump_ms;
        clock.jumped_ms = clock_wall_ms(collector->settings.clock);
    }
    return fleetdb_clock_write(collector->settings.db, device->device, &clock, err);
}

/* ---- what is said ---- */

bool collector_clock_hello(struct collector *collector, const struct fleetdb_device *device,
                           const Muster__Hello *hello, struct err *err)
{
    struct fleetdb_boot boot;
    if (hello->boot_id.len != BOOT_ID_BYTES)
        return true;
    if (!find_boot(collector, device, hello->incarnation, hello->boot_id, REFUSED_HELLO, &boot,
                   err))
        return false;
    if (boot.boot == 0)
        return true;
    const struct fleetdb_fact made = {.boot_ms = signed_of(hello->boot_ms),
                                      .fleet_ms = clock_wall_ms(collector->settings.clock)};
    bool changed = truetime_add(&boot, made, ppm_of(collector));
    if (hello->sight_fleet_ms > 0)
        changed = truetime_sight(&boot, hello->sight_fleet_ms, signed_of(hello->sight_asked_ms),
                                 signed_of(hello->sight_came_ms), ppm_of(collector)) ||
                  changed;
    const struct collector_moment moment = {hello->incarnation, made.boot_ms, hello->wall_ms};
    return (!changed || save(collector, &boot, err)) &&
           note_clock(collector, device, &boot, &moment, hello->sight_fleet_ms, 0, err);
}

bool collector_clock_open(struct collector *collector, const struct fleetdb_device *device,
                          uint64_t incarnation, const Muster__Open *open, struct err *err)
{
    struct fleetdb_boot boot;
    int64_t before = 0;
    if (open->boot_id.len != BOOT_ID_BYTES)
        return true;
    if (!find_boot(collector, device, incarnation, open->boot_id, REFUSED_EVENT_DETAIL, &boot, err))
        return false;
    if (boot.boot == 0 || open->boot_before.len != BOOT_ID_BYTES || boot.before != 0)
        return true;
    if (!fleetdb_boot_find(collector->settings.db, device->device,
                           bytes_of(open->boot_before.data, open->boot_before.len),
                           clock_wall_ms(collector->settings.clock), &before, err))
        return false;
    if (before == boot.boot)
        return true;
    boot.before = before;
    return save(collector, &boot, err);
}

bool collector_clock_event(struct collector *collector, const struct fleetdb_device *device,
                           uint64_t incarnation, const Muster__Event *event,
                           const Muster__ClockSight *sight, struct err *err)
{
    struct fleetdb_boot boot;
    if (!collector_clock_boot(collector, device, incarnation, &boot, err))
        return false;
    if (boot.boot != 0 && sight->fleet_ms > 0 &&
        truetime_sight(&boot, sight->fleet_ms, signed_of(sight->asked_ms),
                       signed_of(sight->came_ms), ppm_of(collector)) &&
        !save(collector, &boot, err))
        return false;
    const struct collector_moment moment = {incarnation, signed_of(event->boot_ms), event->wall_ms};
    return note_clock(collector, device, &boot, &moment, sight->fleet_ms, sight->jump_ms, err);
}

/* Where the order is not known by time since boot or true time, the clock's word is all there is.
 */
bool collector_clock_before(struct collector *collector, const struct fleetdb_device *device,
                            const struct collector_moment *first,
                            const struct collector_moment *second, bool *ret_before,
                            struct err *err)
{
    const struct collector_moment *moments[2] = {first, second};
    struct truetime_judged at[2];
    struct fleetdb_boot boots[2];
    for (size_t i = 0; i < 2; i++) {
        const struct truetime_record record = {
            .boot_ms = moments[i]->boot_ms,
            .wall_ms = moments[i]->wall_ms,
            .received_ms = clock_wall_ms(collector->settings.clock),
        };
        if (!collector_clock_boot(collector, device, moments[i]->incarnation, &boots[i], err))
            return false;
        at[i] = truetime_judge(boots[i].boot != 0 ? &boots[i] : NULL, &record, ppm_of(collector));
    }
    if (first->incarnation == second->incarnation ||
        (boots[0].boot != 0 && boots[0].boot == boots[1].boot))
        *ret_before = first->boot_ms < second->boot_ms;
    else if (at[0].bound_ms >= 0 && at[1].bound_ms >= 0)
        *ret_before = at[0].at_ms < at[1].at_ms;
    else
        *ret_before = first->wall_ms < second->wall_ms;
    return true;
}

/* ---- judging again ---- */

static bool judge_loose(struct collector *collector, const struct fleetdb_redo *work,
                        struct err *err)
{
    struct fleetdb *db = collector->settings.db;
    struct fleetdb_boot boot;
    if (work->count > 0 && !fleetdb_boot_read(db, work->boot, &boot, err))
        return false;
    for (size_t i = 0; i < work->count; i++) {
        struct fleetdb_loose *row = &work->loose[i];
        const struct truetime_record record = {row->boot_ms, row->wall_ms, row->received_ms};
        const struct truetime_judged judged = truetime_judge(&boot, &record, ppm_of(collector));
        if (judged.at_ms == row->at_ms && judged.bound_ms == row->bound_ms)
            continue;
        row->at_ms = judged.at_ms;
        row->bound_ms = judged.bound_ms;
        if (!fleetdb_redo_write(db, work->lane, row, err))
            return false;
    }
    return fleetdb_redo_done(db, work, err);
}

/* However much work a device makes, it is served once, and then the others are. */
static bool redo(struct collector *collector, bool *ret_more, struct err *err)
{
    struct fleetdb_loose loose[REDO_ROWS];
    struct fleetdb_redo work = {.loose = loose, .max = REDO_ROWS};
    size_t rows = 0;
    for (size_t step = 0; step < REDO_STEPS && rows < REDO_ROWS_ALL; step++) {
        work.device = collector->redo_device;
        if (!fleetdb_redo_next(collector->settings.db, &work, ret_more, err))
            return false;
        if (!*ret_more) { /* and from the first device on again, unless there is none */
            *ret_more = collector->redo_device != 0;
            collector->redo_device = 0;
            return true;
        }
        if (!judge_loose(collector, &work, err))
            return false;
        collector->redo_device = work.device;
        rows += work.count;
    }
    return true;
}

void collector_clock_redo(struct collector *collector)
{
    struct err err = {0};
    if (!collector->clock_work)
        return;
    const int64_t now_ms = clock_boot_ms(collector->settings.clock);
    if (now_ms < collector->redo_at_ms)
        return;
    collector->clock_work = false;
    collector->redo_at_ms = now_ms + redo_pause_ms;
    struct fleetdb *db = collector->settings.db;
    bool more = false, done = false;
    if (fleetdb_begin(db, &err)) {
        done = redo(collector, &more, &err);
        if (done)
            done = fleetdb_commit(db, &err);
        else
            fleetdb_rollback(db);
    }
    if (!done)
        log_error("times not corrected, it is tried again with what comes next: %s", err.text);
    collector->clock_work = done && more;
}

int64_t collector_clock_wait(struct collector *collector, int64_t wait_ms)
{
    if (!collector->clock_work)
        return wait_ms;
    const int64_t left_ms = collector->redo_at_ms - clock_boot_ms(collector->settings.clock);
    const int64_t due_ms = left_ms > 1 ? left_ms : 1;
    return wait_ms >= 0 && wait_ms < due_ms ? wait_ms : due_ms;
}
