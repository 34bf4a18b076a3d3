/* SPDX-License-Identifier: Apache-2.0 */
/* All that ops say of all devices, out and in again. What comes in is kept whole or not at all. */
#include "fleet/api_places.h"
#include "fleet/base64.h"
#include "fleet/device_change.h"
#include "proto/seal.h"
#include "proto/topics.h"
#include "storage/fleetdb_labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 20000, REFUSED_SHOWN = 200, LABELS_MAX = 64, NAME_CHARS = 64 };

/* Where a device stands until somebody says. */
#define NOWHERE "unassigned"

/* ---- GET /api/v1/inventory ---- */

static bool add_device(void *ctx, const struct fleetdb_inventory_view *view, struct err *err)
{
    struct buf key = {0};
    const struct fleetdb_store *store = &view->store;
    bool done = base64_encode(view->agent_key, &key, err);
    json_t *device = json_pack(
        "{s:s, s:s, s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s, s:s, s:s, s:s, s:s}, s:o, s:o, s:s}", "id",
        view->id, "serial", view->serial, "model", view->model, "state", view->life, "merchant",
        "id", store->merchant, "name", store->merchant_name, "store", "id", store->store, "name",
        store->store_name, "region", store->region, "time_zone", store->time_zone, "opening_hours",
        store->opening_hours, "address", store->address, "terminals",
        json_loads(view->terminals, 0, NULL), "labels", json_loads(view->labels, 0, NULL),
        "agent_key", done && key.length > 0 ? (const char *)key.data : "");
    buf_done(&key);
    if (!done) {
        json_decref(device);
        return false;
    }
    return api_append(ctx, device, err);
}

bool api_show_inventory(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    (void)request;
    const struct api_fleet *fleet = ctx;
    json_t *list = api_list(answer, "devices", err);
    return list != NULL && fleetdb_inventory_each(fleet->db, add_device, list, err);
}

/* ---- POST /api/v1/inventory ---- */

struct row {
    struct fleetdb_terminal terminals[PLACE_TERMINALS_MAX];
    struct fleetdb_label labels[LABELS_MAX];
    size_t label_count;
    bool has_labels, has_life;
    enum fleetdb_life life;
    struct buf key;
    struct fleetdb_enrolment enrolment;
};

static bool read_key(const json_t *object, struct row *row, struct err *err)
{
    const char *text = NULL;
    struct verify_key *key = NULL;
    if (!place_text(object, "agent_key", 2 * (size_t)FLEETDB_KEY_BYTES, &text, err))
        return false;
    if (text == NULL || text[0] == '\0')
        return true;
    if (!api_base64(object, "agent_key", FLEETDB_KEY_BYTES, &row->key, err))
        return false;
    row->enrolment.agent_key = buf_bytes(&row->key);
    if (!verify_key_of_spki(row->enrolment.agent_key, &key, err))
        return err_context(err, "agent_key");
    verify_key_free(key);
    return true;
}

static bool read_life(const json_t *object, struct row *row, struct err *err)
{
    const char *word = NULL;
    if (!place_text(object, "state", 16, &word, err))
        return false;
    row->has_life = word != NULL && word[0] != '\0';
    if (row->has_life && !fleetdb_life_find(word, &row->life))
        return err_set(err, ERR_INVALID,
                       "state \"%s\": expected in_service, spare, lab, repair, suspended or "
                       "retired",
                       word);
    /* Nothing is placed that is retired: one that is new retires afterwards. */
    row->enrolment.life = !row->has_life                 ? FLEETDB_IN_SERVICE
                          : row->life == FLEETDB_RETIRED ? FLEETDB_SPARE
                                                         : row->life;
    return true;
}

static bool read_labels(const json_t *object, struct row *row, struct err *err)
{
    const char *name = NULL;
    json_t *value = NULL, *labels = json_object_get(object, "labels");
    row->has_labels = labels != NULL;
    if (labels != NULL && (!json_is_object(labels) || json_object_size(labels) > LABELS_MAX))
        return err_set(err, ERR_INVALID, "labels: expected at most %d", LABELS_MAX);
    json_object_foreach(labels, name, value)
    {
        if (!place_check_label(name, json_string_value(value), err))
            return false;
        row->labels[row->label_count++] = (struct fleetdb_label){name, json_string_value(value)};
    }
    return true;
}

