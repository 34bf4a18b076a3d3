/* SPDX-License-Identifier: Apache-2.0 */
/* What is done with a device: state, move, swap, labels; and what was done with it. */
#include "base/utf8.h"
#include "fleet/access.h"
#include "fleet/api_places.h"
#include "fleet/device_change.h"
#include "storage/fleetdb_labels.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "no memory for the answer");
}

/* ---- a change, all of it or none ---- */

struct deed {
    struct fleetdb *db;
    const json_t *object;
    const struct api_caller *caller;
    struct fleetdb_device device; /* that the path names */
    struct fleetdb_change change;
    const char *what; /* for the audit; NULL: it has been told */
    char text[320];
    json_t *answer; /* an object */
};

static bool put(struct deed *deed, const char *name, json_t *value, struct err *err)
{
    return json_object_set_new(deed->answer, name, value) == 0 || no_memory(err);
}

static bool put_duties(struct deed *deed, const char *name, int64_t device, struct err *err)
{
    json_t *list = NULL;
    return place_duties(deed->db, deed->caller->scope, device, false, &list, err) &&
           put(deed, name, list, err);
}

static bool do_it(struct deed *deed, bool (*act)(struct deed *deed, struct err *err),
                  struct err *err)
{
    const int64_t before = fleetdb_writes(deed->db);
    if (!act(deed, err))
        return false;
    bool changed = fleetdb_writes(deed->db) != before;
    utf8_clean(deed->text);
    return put(deed, "id", json_string(deed->device.id), err) &&
           put(deed, "changed", json_boolean(changed), err) &&
           put_duties(deed, "duties", deed->device.device, err) &&
           (!changed || deed->what == NULL ||
            fleetdb_audit(deed->db, deed->change.now_ms, deed->change.who, deed->what,
                          deed->device.device, deed->text, err));
}

/* A dry run goes all the way, and back. */
static bool change_device(void *ctx, const struct api_request *request, struct api_answer *answer,
                          bool (*act)(struct deed *deed, struct err *err), struct err *err)
{
    const struct api_fleet *fleet = ctx;
    json_t *object = NULL;
    struct deed deed = {.db = fleet->db,
                        .caller = request->caller,
                        .change = {.who = request->caller->name, .now_ms = request->now_ms}};
    if (!fleetdb_device_find(fleet->db, request->args[0], &deed.device, err) ||
        !api_body(request, &object, err))
        return false;
    bool dry_run = json_is_true(json_object_get(object, "dry_run"));
    deed.object = object;
    deed.answer = json_pack("{s:b}", "dry_run", (int)dry_run);
    bool done = place_text(object, "why", PLACE_TEXT_CHARS, &deed.change.why, err) &&
                fleetdb_begin(fleet->db, err);
    if (deed.change.why == NULL)
        deed.change.why = "";
    if (done) {
        done = do_it(&deed, act, err);
        if (!done || dry_run)
            fleetdb_rollback(fleet->db);
        else
            done = fleetdb_commit(fleet->db, err);
    }
    json_decref(object);
    if (!done) {
        json_decref(deed.answer);
        return false;
    }
    answer->json = deed.answer;
    return true;
}

/* ---- POST /api/v1/devices/{}/state ---- */

static bool check_nothing_left(const struct deed *deed, struct err *err)
{
    return json_is_true(json_object_get(deed->object, "give_up_records")) ||
           place_check_empty(deed->db, &deed->device, err);
}

static bool set_state(struct deed *deed, struct err *err)
{
    const char *word = NULL;
    enum fleetdb_life life = FLEETDB_LIVES;
    if (!api_text(deed->object, "state", 16, &word, err))
        return false;
    if (!fleetdb_life_find(word, &life))
        return err_set(err, ERR_INVALID,
                       "state: expected in_service, spare, lab, repair, suspended or retired");
    if (life == FLEETDB_RETIRED && !check_nothing_left(deed, err))
        return false;
    deed->what = "state";
    (void)snprintf(deed->text, sizeof deed->text, "%s -> %s%s%s",
                   fleetdb_life_name(deed->device.life), word, deed->change.why[0] ? ": " : "",
                   deed->change.why);
    return fleetdb_device_live(deed->db, &deed->device, life, &deed->change, err) &&
           put(deed, "state", json_string(word), err) &&
           put(deed, "before", json_string(fleetdb_life_name(deed->device.life)), err);
}

