/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/keyloader.h"

#include "agent/keytoken.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define FIELD(name)                                                                                \
    offsetof(struct keyloader_settings, name), sizeof(((struct keyloader_settings *)NULL)->name)

const struct setting keyloader_settings_table[] = {
    {"token", "module", SETTING_PATH, FIELD(module), NULL, 1, 255, NULL,
     "the token's PKCS#11 library"},
    {"token", "label", SETTING_TEXT, FIELD(label), NULL, 1, 32, NULL, "the token's label"},
    {"token", "pin", SETTING_PATH, FIELD(pin_file), "/etc/muster/token.pin", 1, 255, NULL,
     "a file with the user's PIN in its first line"},
    {"token", "protection", SETTING_TEXT, FIELD(protection), NULL, 1, 32, NULL,
     "label of the key block protection key (AES for blocks of version D, TDES for B)"},
    {"token", "mechanism", SETTING_TEXT, FIELD(mechanism), "0", 1, 19, NULL,
     "number of the vendor's mechanism that unwraps TR-31 inside the token; 0: it has none, and "
     "blocks are unwrapped on locked pages of this program"},
    {"slots", "own", SETTING_TEXT, FIELD(own), "", 0, 255, NULL,
     "labels of keys that the application changes itself (PIK, MAK ...), commas: never written"},
    {0},
};

bool keyloader_settings_load(const char *path, struct keyloader_settings *ret_settings,
                             struct err *err)
{
    struct keyloader_settings settings = {0};
    char *end = NULL;
    if (!settings_load(path, keyloader_settings_table, &settings, err))
        return false;
    (void)strtoul(settings.mechanism, &end, 0);
    if (*end != '\0')
        return err_set(err, ERR_INVALID,
                       "%s: token.mechanism = %s: expected a number such as 0x80000001", path,
                       settings.mechanism);
    *ret_settings = settings;
    return true;
}

bool keyloader_check(const struct keyloader_settings *settings, struct err *err)
{
    if (access(settings->module, R_OK) != 0)
        return err_errno(err, errno, "token.module = %s", settings->module);
    return keytoken_pin_check(settings->pin_file, err) || err_context(err, "token.pin");
}