/* Nothing is said of a place whose codes are both empty. */
static bool read_place(const json_t *object, bool is_new, struct fleetdb_enrolment *enrolment,
                       struct err *err)
{
    struct fleetdb_store store = {.merchant = is_new ? NOWHERE : NULL, .store = NOWHERE};
    const char *merchant = NULL, *code = NULL;
    if (!place_text(json_object_get(object, "merchant"), "id", NAME_CHARS, &merchant, err) ||
        !place_text(json_object_get(object, "store"), "id", NAME_CHARS, &code, err))
        return false;
    bool said = (merchant != NULL && merchant[0] != '\0') || (code != NULL && code[0] != '\0');
    if (said && !place_read(object, &store, err))
        return false;
    place_enrol(&store, enrolment);
    return true;
}

static bool read_row(const json_t *object, struct row *row, struct err *err)
{
    struct fleetdb_enrolment *enrolment = &row->enrolment;
    const json_t *terminals = json_object_get(object, "terminals");
    enrolment->terminals = row->terminals;
    enrolment->keep_terminals = terminals == NULL;
    if (!json_is_object(object))
        return err_set(err, ERR_INVALID, "expected an object for each device");
    if (!api_text(object, "id", 32, &enrolment->id, err) ||
        !api_text(object, "serial", NAME_CHARS, &enrolment->serial, err) ||
        !api_text(object, "model", NAME_CHARS, &enrolment->model, err) ||
        !read_key(object, row, err) || !read_life(object, row, err) ||
        !read_labels(object, row, err) ||
        (terminals != NULL &&
         !place_read_terminals(terminals, row->terminals, &enrolment->terminal_count, err)))
        return false;
    if (row->has_life && row->life == FLEETDB_RETIRED && enrolment->terminal_count > 0)
        return err_set(err, ERR_INVALID, "a retired device carries no logical terminals");
    return device_id_valid(enrolment->id) ||
           err_set(err, ERR_INVALID, "id \"%.40s\": expected 1 to 32 of a-z, 0-9 and '-'",
                   enrolment->id);
}

struct import {
    struct fleetdb *db;
    struct fleetdb_change change;
    int64_t made, changed, same, keyless;
    int64_t refused;
    json_t *shown; /* [{"row", "text"}], the first of those that are refused */
};

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

/* One row as it is read; a device that was retired and stays so is only held to its names. */
static bool put_row(struct import *import, struct row *row, const struct fleetdb_device *known,
                    int64_t *ret_device, struct err *err)
{
    struct fleetdb_enrolment *enrolment = &row->enrolment;
    bool retired = known->device != 0 && known->life == FLEETDB_RETIRED;
    *ret_device = known->device;
    if (retired && (!row->has_life || row->life == FLEETDB_RETIRED))
        return true;
    enrolment->who = import->change.who;
    enrolment->why = import->change.why;
    if (retired && !set_life(import, enrolment->id, FLEETDB_SPARE, err))
        return false;
    if (!fleetdb_enrol(import->db, enrolment, import->change.now_ms, ret_device, err))
        return false;
    return !row->has_life || set_life(import, enrolment->id, row->life, err);
}

static bool count_row(struct import *import, const struct fleetdb_device *known, int64_t device,
                      int64_t writes, struct err *err)
{
    struct fleetdb_key keys[FLEETDB_KEYS_MAX];
    size_t count = 0;
    if (!fleetdb_agent_keys(import->db, device, import->change.now_ms, keys, &count, err))
        return false;
    import->keyless += count == 0;
    if (known->device == 0)
        import->made++;
    else if (fleetdb_writes(import->db) != writes)
        import->changed++;
    else
        import->same++;
    return true;
}

/* device 0: there is none. */
static bool find(struct fleetdb *db, const char *id, struct fleetdb_device *ret_device,
                 struct err *err)
{
    struct err why = {0};
    return fleetdb_device_find(db, id, ret_device, &why) || why.code == ERR_NOT_FOUND ||
           err_set(err, why.code, "%s", why.text);
}

static bool import_row(struct import *import, const json_t *object, struct err *err)
{
    struct row row = {0};
    struct fleetdb_device known = {0};
    struct device_change told = {0};
    int64_t device = 0;
    const int64_t writes = fleetdb_writes(import->db);
    bool done = read_row(object, &row, err) && find(import->db, row.enrolment.id, &known, err) &&
                read_place(object, known.device == 0, &row.enrolment, err) &&
                device_change_begin(import->db, known.device, &told, err) &&
                put_row(import, &row, &known, &device, err) &&
                (!row.has_labels ||
                 fleetdb_labels_only(import->db, device, row.labels, row.label_count, err)) &&
                (fleetdb_writes(import->db) == writes ||
                 device_change_audit(import->db, device, &told, "import", &import->change, err)) &&
                count_row(import, &known, device, writes, err);
    device_change_done(&told);
    buf_done(&row.key);
    return done;
}

