/* SPDX-License-Identifier: Apache-2.0 */
/* What is done with a device: state, move, swap, labels; and what was done with it. */
#include "base/utf8.h"
#include "fleet/access.h"
#include "fleet/api_change.h"
#include "fleet/api_places.h"
#include "fleet/device_change.h"
#include "storage/fleetdb_labels.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Whoever puts a device to work is to know that nothing of it will be taken. */
static bool put_keyless(struct api_change *change, int64_t device, struct err *err)
{
    struct fleetdb_key keys[FLEETDB_KEYS_MAX];
    size_t count = 0;
    return fleetdb_agent_keys(change->db, device, change->by.now_ms, keys, &count, err) &&
           api_put(change->answer, "keyless", json_boolean(count == 0), err);
}

/* ---- POST /api/v1/devices/{}/state ---- */

static bool check_nothing_left(const struct api_change *change, struct err *err)
{
    return json_is_true(json_object_get(change->object, "give_up_records")) ||
           place_check_empty(change->db, &change->device, err);
}

static bool set_state(struct api_change *change, struct err *err)
{
    const char *word = NULL;
    enum fleetdb_life life = FLEETDB_LIVES;
    if (!api_text(change->object, "state", 16, &word, err))
        return false;
    if (!fleetdb_life_find(word, &life))
        return err_set(err, ERR_INVALID,
                       "state: expected in_service, spare, lab, repair, suspended or retired");
    if (life == FLEETDB_RETIRED && !check_nothing_left(change, err))
        return false;
    change->what = "state";
    (void)snprintf(change->text, sizeof change->text, "%s -> %s%s%s",
                   fleetdb_life_name(change->device.life), word, change->by.why[0] ? ": " : "",
                   change->by.why);
    return fleetdb_device_live(change->db, &change->device, life, &change->by, err) &&
           api_put(change->answer, "state", json_string(word), err) &&
           api_put(change->answer, "before", json_string(fleetdb_life_name(change->device.life)),
                   err) &&
           put_keyless(change, change->device.device, err);
}

bool api_set_state(void *ctx, const struct api_request *request, struct api_answer *answer,
                   struct err *err)
{
    return api_change_device(ctx, request, answer, set_state, err);
}

/* ---- POST /api/v1/devices/{}/move ---- */

static bool move(struct api_change *change, struct err *err)
{
    struct fleetdb_terminal terminals[PLACE_TERMINALS_MAX];
    struct fleetdb_move where = {.terminals = terminals};
    struct fleetdb_store store;
    const json_t *list = json_object_get(change->object, "terminals");
    where.keep_terminals = list == NULL;
    if (!place_read(change->object, &store, err) ||
        (list != NULL && !place_read_terminals(list, terminals, &where.terminal_count, err)))
        return false;
    struct device_change told = {0};
    bool done =
        device_change_begin(change->db, change->device.device, &told, err) &&
        fleetdb_store_put(change->db, &store, &change->by, &where.store, err) &&
        fleetdb_device_move(change->db, &change->device, &where, &change->by, err) &&
        device_change_audit(change->db, change->device.device, &told, "move", &change->by, err) &&
        api_put(change->answer, "merchant", json_string(store.merchant), err) &&
        api_put(change->answer, "store", json_string(store.store), err) &&
        put_keyless(change, change->device.device, err);
    device_change_done(&told);
    return done;
}

bool api_move_device(void *ctx, const struct api_request *request, struct api_answer *answer,
                     struct err *err)
{
    return api_change_device(ctx, request, answer, move, err);
}

/* ---- POST /api/v1/devices/{}/swap ---- */

static bool add_lacking(void *ctx, const struct fleetdb_lacking *lacking, struct err *err)
{
    return api_append(ctx,
                      json_pack("{s:s, s:I, s:b}", "name", lacking->name, "version",
                                (json_int_t)lacking->version, "sealed", (int)lacking->sealed),
                      err);
}

static bool swap(struct api_change *change, struct err *err)
{
    const char *id = NULL, *word = NULL;
    struct fleetdb_device to;
    enum fleetdb_life life = FLEETDB_REPAIR;
    if (!api_text(change->object, "to", 32, &id, err) ||
        !place_text(change->object, "state", 16, &word, err))
        return false;
    if (word != NULL && (!fleetdb_life_find(word, &life) || life == FLEETDB_IN_SERVICE))
        return err_set(err, ERR_INVALID,
                       "state: of the old device: expected spare, lab, repair, suspended or "
                       "retired");
    if (!access_check_device(change->db, change->caller, id, err) ||
        !fleetdb_device_find(change->db, id, &to, err) ||
        (life == FLEETDB_RETIRED && !check_nothing_left(change, err)) ||
        !fleetdb_device_swap(change->db, &change->device, &to, life, &change->by, err))
        return false;
    change->what = "swap";
    (void)snprintf(change->text, sizeof change->text, "%s takes the place of %s%s%s", to.id,
                   change->device.id, change->by.why[0] ? ": " : "", change->by.why);
    utf8_clean(change->text);
    json_t *lacking = json_array(), *duties = NULL;
    return api_put(change->answer, "to", json_string(to.id), err) &&
           api_put(change->answer, "state", json_string(fleetdb_life_name(life)), err) &&
           api_put(change->answer, "lacking", lacking, err) &&
           fleetdb_lacking_each(change->db, change->device.device, to.device, add_lacking, lacking,
                                err) &&
           place_duties(change->db, change->caller->scope, to.device, false, &duties, err) &&
           api_put(change->answer, "to_duties", duties, err) &&
           put_keyless(change, to.device, err) &&
           fleetdb_audit(change->db, change->by.now_ms, change->by.who, change->what, to.device,
                         change->text, err);
}

