/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/keeping.h"

#include "base/log.h"
#include "storage/fleetdb_erase.h"
#include "storage/fleetdb_room.h"

#include <stdio.h>
#include <string.h>

enum {
    ROWS_FIRST = 64,
    ROWS_MOST = 1024,
    ROWS_LEAST = 8,
    STEP_MS = 8,    /* a step is to take no longer */
    REST_TIMES = 4, /* as long as a step took, others have the loop */
    REST_LEAST_MS = 5,
    GIVE_BACK_BYTES = 512 * 1024,
    TRY_AGAIN_MS = 5000, /* what keeps an erasure from its end */
    NOTE_MS = 3600 * 1000,
};

int64_t keeping_from_ms(const struct keeping *keeping, enum fleetdb_kept kept)
{
    const int64_t age_ms = keeping->settings.age_ms[kept];
    const int64_t now_ms = keeping->time.note.doubted_ms == 0
                               ? clock_wall_ms(keeping->settings.clock)
                               : keeping->time.note.believed_ms;
    return age_ms == 0 ? 0 : now_ms - age_ms;
}

static void fail(struct keeping *keeping, const char *doing, const struct err *why)
{
    (void)snprintf(keeping->trouble, sizeof keeping->trouble, "%s: %.280s", doing, why->text);
    log_error("retention: %s", keeping->trouble);
}

/* ---- by which time? ---- */

static bool read_note(struct keeping *keeping, struct err *err)
{
    if (keeping->time.looked)
        return true;
    if (!fleetdb_kept_clock_read(keeping->settings.db, &keeping->noted, err))
        return false;
    keeping->time.note = keeping->noted;
    return true;
}

static bool write_note(struct keeping *keeping, struct err *err)
{
    const struct fleetdb_kept_clock *note = &keeping->time.note, *noted = &keeping->noted;
    const int64_t apart_ms = note->believed_ms - noted->believed_ms;
    if ((note->doubted_ms == 0) == (noted->doubted_ms == 0) && note->held_ms >= noted->held_ms &&
        noted->believed_ms != 0 && apart_ms < NOTE_MS && apart_ms > -NOTE_MS)
        return true;
    if (!fleetdb_kept_clock_write(keeping->settings.db, note, err))
        return false;
    keeping->noted = *note;
    return true;
}

static void tell_doubt(const struct keeping *keeping)
{
    const struct fleetdb_kept_clock *note = &keeping->time.note;
    char says[32], expected[32];
    clock_format(note->doubted_ms, says);
    clock_format(note->believed_ms, expected);
    log_error("retention: the clock says %.19sZ, and about %.19sZ was expected: nothing is removed "
              "until it has gone on like that for %d h; if it is wrong, set this machine's clock",
              says, expected, KEEPING_HELD_MS / (3600 * 1000));
}

/* Returns whether there is a time to remove records by. What cannot be noted is not gone by. */
static bool look_at_clock(struct keeping *keeping, int64_t boot_ms)
{
    struct keeping_clock *time = &keeping->time;
    struct err err = {0};
    if (!read_note(keeping, &err)) {
        fail(keeping, "clock", &err);
        return false;
    }
    const struct fleetdb_kept_clock before = time->note;
    const bool first = !time->looked;
    const bool believed = keeping_clock_look(time, clock_wall_ms(keeping->settings.clock), boot_ms);
    if (!believed &&
        (first || (time->note.held_ms == 0 && before.doubted_ms != time->note.doubted_ms)))
        tell_doubt(keeping);
    if (believed && before.doubted_ms != 0) {
        log_info("retention: the clock is believed again");
        keeping->begins_ms = 0;
    }
    metrics_set(keeping->settings.metrics, METRIC_RETENTION_HELD, !believed);
    if (!write_note(keeping, &err)) {
        fail(keeping, "clock", &err);
        return false;
    }
    return believed;
}

/* ---- one kind after the other ---- */

static void end_ageing(struct keeping *keeping)
{
    keeping->phase = KEEPING_GIVES_BACK;
    keeping->gave_back = false;
}

static void next_kind(struct keeping *keeping)
{
    keeping->after = 0;
    if (++keeping->kept == FLEETDB_KEPTS)
        end_ageing(keeping);
}

static void age(struct keeping *keeping)
{
    const struct keeping_settings *settings = &keeping->settings;
    const int64_t now_ms = clock_wall_ms(settings->clock);
    const int64_t age_ms = settings->age_ms[keeping->kept];
    const struct fleetdb_ageing ageing = {
        .before_ms = now_ms - age_ms,
        .open_before_ms = settings->open_age_ms == 0 ? 0 : now_ms - settings->open_age_ms,
        .rows = keeping->rows,
    };
    struct err err = {0};
    uint64_t removed = 0;
    bool more = false;
    if (age_ms == 0) {
        next_kind(keeping);
        return;
    }
    if (!fleetdb_age(settings->db, keeping->kept, &ageing, &keeping->after, &removed, &more,
                     &err)) {
        fail(keeping, fleetdb_kept_word(keeping->kept), &err);
        next_kind(keeping);
        return;
    }
    metrics_add(settings->metrics, METRIC_AGED_RESULTS + keeping->kept, removed);
    if (!more)
        next_kind(keeping);
}

