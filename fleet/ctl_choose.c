/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_choose.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

enum { GROUP_BYTES = 80, SELECTOR_BYTES = 1024 };

bool ctl_chooses(const struct ctl_args *args)
{
    return ctl_arg(args, "--device", NULL) != NULL || ctl_arg(args, "--selector", NULL) != NULL ||
           ctl_arg(args, "--group", NULL) != NULL;
}

json_t *ctl_keep_chosen(const json_t *list, const char *name, const json_t *ids)
{
    size_t i;
    json_t *one, *wanted = json_object(), *kept = json_array();
    json_array_foreach(ids, i, one)(void)
        json_object_set_new(wanted, json_string_value(one), json_true());
    json_array_foreach(list, i, one)
    {
        const char *id = json_string_value(json_object_get(one, name));
        if (json_array_size(ids) == 0 || (id != NULL && json_object_get(wanted, id) != NULL))
            (void)json_array_append(kept, one);
    }
    json_decref(wanted);
    return kept;
}

static bool add_named(const struct ctl_args *args, json_t *ids, struct err *err)
{
    size_t at = 0;
    for (const char *id; (id = ctl_arg_next(args, "--device", &at)) != NULL;) {
        if (!ctl_device_id(id, err))
            return false;
        json_array_append_new(ids, json_string(id));
    }
    return true;
}

static bool add_selected(struct ctl *ctl, const char *selector, json_t *ids, struct err *err)
{
    char path[4096];
    json_t *reply;
    char *escaped = curl_easy_escape(NULL, selector, 0);
    int n = snprintf(path, sizeof path, "/api/v1/selections?selector=%s",
                     escaped != NULL ? escaped : "");
    curl_free(escaped);
    if (n >= (int)sizeof path)
        return err_set(err, ERR_INVALID, "--selector: too long; make a group of it");
    if (!client_get(ctl->client, path, &reply, err))
        return false;
    (void)json_array_extend(ids, json_object_get(reply, "devices"));
    json_decref(reply);
    return json_array_size(ids) > 0 ||
           err_set(err, ERR_NOT_FOUND, "no device is so: %.200s", selector);
}

/* Of --device, --selector and --group one; `*ret_selector` NULL: neither of the last two. */
static bool read_choice(const struct ctl_args *args, bool named, char group[GROUP_BYTES],
                        const char **ret_selector, struct err *err)
{
    const char *selector = ctl_arg(args, "--selector", NULL),
               *name = ctl_arg(args, "--group", NULL);
    if (named + (selector != NULL) + (name != NULL) > 1)
        return err_set(err, ERR_INVALID, "say one of --device, --selector and --group");
    if (name != NULL)
        (void)snprintf(group, GROUP_BYTES, "group=%.64s", name);
    *ret_selector = name != NULL ? group : selector;
    return true;
}

int ctl_choose(struct ctl *ctl, const struct ctl_args *args, json_t *ids, struct err *err)
{
    char group[GROUP_BYTES];
    const char *selector = NULL;
    if (!add_named(args, ids, err) ||
        !read_choice(args, json_array_size(ids) > 0, group, &selector, err))
        return EXIT_USAGE;
    return selector == NULL || add_selected(ctl, selector, ids, err) ? EXIT_OK : exit_code_of(err);
}

static bool append(char *path, size_t size, const char *name, const char *value, struct err *err)
{
    size_t length = strlen(path);
    char *escaped = curl_easy_escape(NULL, value, 0);
    int n = snprintf(path + length, size - length, "&%s=%s", name, escaped != NULL ? escaped : "");
    curl_free(escaped);
    return n < (int)(size - length) ||
           err_set(err, ERR_INVALID, "so many devices: make a group of them (musterctl group add)");
}

bool ctl_choose_query(const struct ctl_args *args, char *path, size_t size, struct err *err)
{
    char group[GROUP_BYTES], devices[SELECTOR_BYTES] = "device=";
    const char *selector = NULL, *id = NULL, *first = ctl_arg(args, "--device", NULL);
    size_t at = 0, count = 0, length = strlen(devices);
    for (; (id = ctl_arg_next(args, "--device", &at)) != NULL; count++) {
        if (!ctl_device_id(id, err))
            return false;
        if (length + strlen(id) + 2 < sizeof devices)
            length += (size_t)snprintf(devices + length, sizeof devices - length, "%s%s",
                                       count > 0 ? "|" : "", id);
        else
            length = sizeof devices;
    }
    if (!read_choice(args, count > 0, group, &selector, err))
        return false;
    if (length == sizeof devices)
        return err_set(err, ERR_INVALID,
                       "so many devices: make a group of them (musterctl group add)");
    if (count == 1)
        return append(path, size, "device", first, err);
    return count == 0 && selector == NULL
               ? true
               : append(path, size, "devices", count > 0 ? devices : selector, err);
}