bool api_swap_device(void *ctx, const struct api_request *request, struct api_answer *answer,
                     struct err *err)
{
    return api_change_device(ctx, request, answer, swap, err);
}

/* ---- POST /api/v1/devices/{}/labels ---- */

/* For the audit; what is too long for it is cut. */
static MUSTER_PRINTF(2, 3) void tell(struct api_change *change, const char *fmt, ...)
{
    const size_t length = strlen(change->text);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(change->text + length, sizeof change->text - length, fmt, args);
    va_end(args);
}

static bool set_labels(struct api_change *change, const json_t *labels, struct err *err)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)labels, name, value)
    {
        const struct fleetdb_label label = {name, json_string_value(value)};
        if (!place_check_label(name, label.value, err))
            return false;
        if (!fleetdb_label_put(change->db, change->device.device, &label, err))
            return false;
        tell(change, "%s%s=%s", change->text[0] == '\0' ? "set " : ", ", label.name, label.value);
    }
    return true;
}

static bool label(struct api_change *change, struct err *err)
{
    size_t i = 0;
    const json_t *name = NULL;
    const json_t *set = json_object_get(change->object, "set");
    const json_t *remove = json_object_get(change->object, "remove");
    if ((set != NULL && !json_is_object(set)) || (remove != NULL && !json_is_array(remove)))
        return err_set(err, ERR_INVALID, "expected \"set\": {NAME: VALUE}, \"remove\": [NAME]");
    if (!set_labels(change, set, err))
        return false;
    json_array_foreach(remove, i, name)
    {
        if (!json_is_string(name))
            return err_set(err, ERR_INVALID, "remove: expected names of labels");
        if (!fleetdb_label_remove(change->db, change->device.device, json_string_value(name), err))
            return false;
        tell(change, "%s%s%s", i > 0 || change->text[0] == '\0' ? "" : "; ",
             i > 0 ? ", " : "removed ", json_string_value(name));
    }
    change->what = "label";
    if (change->by.why[0] != '\0')
        tell(change, ": %s", change->by.why);
    json_t *labels = place_labels(change->db, change->device.device, err);
    return labels != NULL && api_put(change->answer, "labels", labels, err);
}

bool api_label_device(void *ctx, const struct api_request *request, struct api_answer *answer,
                      struct err *err)
{
    return api_change_device(ctx, request, answer, label, err);
}

/* ---- GET /api/v1/devices/{}/history ---- */

static bool add_standing(void *ctx, const struct fleetdb_standing_view *view, struct err *err)
{
    return api_append(
        ctx,
        json_pack("{s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s}", "from_ms", (json_int_t)view->from_ms,
                  "to_ms", (json_int_t)view->to_ms, "state", view->life, "merchant", view->merchant,
                  "store", view->store, "region", view->region, "why", view->why, "who", view->who),
        err);
}

static bool add_carried(void *ctx, const struct fleetdb_carried_view *view, struct err *err)
{
    return api_append(ctx,
                      json_pack("{s:I, s:I, s:s, s:I, s:s, s:s, s:s}", "from_ms",
                                (json_int_t)view->from_ms, "to_ms", (json_int_t)view->to_ms,
                                "device", view->device, "index", (json_int_t)view->slot, "acquirer",
                                view->acquirer, "tid", view->tid, "mid", view->mid),
                      err);
}

/* Of a device that has left: what was so until then. */
bool api_show_history(void *ctx, const struct api_request *request, struct api_answer *answer,
                      struct err *err)
{
    const struct api_fleet *fleet = ctx;
    struct fleetdb_device device;
    json_t *standings = json_array(), *terminals = json_array(), *duties = NULL;
    const struct fleetdb_scope scope = request->caller->scope;
    answer->json = json_pack("{s:s, s:o, s:o}", "id", request->args[0], "standings", standings,
                             "terminals", terminals);
    if (answer->json == NULL)
        return api_no_memory(err);
    return access_check_held(fleet->db, request->caller, request->args[0], err) &&
           fleetdb_device_find(fleet->db, request->args[0], &device, err) &&
           fleetdb_standing_each(fleet->db, scope, device.device, add_standing, standings, err) &&
           fleetdb_carried_each(fleet->db, scope, device.device, add_carried, terminals, err) &&
           place_duties(fleet->db, scope, device.device, true, &duties, err) &&
           api_put(answer->json, "duties", duties, err);
}

/* ---- GET /api/v1/terminals/{} ---- */

/* The story of a TID, from device to device. */
bool api_show_terminal(void *ctx, const struct api_request *request, struct api_answer *answer,
                       struct err *err)
{
    const struct api_fleet *fleet = ctx;
    json_t *carriers = json_array();
    answer->json = json_pack("{s:s, s:o}", "tid", request->args[0], "carriers", carriers);
    if (answer->json == NULL)
        return api_no_memory(err);
    if (!fleetdb_carriers_each(fleet->db, request->caller->scope, request->args[0], add_carried,
                               carriers, err))
        return false;
    return json_array_size(carriers) > 0 ||
           err_set(err, ERR_NOT_FOUND, "no logical terminal with TID %s", request->args[0]);
}
