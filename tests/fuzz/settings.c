/* SPDX-License-Identifier: Apache-2.0 */
/* A settings file, with one key of every type. */
#include "base/settings.h"
#include "tests/fuzz/fuzz.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct target {
    char text[16], path[32], paths[48], named[64];
    int64_t number, wait_ms, bytes;
    bool flag;
    int choice;
};

static const char *const choices[] = {"auto", "5", "3.1.1", NULL};

#define FIELD(name) offsetof(struct target, name), sizeof((struct target *)0)->name

static const struct setting table[] = {
    {"a", "text", SETTING_TEXT, FIELD(text), "none", 1, 15, NULL, "text"},
    {"a", "path", SETTING_PATH, FIELD(path), "/x", 1, 31, NULL, "path"},
    {"a", "paths", SETTING_PATHS, FIELD(paths), "/x, /y", 1, 47, NULL, "paths"},
    {"a", "number", SETTING_INT, FIELD(number), "7", -10, 1000, NULL, "number"},
    {"b", "wait", SETTING_DURATION, FIELD(wait_ms), "5s", 250, 604800000, NULL, "duration"},
    {"b", "bytes", SETTING_SIZE, FIELD(bytes), "64K", 1, INT64_C(1) << 30, NULL, "size"},
    {"b", "flag", SETTING_BOOL, FIELD(flag), "no", 0, 0, NULL, "flag"},
    {"c", "NAME", SETTING_NAMED, FIELD(named), "", 0, 0, NULL, "named"},
    {"b", "choice", SETTING_CHOICE, FIELD(choice), "auto", 0, 0, choices, "choice"},
    {0},
};

static void check(const struct target *target)
{
    HOLDS(memchr(target->text, 0, sizeof target->text));
    HOLDS(memchr(target->path, 0, sizeof target->path));
    HOLDS(memchr(target->paths, 0, sizeof target->paths));
    HOLDS(memchr(target->named, 0, sizeof target->named));
    for (const char *line = target->named; *line; line += strcspn(line, "\n") + 1)
        HOLDS(strchr(line, '\n') && strstr(line, "=/"));
    HOLDS(target->number >= -10 && target->number <= 1000);
    HOLDS(target->wait_ms >= 250 && target->wait_ms <= 604800000);
    HOLDS(target->bytes >= 1 && target->bytes <= INT64_C(1) << 30);
    HOLDS(target->choice >= 0 && target->choice < 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file = -1;
    char path[64];
    struct target target = {0};
    struct err err = {0};
    if (file < 0)
        file = memfd_create("settings", MFD_CLOEXEC);
    HOLDS(file >= 0 && ftruncate(file, 0) == 0);
    HOLDS(size == 0 || pwrite(file, data, size, 0) == (ssize_t)size);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (settings_load(path, table, &target, &err))
        check(&target);
    else
        HOLDS(err.code != ERR_NONE && err.text[0]);
    return 0;
}
