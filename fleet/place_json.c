/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_places.h"
#include "fleet/opening.h"
#include "fleet/selector.h"
#include "fleet/zone.h"
#include "storage/fleetdb_account.h"
#include "storage/fleetdb_labels.h"

#include <inttypes.h>
#include <string.h>

enum { CODE_CHARS = 64 };

bool place_text(const json_t *object, const char *name, size_t max, const char **ret_text,
                struct err *err)
{
    const json_t *value = json_object_get(object, name);
    *ret_text = NULL;
    if (value == NULL || json_is_null(value))
        return true;
    if (json_is_string(value) && json_string_length(value) == 0) {
        *ret_text = "";
        return true;
    }
    return api_text(object, name, max, ret_text, err);
}

/* What selectors can name, and one store alone by MERCHANT/STORE. */
static bool is_code(const char *text)
{
    return selector_value_valid(text) && strpbrk(text, "/*?[") == NULL;
}

static bool code_text(const json_t *object, const char **ret_code, struct err *err)
{
    if (!api_text(object, "id", CODE_CHARS, ret_code, err))
        return false;
    return is_code(*ret_code) ||
           err_set(err, ERR_INVALID,
                   "id \"%.64s\": a code has none of , | ; = / * ? [ and no blank at either end",
                   *ret_code);
}

bool place_check_region(const char *name, struct err *err)
{
    return name == NULL || name[0] == '\0' || is_code(name) ||
           err_set(
               err, ERR_INVALID,
               "region \"%.64s\": a name has none of , | ; = / * ? [ and no blank at either end",
               name);
}

/* A name that is given says something. */
static bool name_text(const json_t *object, const char *name, const char **ret_text,
                      struct err *err)
{
    if (!place_text(object, name, PLACE_TEXT_CHARS, ret_text, err))
        return false;
    if (*ret_text != NULL && (*ret_text)[0] == '\0')
        *ret_text = NULL;
    return true;
}

bool place_check_zone(const char *name, struct err *err)
{
    struct zone *zone = NULL;
    if (name[0] == '\0')
        return true;
    if (!zone_open(name, &zone, err))
        return false;
    zone_close(zone);
    return true;
}

static bool check_hours(const char *hours, struct err *err)
{
    struct opening opening;
    return hours == NULL || hours[0] == '\0' || opening_parse(hours, &opening, err);
}

bool place_read(const json_t *object, struct fleetdb_store *ret_store, struct err *err)
{
    const json_t *merchant = json_object_get(object, "merchant");
    const json_t *store = json_object_get(object, "store");
    struct fleetdb_store place = {0};
    if (!code_text(merchant, &place.merchant, err) ||
        !name_text(merchant, "name", &place.merchant_name, err))
        return err_context(err, "merchant");
    if (!code_text(store, &place.store, err) || !name_text(store, "name", &place.store_name, err) ||
        !place_text(store, "region", CODE_CHARS, &place.region, err) ||
        !place_check_region(place.region, err) ||
        !place_text(store, "time_zone", ZONE_NAME_CHARS, &place.time_zone, err) ||
        !place_text(store, "opening_hours", OPENING_CHARS_MAX, &place.opening_hours, err) ||
        !place_text(store, "address", PLACE_TEXT_CHARS, &place.address, err) ||
        (place.time_zone != NULL && !place_check_zone(place.time_zone, err)) ||
        !check_hours(place.opening_hours, err))
        return err_context(err, "store");
    *ret_store = place;
    return true;
}

void place_enrol(const struct fleetdb_store *store, struct fleetdb_enrolment *enrolment)
{
    enrolment->merchant_id = store->merchant;
    enrolment->merchant_name = store->merchant_name;
    enrolment->store_id = store->store;
    enrolment->store_name = store->store_name;
    enrolment->region = store->region;
    enrolment->time_zone = store->time_zone;
    enrolment->opening_hours = store->opening_hours;
    enrolment->address = store->address;
}

