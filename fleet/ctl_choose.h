/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_CHOOSE_H
#define FLEET_CTL_CHOOSE_H

#include "fleet/ctl.h"

/* Which devices a command is about, said the same way everywhere. */
#define CTL_CHOOSE_DEVICES                                                                         \
    {.name = "--device", .value = "ID", .help = "a device", .repeats = true},                      \
        {.name = "--selector",                                                                     \
         .alias = "-l",                                                                            \
         .value = "SELECTOR",                                                                      \
         .help = "those that are so: merchant=m1,model=A9*,lane!=express; see group add --help"},  \
    {                                                                                              \
        .name = "--group", .value = "NAME", .help = "those that are in it now; see get groups"     \
    }

/* Whether any of them was given. */
bool ctl_chooses(const struct ctl_args *args);
/* Their ids into `ids`; EXIT_OK, or why not. Of --selector and --group only one, and neither beside
 * --device. A selector that chooses nobody is EXIT_NOT_FOUND. */
int ctl_choose(struct ctl *ctl, const struct ctl_args *args, json_t *ids, struct err *err);
/* The same as a part of a path's query, "&device=ID" or "&devices=SELECTOR", appended to `path` of
 * `size` bytes, for musterd to choose; nothing when none was given. */
bool ctl_choose_query(const struct ctl_args *args, char *path, size_t size,
                      struct err *err) MUSTER_CHECK;
/* Those of the objects in `list` whose `name` is among `ids`, all if there are none there; a new
 * list, NULL: no memory. */
json_t *ctl_keep_chosen(const json_t *list, const char *name, const json_t *ids);

#endif