bool api_set_state(void *ctx, const struct api_request *request, struct api_answer *answer,
                   struct err *err)
{
    return change_device(ctx, request, answer, set_state, err);
}

/* ---- POST /api/v1/devices/{}/move ---- */

static bool move(struct deed *deed, struct err *err)
{
    struct fleetdb_terminal terminals[PLACE_TERMINALS_MAX];
    struct fleetdb_move where = {.terminals = terminals};
    struct fleetdb_store store;
    const json_t *list = json_object_get(deed->object, "terminals");
    where.keep_terminals = list == NULL;
    if (!place_read(deed->object, &store, err) ||
        (list != NULL && !place_read_terminals(list, terminals, &where.terminal_count, err)))
        return false;
    struct device_change told = {0};
    bool done =
        device_change_begin(deed->db, deed->device.device, &told, err) &&
        fleetdb_store_put(deed->db, &store, &deed->change, &where.store, err) &&
        fleetdb_device_move(deed->db, &deed->device, &where, &deed->change, err) &&
        device_change_audit(deed->db, deed->device.device, &told, "move", &deed->change, err) &&
        put(deed, "merchant", json_string(store.merchant), err) &&
        put(deed, "store", json_string(store.store), err);
    device_change_done(&told);
    return done;
}

bool api_move_device(void *ctx, const struct api_request *request, struct api_answer *answer,
                     struct err *err)
{
    return change_device(ctx, request, answer, move, err);
}

/* ---- POST /api/v1/devices/{}/swap ---- */

static bool add_lacking(void *ctx, const struct fleetdb_lacking *lacking, struct err *err)
{
    return json_array_append_new(ctx, json_pack("{s:s, s:I, s:b}", "name", lacking->name, "version",
                                                (json_int_t)lacking->version, "sealed",
                                                (int)lacking->sealed)) == 0 ||
           no_memory(err);
}

static bool swap(struct deed *deed, struct err *err)
{
    const char *id = NULL, *word = NULL;
    struct fleetdb_device to;
    enum fleetdb_life life = FLEETDB_REPAIR;
    if (!api_text(deed->object, "to", 32, &id, err) ||
        !place_text(deed->object, "state", 16, &word, err))
        return false;
    if (word != NULL && (!fleetdb_life_find(word, &life) || life == FLEETDB_IN_SERVICE))
        return err_set(err, ERR_INVALID,
                       "state: of the old device: expected spare, lab, repair, suspended or "
                       "retired");
    if (!access_check_device(deed->db, deed->caller, id, err) ||
        !fleetdb_device_find(deed->db, id, &to, err) ||
        (life == FLEETDB_RETIRED && !check_nothing_left(deed, err)) ||
        !fleetdb_device_swap(deed->db, &deed->device, &to, life, &deed->change, err))
        return false;
    deed->what = "swap";
    (void)snprintf(deed->text, sizeof deed->text, "%s takes the place of %s%s%s", to.id,
                   deed->device.id, deed->change.why[0] ? ": " : "", deed->change.why);
    utf8_clean(deed->text);
    json_t *lacking = json_array();
    return put(deed, "to", json_string(to.id), err) &&
           put(deed, "state", json_string(fleetdb_life_name(life)), err) &&
           put(deed, "lacking", lacking, err) &&
           fleetdb_lacking_each(deed->db, deed->device.device, to.device, add_lacking, lacking,
                                err) &&
           put_duties(deed, "to_duties", to.device, err) &&
           fleetdb_audit(deed->db, deed->change.now_ms, deed->change.who, deed->what, to.device,
                         deed->text, err);
}

bool api_swap_device(void *ctx, const struct api_request *request, struct api_answer *answer,
                     struct err *err)
{
    return change_device(ctx, request, answer, swap, err);
}

/* ---- POST /api/v1/devices/{}/labels ---- */

