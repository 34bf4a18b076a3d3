/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_change.h"

#include "base/utf8.h"
#include "fleet/api_places.h"

static bool put_device(struct api_change *change, bool dry_run, struct err *err)
{
    json_t *duties = NULL;
    const struct fleetdb_device *device = &change->device;
    return api_put(change->answer, "id", json_string(device->id), err) &&
           api_put(change->answer, "dry_run", json_boolean(dry_run), err) &&
           place_duties(change->db, change->caller->scope, device->device, false, &duties, err) &&
           api_put(change->answer, "duties", duties, err);
}

static bool do_it(struct api_change *change, bool dry_run,
                  bool (*act)(struct api_change *change, struct err *err), struct err *err)
{
    const int64_t before = fleetdb_writes(change->db);
    if (!act(change, err))
        return false;
    bool changed = fleetdb_writes(change->db) != before;
    utf8_clean(change->text);
    return api_put(change->answer, "changed", json_boolean(changed), err) &&
           (change->device.device == 0 || put_device(change, dry_run, err)) &&
           (!changed || change->what == NULL ||
            fleetdb_audit(change->db, change->by.now_ms, change->by.who, change->what,
                          change->device.device, change->text, err));
}

static bool run(struct api_change *change, const json_t *object,
                bool (*act)(struct api_change *change, struct err *err), struct err *err)
{
    const bool dry_run = json_is_true(json_object_get(object, "dry_run"));
    change->object = object;
    if (!place_text(object, "why", PLACE_TEXT_CHARS, &change->by.why, err) ||
        !fleetdb_begin(change->db, err))
        return false;
    if (change->by.why == NULL)
        change->by.why = "";
    const bool done = do_it(change, dry_run, act, err);
    if (done && !dry_run)
        return fleetdb_commit(change->db, err);
    fleetdb_rollback(change->db);
    return done;
}

static bool answer_it(struct api_change *change, const struct api_request *request,
                      struct api_answer *answer,
                      bool (*act)(struct api_change *change, struct err *err), struct err *err)
{
    json_t *object = NULL;
    change->caller = request->caller;
    change->by = (struct fleetdb_change){.who = request->caller->name, .now_ms = request->now_ms};
    if (!api_body(request, &object, err))
        return false;
    change->answer = json_object();
    const bool done = run(change, object, act, err);
    json_decref(object);
    if (done)
        answer->json = change->answer;
    else
        json_decref(change->answer);
    return done;
}

bool api_change(void *ctx, const struct api_request *request, struct api_answer *answer,
                bool (*act)(struct api_change *change, struct err *err), struct err *err)
{
    const struct api_fleet *fleet = ctx;
    struct api_change change = {.db = fleet->db};
    return answer_it(&change, request, answer, act, err);
}

bool api_change_device(void *ctx, const struct api_request *request, struct api_answer *answer,
                       bool (*act)(struct api_change *change, struct err *err), struct err *err)
{
    const struct api_fleet *fleet = ctx;
    struct api_change change = {.db = fleet->db};
    return fleetdb_device_find(fleet->db, request->args[0], &change.device, err) &&
           answer_it(&change, request, answer, act, err);
}
