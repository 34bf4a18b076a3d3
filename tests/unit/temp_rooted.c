/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/temp_rooted.h"

#include "base/file.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct err err = {0};                                                                      \
        if (!(call))                                                                               \
            fail_msg("%s", err.text);                                                              \
    } while (0)

void temp_rooted_path(const struct temp_rooted *rooted, Muster__Role role, int key, char path[128])
{
    (void)snprintf(path, 128, "%s/%d-%d.pem", rooted->roots->dir, (int)role, key);
}

static void two_paths(const struct temp_rooted *rooted, Muster__Role role, char list[512])
{
    char first[128], second[128];
    temp_rooted_path(rooted, role, 0, first);
    temp_rooted_path(rooted, role, 1, second);
    (void)snprintf(list, 512, "%s,%s", first, second);
}

void temp_rooted_install(struct temp_rooted *rooted, const struct temp_root *root)
{
    struct buf sealed = {0};
    temp_root_seal(rooted->roots, root, &sealed);
    OK(file_write(rooted->settings.root, buf_bytes(&sealed), 0644, &err));
    buf_done(&sealed);
}

int temp_rooted_open(void **state)
{
    struct temp_rooted *rooted = calloc(1, sizeof *rooted);
    void *fleet = NULL;
    assert_non_null(rooted);
    assert_non_null(*state);
    assert_int_equal(temp_fleet_open(&fleet), 0);
    rooted->fleet = fleet;
    rooted->roots = *state;
    struct fleet_settings *settings = &rooted->settings;
    (void)snprintf(settings->root, sizeof settings->root, "%s/root.bin", rooted->roots->dir);
    (void)snprintf(settings->database, sizeof settings->database, "%s/fleet.db",
                   rooted->fleet->dir);
    (void)snprintf(settings->http_socket, sizeof settings->http_socket, "%s/api.sock",
                   rooted->fleet->dir);
    two_paths(rooted, MUSTER__ROLE__ROLE_DIRECTOR, settings->director_key);
    two_paths(rooted, MUSTER__ROLE__ROLE_RECEIPT, settings->receipt_key);
    temp_rooted_install(rooted, &(struct temp_root){.version = 1});
    *state = rooted;
    return 0;
}

int temp_rooted_close(void **state)
{
    struct temp_rooted *rooted = *state;
    void *fleet = rooted->fleet;
    (void)temp_fleet_close(&fleet);
    free(rooted);
    return 0;
}

void temp_rooted_keys(struct temp_rooted *rooted, struct service_keys *ret_keys)
{
    memset(ret_keys, 0, sizeof *ret_keys);
    OK(service_keys_read(&rooted->settings, ret_keys, &err));
    OK(service_keys_follow(ret_keys, rooted->fleet->db, 1000, &err));
    OK(service_keys_choose(ret_keys, ret_keys->trust, &err));
}

void temp_rooted_publish(struct temp_rooted *rooted, const struct temp_root *root)
{
    struct buf sealed = {0};
    bool added = false;
    temp_root_seal(rooted->roots, root, &sealed);
    const struct fleetdb_root row = {.version = root->version,
                                     .epoch = root->epoch != 0 ? root->epoch : 1,
                                     .published_ms = 2000,
                                     .envelope = buf_bytes(&sealed)};
    OK(fleetdb_root_add(rooted->fleet->db, &row, &added, &err));
    assert_true(added);
    buf_done(&sealed);
}