bool place_read_terminals(const json_t *list,
                          struct fleetdb_terminal terminals[PLACE_TERMINALS_MAX], size_t *ret_count,
                          struct err *err)
{
    size_t i = 0;
    const json_t *object = NULL;
    if (!json_is_array(list) || json_array_size(list) > PLACE_TERMINALS_MAX)
        return err_set(err, ERR_INVALID, "terminals: expected at most %d", PLACE_TERMINALS_MAX);
    json_array_foreach(list, i, object)
    {
        int64_t index = 0;
        if (!api_number(object, "index", 0, UINT32_MAX, &index, err) ||
            !api_text(object, "acquirer", CODE_CHARS, &terminals[i].acquirer, err) ||
            !api_text(object, "tid", 8, &terminals[i].tid, err) ||
            !api_text(object, "mid", 15, &terminals[i].mid, err))
            return err_context(err, "terminal %zu", i + 1);
        terminals[i].index = (uint32_t)index;
        for (size_t j = 0; j < i; j++) {
            if (terminals[j].index == terminals[i].index)
                return err_set(err, ERR_INVALID, "two terminals of index %" PRId64, index);
            if (strcmp(terminals[j].acquirer, terminals[i].acquirer) == 0 &&
                strcmp(terminals[j].tid, terminals[i].tid) == 0 &&
                strcmp(terminals[j].mid, terminals[i].mid) == 0)
                return err_set(err, ERR_INVALID,
                               "%.64s:%s:%s has index %u and index %" PRId64
                               ": a logical terminal is in one place of a device",
                               terminals[i].acquirer, terminals[i].tid, terminals[i].mid,
                               terminals[j].index, index);
        }
    }
    *ret_count = json_array_size(list);
    return true;
}

bool place_check_empty(struct fleetdb *db, const struct fleetdb_device *device, struct err *err)
{
    struct fleetdb_account lanes[FLEETDB_LANES], sum = {0};
    if (!fleetdb_account_of(db, device->device, false, lanes, err))
        return false;
    for (int lane = 0; lane < FLEETDB_LANES; lane++)
        fleetdb_account_add(&sum, &lanes[lane]);
    return sum.buffered == 0 ||
           err_set(err, ERR_CONFLICT,
                   "%s still holds %" PRIu64 " records, which are refused once it is retired: let "
                   "them come first, or give them up",
                   device->id, sum.buffered);
}

bool place_check_label(const char *name, const char *value, struct err *err)
{
    if (!selector_label_valid(name))
        return err_set(err, ERR_INVALID,
                       "label \"%.40s\": expected [a-z][a-z0-9_.-]{0,31}, and no word that every "
                       "device has (model, store ...)",
                       name);
    return (value != NULL && selector_value_valid(value)) ||
           err_set(err, ERR_INVALID,
                   "label %s: expected a value of 1 to %d characters, none of , | ; =", name,
                   SELECTOR_VALUE_CHARS);
}

/* ---- what is told ---- */

bool place_add_duty(void *ctx, const struct fleetdb_duty_view *view, struct err *err)
{
    json_t *duty = json_pack(
        "{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:s}",
        "id", (json_int_t)view->duty, "act", view->act, "device", view->device, "serial",
        view->serial, "model", view->model, "acquirer", view->acquirer, "tid", view->tid, "mid",
        view->mid, "merchant", view->merchant, "store", view->store, "address", view->address,
        "why", view->why, "who", view->who, "since_ms", (json_int_t)view->since_ms, "done_ms",
        (json_int_t)view->done_ms, "done_who", view->done_who, "note", view->note);
    return api_append(ctx, duty, err);
}

bool place_duties(struct fleetdb *db, struct fleetdb_scope scope, int64_t device, bool all,
                  json_t **ret_list, struct err *err)
{
    json_t *list = json_array();
    if (list == NULL || !fleetdb_duties_each(db, scope, device, all, place_add_duty, list, err)) {
        json_decref(list);
        return list != NULL ? false : api_no_memory(err);
    }
    *ret_list = list;
    return true;
}

static bool add_label(void *ctx, const struct fleetdb_label *label, struct err *err)
{
    return api_put(ctx, label->name, json_string(label->value), err);
}

json_t *place_labels(struct fleetdb *db, int64_t device, struct err *err)
{
    json_t *labels = json_object();
    if (labels == NULL || fleetdb_labels_each(db, device, add_label, labels, err))
        return labels;
    json_decref(labels);
    return NULL;
}