/* ---- room ---- */

static void end(struct keeping *keeping)
{
    const struct keeping_settings *settings = &keeping->settings;
    keeping->phase = KEEPING_RESTS;
    keeping->begins_ms = clock_boot_ms(settings->clock) + settings->every_ms;
    keeping->passed_ms = clock_wall_ms(settings->clock);
}

static void give_back(struct keeping *keeping)
{
    const struct keeping_settings *settings = &keeping->settings;
    struct err err = {0};
    int64_t bytes = 0;
    bool more = false;
    if (!fleetdb_room_give_back(settings->db, settings->spare_bytes, GIVE_BACK_BYTES, &bytes, &more,
                                &err)) {
        fail(keeping, "room", &err);
        end(keeping);
        return;
    }
    metrics_add(settings->metrics, METRIC_GIVEN_BACK, (uint64_t)bytes);
    keeping->gave_back = keeping->gave_back || bytes > 0;
    if (more)
        return;
    if (keeping->gave_back && !fleetdb_room_checkpoint(settings->db, false, &err))
        fail(keeping, "checkpoint", &err);
    end(keeping);
}

/* ---- erasure of a merchant ---- */

void keeping_wake(struct keeping *keeping)
{
    keeping->due_ms = 0;
    keeping->erases_ms = 0;
}

/* Told once, however often it is tried. */
static void cannot_erase(struct keeping *keeping, const struct err *why)
{
    if (strncmp(keeping->erasing_trouble, why->text, sizeof keeping->erasing_trouble - 1) != 0)
        log_error("erasure of a merchant: %s", why->text);
    (void)snprintf(keeping->erasing_trouble, sizeof keeping->erasing_trouble, "%.310s", why->text);
}

/* Returns whether it got any further; else others have their turn until it is tried again. */
static bool erase(struct keeping *keeping)
{
    const struct keeping_settings *settings = &keeping->settings;
    struct err err = {0};
    if (!fleetdb_erase_step(settings->db, keeping->rows, clock_wall_ms(settings->clock), &err)) {
        cannot_erase(keeping, &err);
        keeping->erases_ms = clock_boot_ms(settings->clock) + TRY_AGAIN_MS;
        return false;
    }
    keeping->erasing_trouble[0] = '\0';
    if (!fleetdb_erasing(settings->db))
        log_info("erasure of a merchant: done");
    return true;
}

/* ---- steps ---- */

static void begin(struct keeping *keeping)
{
    keeping->phase = KEEPING_AGES;
    keeping->kept = 0;
    keeping->after = 0;
    keeping->trouble[0] = '\0';
}

/* Disks differ: a step is as large as its time lets it be. */
static void pace(struct keeping *keeping, int64_t took_ms)
{
    if (took_ms > STEP_MS && keeping->rows > ROWS_LEAST)
        keeping->rows /= 2;
    else if (took_ms < STEP_MS / 2 && keeping->rows < ROWS_MOST)
        keeping->rows *= 2;
}

static void work(struct keeping *keeping, bool believed)
{
    if (keeping->phase == KEEPING_RESTS)
        begin(keeping);
    if (keeping->phase == KEEPING_GIVES_BACK)
        give_back(keeping);
    else if (believed)
        age(keeping);
    else
        end_ageing(keeping);
}

/* Until the next pass, or until an erasure is tried again; the time is looked at before, so that
 * its note is not old. */
static int64_t rest_ms(const struct keeping *keeping, int64_t boot_ms)
{
    int64_t left_ms = keeping->begins_ms - boot_ms;
    if (fleetdb_erasing(keeping->settings.db) && keeping->erases_ms - boot_ms < left_ms)
        left_ms = keeping->erases_ms - boot_ms;
    return left_ms < NOTE_MS ? left_ms : NOTE_MS;
}

int64_t keeping_step(struct keeping *keeping)
{
    const struct clock *clock = keeping->settings.clock;
    const int64_t began_ms = clock_boot_ms(clock);
    if (began_ms < keeping->due_ms)
        return keeping->due_ms - began_ms;
    if (keeping->rows == 0)
        keeping->rows = ROWS_FIRST;
    const bool believed = look_at_clock(keeping, began_ms);
    const bool erases =
        fleetdb_erasing(keeping->settings.db) && began_ms >= keeping->erases_ms && erase(keeping);
    if (!erases && (keeping->phase != KEEPING_RESTS || began_ms >= keeping->begins_ms))
        work(keeping, believed);
    const int64_t ended_ms = clock_boot_ms(clock), took_ms = ended_ms - began_ms;
    pace(keeping, took_ms);
    int64_t wait_ms = REST_TIMES * took_ms > REST_LEAST_MS ? REST_TIMES * took_ms : REST_LEAST_MS;
    if (keeping->phase == KEEPING_RESTS && rest_ms(keeping, ended_ms) > wait_ms)
        wait_ms = rest_ms(keeping, ended_ms);
    keeping->due_ms = ended_ms + wait_ms;
    return wait_ms;
}
