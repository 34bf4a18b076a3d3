/* SPDX-License-Identifier: Apache-2.0 */
/* POST /api/v1/inventory: all that ops say of all devices, kept whole or not at all. It is read and
 * held to its form in turns of the loop, and then written in one. */
#include "fleet/api_places.h"
#include "fleet/device_change.h"
#include "fleet/import_claims.h"
#include "fleet/import_others.h"
#include "fleet/import_row.h"
#include "storage/fleetdb_labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 20000, REFUSED_SHOWN = 200, DUTIES_SHOWN = 200, TURN_MS = 20 };

struct refusal {
    char *text; /* NULL: it is not refused */
    enum err_code code;
};

struct import {
    struct fleetdb *db;
    const struct clock *clock;
    char who[64];
    struct fleetdb_change change;
    bool dry_run;
    json_t *object; /* the body */
    const json_t *lines;
    size_t count, next; /* lines, and those that were read */
    struct import_row *rows;
    struct device_change *before; /* of each line's device */
    bool *lets_go;                /* the line's device has lost what the line does not name */
    struct refusal *refusals;     /* of each line */
    bool written;                 /* kept or not: only the answer is left */
    json_t *shown;                /* refusals, the first */
    struct import_claims claims;
    json_t *stores; /* rows of those that were said, by merchant and code */
    int64_t made, changed, same, keyless, refused;
    int64_t last_duty; /* of those before */
    json_t *duties;    /* that came of it, the first */
    int64_t duty_count;
};

/* ---- reading ---- */

/* Not this line's fault, but the disk's. */
static bool is_trouble(enum err_code code)
{
    return code != ERR_INVALID && code != ERR_CONFLICT && code != ERR_REFUSED &&
           code != ERR_NOT_FOUND;
}

static bool refuse(struct import *import, size_t line, const struct err *why, struct err *err)
{
    if (is_trouble(why->code))
        return err_set(err, why->code, "device %zu: %s", line + 1, why->text);
    struct refusal *refusal = &import->refusals[line];
    if (refusal->text != NULL)
        return true;
    import->refused++;
    *refusal = (struct refusal){strdup(why->text), why->code};
    return refusal->text != NULL || api_no_memory(err);
}

static bool read_line(struct import *import, size_t line, struct err *err)
{
    struct err why = {0};
    if (!import_row_read(json_array_get(import->lines, line), &import->rows[line], &why))
        return refuse(import, line, &why, err);
    return import_claims_add(&import->claims, line, err);
}

/* device 0: there is none. */
static bool find(struct fleetdb *db, const char *id, struct fleetdb_device *ret_device,
                 struct err *err)
{
    struct err why = {0};
    return fleetdb_device_find(db, id, ret_device, &why) || why.code == ERR_NOT_FOUND ||
           err_set(err, why.code, "%s", why.text);
}

/* ---- letting go ---- */

static bool let_go(struct import *import, size_t line, struct err *err)
{
    struct fleetdb_device known = {0};
    const struct fleetdb_enrolment *said = &import->rows[line].enrolment;
    if (!find(import->db, said->id, &known, err) ||
        !device_change_begin(import->db, known.device, &import->before[line], err))
        return false;
    const int64_t writes = fleetdb_writes(import->db);
    const bool done = known.device == 0 || said->keep_terminals ||
                      fleetdb_device_let_go(import->db, &known, said->terminals,
                                            said->terminal_count, &import->change, err);
    import->lets_go[line] = fleetdb_writes(import->db) != writes;
    return done;
}

/* First, so that lines may hand logical terminals to one another, whatever their order. */
static bool let_all_go(struct import *import, struct err *err)
{
    for (size_t line = 0; line < import->count; line++) {
        struct err why = {0};
        if (import->refusals[line].text == NULL && !let_go(import, line, &why) &&
            !refuse(import, line, &why, err))
            return false;
    }
    return true;
}

/* ---- writing ---- */

static bool set_life(const struct import *import, const char *id, enum fleetdb_life life,
                     struct err *err)
{
    struct fleetdb_device device;
    if (!fleetdb_device_find(import->db, id, &device, err))
        return false;
    return device.life == life ||
           ((life != FLEETDB_RETIRED || place_check_empty(import->db, &device, err)) &&
            fleetdb_device_live(import->db, &device, life, &import->change, err));
}

static void name_store(const struct fleetdb_enrolment *enrolment, char *key, size_t size)
{
    (void)snprintf(key, size, "%s\x1f%s", enrolment->merchant_id, enrolment->store_id);
}

/* A store of which all lines say the same is said once. */
static bool enrol(struct import *import, const struct fleetdb_enrolment *said, bool clash,
                  int64_t *ret_device, struct err *err)
{
    char key[160];
    struct fleetdb_enrolment enrolment = *said;
    const bool once = enrolment.merchant_id != NULL && !clash;
    if (once) {
        name_store(&enrolment, key, sizeof key);
        enrolment.store = json_integer_value(json_object_get(import->stores, key));
    }
    if (!fleetdb_enrol(import->db, &enrolment, import->change.now_ms, ret_device, err))
        return false;
    if (!once || enrolment.store != 0)
        return true;
    return fleetdb_store_find(import->db, enrolment.merchant_id, enrolment.store_id,
                              &enrolment.store, err) &&
           api_put(import->stores, key, json_integer(enrolment.store), err);
}