/* Not this row's fault, but the disk's. */
static bool is_trouble(enum err_code code)
{
    return code != ERR_INVALID && code != ERR_CONFLICT && code != ERR_REFUSED &&
           code != ERR_NOT_FOUND;
}

static bool refuse(struct import *import, size_t row, const char *text, struct err *err)
{
    return import->refused++ >= REFUSED_SHOWN ||
           api_append(import->shown, json_pack("{s:I, s:s}", "row", (json_int_t)row, "text", text),
                      err);
}

static bool import_rows(struct import *import, const json_t *rows, struct err *err)
{
    size_t i = 0;
    const json_t *object = NULL;
    json_array_foreach(rows, i, object)
    {
        struct err why = {0};
        if (import_row(import, object, &why))
            continue;
        if (is_trouble(why.code))
            return err_set(err, why.code, "device %zu: %s", i + 1, why.text);
        if (!refuse(import, i, why.text, err))
            return false;
    }
    return true;
}

/* Said once more, none of it may change anything: else two rows say otherwise of one device, store
 * or logical terminal. */
static bool check_agreement(struct import *import, const json_t *rows, struct err *err)
{
    size_t i = 0;
    const json_t *object = NULL;
    struct import again = *import;
    json_array_foreach(rows, i, object)
    {
        struct err why = {0};
        const int64_t writes = fleetdb_writes(import->db);
        if (!import_row(&again, object, &why) && is_trouble(why.code))
            return err_set(err, why.code, "device %zu: %s", i + 1, why.text);
        const char *text = why.code != ERR_NONE
                               ? why.text
                               : "another line says otherwise of its device, merchant, store or "
                                 "logical terminal";
        if ((why.code != ERR_NONE || fleetdb_writes(import->db) != writes) &&
            !refuse(import, i, text, err))
            return false;
    }
    return true;
}

static bool run_import(struct import *import, const json_t *rows, struct err *err)
{
    char text[160];
    const int64_t writes = fleetdb_writes(import->db);
    if (!import_rows(import, rows, err))
        return false;
    const bool written = fleetdb_writes(import->db) != writes; /* else all is as every row says */
    if (written && import->refused == 0 && !check_agreement(import, rows, err))
        return false;
    (void)snprintf(text, sizeof text, "%lld new, %lld changed, %lld as before",
                   (long long)import->made, (long long)import->changed, (long long)import->same);
    return import->refused > 0 || import->made + import->changed == 0 ||
           fleetdb_audit(import->db, import->change.now_ms, import->change.who, "import", 0, text,
                         err);
}

static bool answer_import(const struct import *import, bool dry_run, json_t **ret_answer,
                          struct err *err)
{
    *ret_answer =
        json_pack("{s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:O}", "kept",
                  (int)(import->refused == 0 && !dry_run), "dry_run", (int)dry_run, "new",
                  (json_int_t)import->made, "changed", (json_int_t)import->changed, "same",
                  (json_int_t)import->same, "keyless", (json_int_t)import->keyless, "refused_count",
                  (json_int_t)import->refused, "refused", import->shown);
    return *ret_answer != NULL || api_no_memory(err);
}

bool api_post_inventory(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    const struct api_fleet *fleet = ctx;
    json_t *object = NULL;
    struct import import = {.db = fleet->db,
                            .change = {.who = request->caller->name, .now_ms = request->now_ms}};
    if (!api_body(request, &object, err))
        return false;
    const json_t *rows = json_object_get(object, "devices");
    bool dry_run = json_is_true(json_object_get(object, "dry_run"));
    bool done = place_text(object, "why", PLACE_TEXT_CHARS, &import.change.why, err);
    if (done && (json_array_size(rows) == 0 || json_array_size(rows) > ROWS_MAX))
        done = err_set(err, ERR_INVALID, "devices: expected an array of 1 to %d", ROWS_MAX);
    if (import.change.why == NULL || import.change.why[0] == '\0')
        import.change.why = "imported";
    import.shown = json_array();
    if (done && fleetdb_begin(fleet->db, err)) {
        done = run_import(&import, rows, err);
        if (!done || dry_run || import.refused > 0)
            fleetdb_rollback(fleet->db);
        else
            done = fleetdb_commit(fleet->db, err);
        done = done && answer_import(&import, dry_run, &answer->json, err);
    } else {
        done = false;
    }
    json_decref(import.shown);
    json_decref(object);
    return done;
}
