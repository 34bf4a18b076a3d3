/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_TEMP_ROOTED_H
#define TESTS_UNIT_TEMP_ROOTED_H

#include "fleet/service_keys.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/temp_roots.h"

/* A fleet database, keys of every role, and musterd's settings that name files of them: the keys 0
 * and 1 of director and receipt, and a root of version 1, which names the keys 0. */
struct temp_rooted {
    struct temp_fleet *fleet;
    struct temp_roots *roots;
    struct fleet_settings settings;
};

/* As cmocka's setup and teardown, in a group whose own are temp_roots_open and temp_roots_close:
 * the keys are the same for all of its tests. */
int temp_rooted_open(void **state);
int temp_rooted_close(void **state);

/* Writes the root that musterd's settings name. */
void temp_rooted_install(struct temp_rooted *rooted, const struct temp_root *root);
/* Reads the settings and follows the database, as a start does. */
void temp_rooted_keys(struct temp_rooted *rooted, struct service_keys *ret_keys);
/* The path of a key's file. */
void temp_rooted_path(const struct temp_rooted *rooted, Muster__Role role, int key, char path[128]);
/* Adds a root to the database as if it had been published. */
void temp_rooted_publish(struct temp_rooted *rooted, const struct temp_root *root);

#endif