/* As it was read; a device that was retired and stays so is only held to its names. */
static bool put_row(struct import *import, const struct import_row *row, bool clash,
                    const struct fleetdb_device *known, int64_t *ret_device, struct err *err)
{
    static const struct fleetdb_store nowhere = {.merchant = FLEETDB_NOWHERE,
                                                 .store = FLEETDB_NOWHERE};
    struct fleetdb_enrolment enrolment = row->enrolment;
    const bool retired = known->device != 0 && known->life == FLEETDB_RETIRED;
    *ret_device = known->device;
    if (retired && (!row->has_life || row->life == FLEETDB_RETIRED))
        return true;
    if (known->device == 0 && enrolment.merchant_id == NULL)
        place_enrol(&nowhere, &enrolment);
    enrolment.who = import->change.who;
    enrolment.why = import->change.why;
    if (retired && !set_life(import, enrolment.id, FLEETDB_SPARE, err))
        return false;
    return enrol(import, &enrolment, clash, ret_device, err) &&
           (!row->has_life || set_life(import, enrolment.id, row->life, err));
}

static bool count_row(struct import *import, const struct fleetdb_device *known, int64_t device,
                      bool changed, struct err *err)
{
    struct fleetdb_key keys[FLEETDB_KEYS_MAX];
    size_t count = 0;
    if (!fleetdb_agent_keys(import->db, device, import->change.now_ms, keys, &count, err))
        return false;
    import->keyless += count == 0;
    if (known->device == 0)
        import->made++;
    else if (changed)
        import->changed++;
    else
        import->same++;
    return true;
}

static bool write_row(struct import *import, size_t line, bool clash, struct err *err)
{
    const struct import_row *row = &import->rows[line];
    struct fleetdb_device known = {0};
    int64_t device = 0;
    const int64_t writes = fleetdb_writes(import->db);
    if (!find(import->db, row->enrolment.id, &known, err) ||
        !put_row(import, row, clash, &known, &device, err) ||
        (row->has_labels &&
         !fleetdb_labels_only(import->db, device, row->labels, row->label_count, err)))
        return false;
    const bool changed = import->lets_go[line] || fleetdb_writes(import->db) != writes;
    import->lets_go[line] = false;
    return (!changed || device_change_audit(import->db, device, &import->before[line], "import",
                                            &import->change, err)) &&
           count_row(import, &known, device, changed, err);
}

static bool write_rows(struct import *import, struct err *err)
{
    for (size_t line = 0; line < import->count; line++) {
        struct err why = {0};
        if (import->refusals[line].text == NULL &&
            !write_row(import, line, import_claims_clash(&import->claims, line), &why) &&
            !refuse(import, line, &why, err))
            return false;
    }
    return true;
}

/* Said once more, none of those that clash may change anything: else two lines say otherwise of one
 * device, merchant, store or logical terminal. */
static bool check_agreement(struct import *import, struct err *err)
{
    static const struct err otherwise = {.code = ERR_CONFLICT,
                                         .text = "another line says otherwise"};
    struct import again = *import;
    for (size_t line = 0; line < import->count; line++) {
        struct err why = {0};
        const int64_t writes = fleetdb_writes(import->db);
        if (!import_claims_clash(&import->claims, line))
            continue;
        const bool written = write_row(&again, line, true, &why);
        if ((!written && !refuse(import, line, &why, err)) ||
            (written && fleetdb_writes(import->db) != writes &&
             !refuse(import, line, &otherwise, err)))
            return false;
    }
    return true;
}

/* Those that came of it; what was told in vain is done already. */
static bool add_duty(void *ctx, const struct fleetdb_duty_view *view, struct err *err)
{
    struct import *import = ctx;
    if (view->duty <= import->last_duty)
        return true;
    return import->duty_count++ >= DUTIES_SHOWN || place_add_duty(import->duties, view, err);
}

static bool write_all(struct import *import, struct err *err)
{
    char text[160];
    const int64_t writes = fleetdb_writes(import->db);
    if (!fleetdb_duties_last(import->db, &import->last_duty, err) || !let_all_go(import, err) ||
        !write_rows(import, err))
        return false;
    const bool written = fleetdb_writes(import->db) != writes; /* else all is as every line says */
    if (written && import->refused == 0 && !check_agreement(import, err))
        return false;
    (void)snprintf(text, sizeof text, "%lld new, %lld changed, %lld as before",
                   (long long)import->made, (long long)import->changed, (long long)import->same);
    return import->refused > 0 || import->made + import->changed == 0 ||
           (fleetdb_duties_each(import->db, (struct fleetdb_scope){0}, 0, false, add_duty, import,
                                err) &&
            fleetdb_audit(import->db, import->change.now_ms, import->change.who, "import", 0, text,
                          err));
}

