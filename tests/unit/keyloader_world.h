/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_KEYLOADER_WORLD_H
#define TESTS_UNIT_KEYLOADER_WORLD_H

/* The loader beside a real PKCS#11 library, with keys that are published and nobody's. */
#include "agent/keyloader.h"
#include "agent/keytoken.h"
#include "tests/unit/testing.h"

#define KEYLOADER_LIBRARY "/usr/lib/softhsm/libsofthsm2.so"

struct keyloader_world {
    char dir[64], pin[96];
    struct keyloader_settings settings;
    char said[8192];
};

int keyloader_world_set_up(void **state);
int keyloader_world_tear_down(void **state);
void keyloader_world_put(const char *path, const char *text);
void keyloader_world_open(const struct keyloader_world *world, struct keytoken *token);
/* A key that is there before any loader comes, and may do anything. */
void keyloader_world_give(const struct keyloader_world *world, const char *label, char algorithm,
                          const char *hex);
void keyloader_world_take(const struct keyloader_world *world, const char *label);
/* What is said goes to `said`. */
bool keyloader_world_load(struct keyloader_world *world, const char *slot, const char *block,
                          struct err *err);
const char *keyloader_world_inventory(struct keyloader_world *world);

#endif
