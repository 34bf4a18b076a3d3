/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/world/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool options_read(int argc, char **argv, const struct option_text *table, struct err *err)
{
    for (int i = 1; i < argc; i += 2) {
        const struct option_text *option = table;
        while (option->name && strcmp(argv[i], option->name) != 0)
            option++;
        if (!option->name)
            return err_set(err, ERR_INVALID, "%s: no such option", argv[i]);
        if (i + 1 == argc)
            return err_set(err, ERR_INVALID, "%s: its value is missing", argv[i]);
        *option->value = argv[i + 1];
    }
    for (const struct option_text *option = table; option->name; option++)
        if (!*option->value)
            return err_set(err, ERR_INVALID, "%s is missing", option->name);
    return true;
}

bool options_number(const char *name, const char *text, uint64_t *ret_value, struct err *err)
{
    char *end = NULL;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-')
        return err_set(err, ERR_INVALID, "%s %s: expected a number", name, text);
    *ret_value = value;
    return true;
}