/* For the audit; what is too long for it is cut. */
static MUSTER_PRINTF(2, 3) void tell(struct deed *deed, const char *fmt, ...)
{
    const size_t length = strlen(deed->text);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(deed->text + length, sizeof deed->text - length, fmt, args);
    va_end(args);
}

static bool set_labels(struct deed *deed, const json_t *labels, struct err *err)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)labels, name, value)
    {
        const struct fleetdb_label label = {name, json_string_value(value)};
        if (!place_check_label(name, label.value, err))
            return false;
        if (!fleetdb_label_put(deed->db, deed->device.device, &label, err))
            return false;
        tell(deed, "%s%s=%s", deed->text[0] == '\0' ? "set " : ", ", label.name, label.value);
    }
    return true;
}

static bool label(struct deed *deed, struct err *err)
{
    size_t i = 0;
    const json_t *name = NULL;
    const json_t *set = json_object_get(deed->object, "set");
    const json_t *remove = json_object_get(deed->object, "remove");
    if ((set != NULL && !json_is_object(set)) || (remove != NULL && !json_is_array(remove)))
        return err_set(err, ERR_INVALID, "expected \"set\": {NAME: VALUE}, \"remove\": [NAME]");
    if (!set_labels(deed, set, err))
        return false;
    json_array_foreach(remove, i, name)
    {
        if (!json_is_string(name))
            return err_set(err, ERR_INVALID, "remove: expected names of labels");
        if (!fleetdb_label_remove(deed->db, deed->device.device, json_string_value(name), err))
            return false;
        tell(deed, "%s%s%s", i > 0 || deed->text[0] == '\0' ? "" : "; ", i > 0 ? ", " : "removed ",
             json_string_value(name));
    }
    deed->what = "label";
    if (deed->change.why[0] != '\0')
        tell(deed, ": %s", deed->change.why);
    json_t *labels = place_labels(deed->db, deed->device.device, err);
    return labels != NULL && put(deed, "labels", labels, err);
}

bool api_label_device(void *ctx, const struct api_request *request, struct api_answer *answer,
                      struct err *err)
{
    return change_device(ctx, request, answer, label, err);
}

/* ---- GET /api/v1/devices/{}/history ---- */

static bool add_standing(void *ctx, const struct fleetdb_standing_view *view, struct err *err)
{
    return json_array_append_new(
               ctx, json_pack("{s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s}", "from_ms",
                              (json_int_t)view->from_ms, "to_ms", (json_int_t)view->to_ms, "state",
                              view->life, "merchant", view->merchant, "store", view->store,
                              "region", view->region, "why", view->why, "who", view->who)) == 0 ||
           no_memory(err);
}

static bool add_carried(void *ctx, const struct fleetdb_carried_view *view, struct err *err)
{
    return json_array_append_new(
               ctx, json_pack("{s:I, s:I, s:s, s:I, s:s, s:s, s:s}", "from_ms",
                              (json_int_t)view->from_ms, "to_ms", (json_int_t)view->to_ms, "device",
                              view->device, "index", (json_int_t)view->slot, "acquirer",
                              view->acquirer, "tid", view->tid, "mid", view->mid)) == 0 ||
           no_memory(err);
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
        return no_memory(err);
    return access_check_held(fleet->db, request->caller, request->args[0], err) &&
           fleetdb_device_find(fleet->db, request->args[0], &device, err) &&
           fleetdb_standing_each(fleet->db, scope, device.device, add_standing, standings, err) &&
           fleetdb_carried_each(fleet->db, scope, device.device, add_carried, terminals, err) &&
           place_duties(fleet->db, scope, device.device, true, &duties, err) &&
           (json_object_set_new(answer->json, "duties", duties) == 0 || no_memory(err));
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
        return no_memory(err);
    if (!fleetdb_carriers_each(fleet->db, request->caller->scope, request->args[0], add_carried,
                               carriers, err))
        return false;
    return json_array_size(carriers) > 0 ||
           err_set(err, ERR_NOT_FOUND, "no logical terminal with TID %s", request->args[0]);
}
