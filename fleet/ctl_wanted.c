/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_wanted.h"

#include <stdio.h>
#include <string.h>

/* A request names so many devices at most; more go with the next. */
enum { KEY_BYTES = 160, DEVICES_AT_ONCE = 500 };

/* What is sealed is of one device alone, and so is its hash. */
static const char *key_of(char key[KEY_BYTES], const char *name, const char *sha256)
{
    (void)snprintf(key, KEY_BYTES, "%s %s", name, sha256);
    return key;
}

/* ---- who is to hold what ---- */

/* By the fleet: what only the terminal speaks of, it may have made up. */
static bool is_assigned(const json_t *item)
{
    return json_is_true(json_object_get(item, "assigned")) &&
           ctl_number(item, "wanted_version") != 0 && *ctl_text(item, "wanted_sha256") != '\0';
}

static bool add_wish(json_t *wanted, const char *device, const json_t *item)
{
    char key[KEY_BYTES];
    const char *sha256 = ctl_text(item, "wanted_sha256"), *mode = ctl_text(item, "mode");
    if (!is_assigned(item))
        return true;
    key_of(key, ctl_text(item, "name"), sha256);
    json_t *modes = json_object_get(wanted, key);
    if (modes == NULL) {
        modes = json_object();
        if (json_object_set_new(wanted, key, modes) != 0)
            return false;
    }
    json_t *devices = json_object_get(modes, mode);
    if (devices == NULL) {
        devices = json_array();
        if (json_object_set_new(modes, mode, devices) != 0)
            return false;
    }
    return json_array_append_new(devices, json_string(device)) == 0;
}

/* `*ret_assigned`: something is assigned to it. */
static bool add_device(struct ctl *ctl, const char *id, json_t *wanted, bool *ret_assigned,
                       struct err *err)
{
    char path[96];
    json_t *device, *item;
    size_t i;
    bool ok = true;
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s", id);
    if (!client_get(ctl->client, path, &device, err))
        return false;
    *ret_assigned = false;
    json_array_foreach(json_object_get(device, "items"), i, item)
    {
        ok = ok && (wanted == NULL || add_wish(wanted, id, item));
        *ret_assigned |= is_assigned(item);
    }
    json_decref(device);
    return ok || err_set(err, ERR_NO_MEMORY, "no memory for what %s is to hold", id);
}

/* Nothing can be assigned to who is retired, whatever it was before. */
static bool read_wanted(struct ctl *ctl, json_t *wanted, int64_t *ret_retired, struct err *err)
{
    json_t *reply, *device;
    size_t i;
    bool ok = true;
    int64_t left_out = 0;
    if (!client_get(ctl->client, "/api/v1/devices", &reply, err))
        return false;
    json_array_foreach(json_object_get(reply, "devices"), i, device)
    {
        bool assigned = false, retired = strcmp(ctl_text(device, "state"), "retired") == 0;
        ok = ok && add_device(ctl, ctl_text(device, "id"), retired ? NULL : wanted, &assigned, err);
        left_out += retired && assigned;
    }
    json_decref(reply);
    *ret_retired = left_out;
    return ok;
}

bool ctl_wanted_read(struct ctl *ctl, const char *name, json_t **ret_wanted, json_t **ret_documents,
                     int64_t *ret_retired, struct err *err)
{
    char path[160];
    json_t *wanted = json_object(), *reply;
    (void)snprintf(path, sizeof path, "/api/v1/documents?headers=1%s%.60s",
                   name == NULL ? "" : "&name=", name == NULL ? "" : name);
    if (!read_wanted(ctl, wanted, ret_retired, err) ||
        !client_get(ctl->client, path, &reply, err)) {
        json_decref(wanted);
        return false;
    }
    *ret_wanted = wanted;
    *ret_documents = json_incref(json_object_get(reply, "documents"));
    json_decref(reply);
    return *ret_documents != NULL || err_set(err, ERR_INVALID, "musterd lists no documents");
}

/* ---- which documents ---- */

json_t *ctl_wanted_documents(const json_t *wanted, const json_t *documents, size_t *ret_count)
{
    json_t *chosen = json_array(), *seen = json_object(), *document;
    char key[KEY_BYTES];
    size_t i;
    /* Newest first, as they are listed: of one content the newest is taken. */
    json_array_foreach(documents, i, document)
    {
        key_of(key, ctl_text(document, "name"), ctl_text(document, "sha256"));
        if (json_object_get(wanted, key) == NULL || json_object_get(seen, key) != NULL)
            continue;
        json_object_set_new(seen, key, json_true());
        json_array_insert(chosen, 0, document);
    }
    json_decref(seen);
    *ret_count = json_array_size(chosen);
    return chosen;
}

static const json_t *modes_of(const json_t *wanted, const json_t *document)
{
    char key[KEY_BYTES];
    return json_object_get(wanted,
                           key_of(key, ctl_text(document, "name"), ctl_text(document, "sha256")));
}

int64_t ctl_wanted_count(const json_t *wanted, const json_t *document)
{
    int64_t count = 0;
    const char *mode;
    json_t *devices;
    json_object_foreach((json_t *)(uintptr_t)modes_of(wanted, document), mode, devices) count +=
        (int64_t)json_array_size(devices);
    return count;
}

static int64_t highest(const json_t *documents, const char *name, uint64_t epoch, const char *what)
{
    int64_t highest = 0;
    json_t *document;
    size_t i;
    json_array_foreach(documents, i, document)
    {
        int64_t number = ctl_number(document, what);
        if (strcmp(ctl_text(document, "name"), name) == 0 &&
            ctl_number(document, "epoch") == (int64_t)epoch && number > highest)
            highest = number;
    }
    return highest;
}

int64_t ctl_wanted_newest(const json_t *documents, const char *name, uint64_t epoch)
{
    return highest(documents, name, epoch, "version");
}

int64_t ctl_wanted_minimum(const json_t *documents, const char *name, uint64_t epoch)
{
    return highest(documents, name, epoch, "minimum_version");
}

void ctl_wanted_given(json_t *documents, const Muster__DocumentHeader *header)
{
    json_array_append_new(documents, json_pack("{s:s, s:I, s:I, s:I}", "name", header->name,
                                               "epoch", (json_int_t)header->epoch, "version",
                                               (json_int_t)header->version, "minimum_version",
                                               (json_int_t)header->minimum_version));
}

/* ---- assigning ---- */

static bool assign_some(struct ctl *ctl, const json_t *document, const char *mode,
                        const json_t *devices, size_t from, int64_t version, struct err *err)
{
    json_t *some = json_array(), *reply = NULL;
    for (size_t i = from; i < json_array_size(devices) && i < from + DEVICES_AT_ONCE; i++)
        json_array_append(some, json_array_get(devices, i));
    json_t *request = json_pack("{s:s, s:I, s:s, s:o}", "document", ctl_text(document, "name"),
                                "version", (json_int_t)version, "mode", mode, "devices", some);
    bool ok =
        request != NULL && client_post(ctl->client, "/api/v1/assignments", request, &reply, err);
    json_decref(request);
    json_decref(reply);
    return ok;
}

bool ctl_wanted_assign(struct ctl *ctl, const json_t *wanted, const json_t *document,
                       int64_t version, struct err *err)
{
    const char *mode;
    json_t *devices;
    json_object_foreach((json_t *)(uintptr_t)modes_of(wanted, document), mode, devices)
    {
        for (size_t from = 0; from < json_array_size(devices); from += DEVICES_AT_ONCE)
            if (!assign_some(ctl, document, mode, devices, from, version, err))
                return false;
    }
    return true;
}
