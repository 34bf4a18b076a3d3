/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_KEYLOADER_H
#define AGENT_KEYLOADER_H

#include "base/settings.h"

#include <stdio.h>

/* muster-keys-pkcs11: the agent's key loader (agent/keys_say.h) for a PKCS#11 token. */
struct keyloader_settings {
    char module[256];
    char label[33];
    char pin_file[256];
    char protection[33];
    char mechanism[20];
    char own[256];
};

extern const struct setting keyloader_settings_table[];

bool keyloader_settings_load(const char *path, struct keyloader_settings *ret_settings,
                             struct err *err) MUSTER_CHECK;

/* Are the files there that the settings name, and the PIN nobody else's to read? */
bool keyloader_check(const struct keyloader_settings *settings, struct err *err) MUSTER_CHECK;

/* What the program answers on `out`. ERR_REFUSED: no, and what was there is there. */
bool keyloader_inventory(const struct keyloader_settings *settings, FILE *out,
                         struct err *err) MUSTER_CHECK;
/* The block is read from `in`, a file descriptor. */
bool keyloader_load(const struct keyloader_settings *settings, const char *slot, int in, FILE *out,
                    struct err *err) MUSTER_CHECK;

#endif
