/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include "base/err.h"

#include <stdint.h>

/*
 * Settings are an INI file, read whole before anything else is touched. Each program has one
 * table of `struct setting`, ended by an entry without a key; the loader fills the fields it
 * points to. An unknown section or key, a repeated key, a value of the wrong form or out of range
 * stops the start: "FILE:LINE: link.keepalive = abc: expected a duration from 10s to 2h".
 */
enum setting_type {
    SETTING_TEXT,     /* char[size]; min and max are lengths */
    SETTING_PATH,     /* char[size]; absolute, or relative to the folder of the settings file */
    SETTING_PATHS,    /* char[size]; one or several of them: "a, b" becomes "/dir/a,/dir/b" */
    SETTING_NAMED,    /* char[size]; any keys, each with an absolute path: a line "key=path" each;
                         the only entry of its section, its key here is what to call them */
    SETTING_INT,      /* int64_t */
    SETTING_BOOL,     /* bool: yes no true false */
    SETTING_DURATION, /* int64_t milliseconds: 250ms 5s 15m 24h 7d */
    SETTING_SIZE,     /* int64_t bytes: 512 64K 20M 1G (powers of 1024) */
    SETTING_CHOICE,   /* int: index into `choices`, NULL-ended */
};

/* The minimum of a duration that may be given as the word "auto", which stores it: what it means is
 * then the program's to say, for instance from another setting. */
#define SETTING_AUTO INT64_C(-1)

struct setting {
    const char *section, *key;
    enum setting_type type;
    size_t offset, size;  /* offsetof and sizeof of the field in the program's struct */
    const char *fallback; /* value when absent, in file syntax; NULL: the key must be given */
    int64_t min, max;     /* both 0: any number; a text's max of 0: what the field holds */
    const char *const *choices;
    const char *help; /* one line; `--print-settings` shows it */
};

bool settings_load(const char *path, const struct setting *table, void *target,
                   struct err *err) MUSTER_CHECK;
/* A settings file with every key, its default and its help, on stdout. */
void settings_print(const struct setting *table);

#endif