/* A dry run goes all the way, and back. */
static bool keep_all(struct import *import, struct err *err)
{
    if (!fleetdb_begin(import->db, err))
        return false;
    const bool done = write_all(import, err);
    if (done && !import->dry_run && import->refused == 0)
        return fleetdb_commit(import->db, err);
    fleetdb_rollback(import->db);
    return done;
}

/* ---- the answer ---- */

/* What is wrong by itself contradicts nobody. */
static bool show_refusal(const struct import *import, size_t line, struct err *err)
{
    json_t *others = NULL;
    const struct refusal *refusal = &import->refusals[line];
    if (refusal->text == NULL)
        return true;
    if (refusal->code == ERR_CONFLICT && !import_others_of(import->lines, line, &others, err))
        return false;
    return api_append(import->shown,
                      json_pack("{s:I, s:s, s:o}", "row", (json_int_t)line, "text", refusal->text,
                                "others", others != NULL ? others : json_array()),
                      err);
}

static bool show_refused(struct import *import, int64_t until_ms, bool *ret_done, struct err *err)
{
    do {
        if (import->next == import->count || json_array_size(import->shown) == REFUSED_SHOWN) {
            *ret_done = true;
            return true;
        }
        if (!show_refusal(import, import->next++, err))
            return false;
    } while (clock_boot_ms(import->clock) < until_ms);
    return true;
}

static bool answer_import(const struct import *import, struct api_answer *answer, struct err *err)
{
    return api_give(answer,
                    json_pack("{s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:O, s:I, s:O}", "kept",
                              (int)(import->refused == 0 && !import->dry_run), "dry_run",
                              (int)import->dry_run, "new", (json_int_t)import->made, "changed",
                              (json_int_t)import->changed, "same", (json_int_t)import->same,
                              "keyless", (json_int_t)import->keyless, "refused_count",
                              (json_int_t)import->refused, "refused", import->shown, "duty_count",
                              (json_int_t)import->duty_count, "duties", import->duties),
                    err);
}

/* ---- in turns ---- */

static bool step(void *ctx, struct api_answer *answer, bool *ret_done, struct err *err)
{
    struct import *import = ctx;
    const int64_t until_ms = clock_boot_ms(import->clock) + TURN_MS;
    if (!import->written && import->next == import->count) {
        if (!keep_all(import, err))
            return false;
        import->written = true;
        import->next = 0;
    }
    if (import->written)
        return show_refused(import, until_ms, ret_done, err) &&
               (!*ret_done || answer_import(import, answer, err));
    do {
        if (!read_line(import, import->next++, err))
            return false;
    } while (import->next < import->count && clock_boot_ms(import->clock) < until_ms);
    return true;
}

static void stop(void *ctx)
{
    struct import *import = ctx;
    for (size_t line = 0; line < import->count; line++) {
        if (import->rows != NULL)
            import_row_done(&import->rows[line]);
        if (import->refusals != NULL)
            free(import->refusals[line].text);
        if (import->before != NULL)
            device_change_done(&import->before[line]);
    }
    free(import->before);
    free(import->lets_go);
    free(import->rows);
    free(import->refusals);
    import_claims_done(&import->claims);
    json_decref(import->stores);
    json_decref(import->duties);
    json_decref(import->shown);
    json_decref(import->object);
    free(import);
}

static bool begin(struct import *import, const struct api_request *request, struct err *err)
{
    const struct api_caller *caller = request->caller;
    if (!api_body(request, &import->object, err))
        return false;
    (void)snprintf(import->who, sizeof import->who, "%s", caller->name);
    import->change = (struct fleetdb_change){.who = import->who, .now_ms = request->now_ms};
    import->dry_run = json_is_true(json_object_get(import->object, "dry_run"));
    import->lines = json_object_get(import->object, "devices");
    const size_t count = json_array_size(import->lines);
    if (!place_text(import->object, "why", PLACE_TEXT_CHARS, &import->change.why, err))
        return false;
    if (count == 0 || count > ROWS_MAX)
        return err_set(err, ERR_INVALID, "devices: expected an array of 1 to %d", ROWS_MAX);
    if (import->change.why == NULL || import->change.why[0] == '\0')
        import->change.why = "imported";
    import->rows = calloc(count, sizeof *import->rows);
    import->refusals = calloc(count, sizeof *import->refusals);
    import->before = calloc(count, sizeof *import->before);
    import->lets_go = calloc(count, sizeof *import->lets_go);
    import->stores = json_object();
    import->duties = json_array();
    import->shown = json_array();
    if (import->rows == NULL || import->refusals == NULL || import->before == NULL ||
        import->lets_go == NULL || import->stores == NULL || import->duties == NULL ||
        import->shown == NULL)
        return api_no_memory(err);
    import->count = count;
    return import_claims_init(&import->claims, import->lines, err);
}

bool api_post_inventory(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    const struct api_fleet *fleet = ctx;
    struct import *import = calloc(1, sizeof *import);
    if (import == NULL)
        return api_no_memory(err);
    import->db = fleet->db;
    import->clock = fleet->clock;
    if (!begin(import, request, err)) {
        stop(import);
        return false;
    }
    answer->work = (struct api_work){.step = step, .free = stop, .ctx = import, .alone = true};
    return true;
}
