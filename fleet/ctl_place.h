/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_PLACE_H
#define FLEET_CTL_PLACE_H

#include "fleet/ctl.h"

/* A store, as it is named and described on the command line. */
#define CTL_STORE                                                                                  \
    {.name = "--merchant", .value = "ID", .help = "merchant the device serves"},                   \
        {.name = "--merchant-name", .value = "NAME", .help = "[as it is, or the merchant's id]"},  \
        {.name = "--store", .value = "ID", .help = "store of that merchant the device stands in"}, \
        {.name = "--store-name", .value = "NAME", .help = "[as it is, or the store's id]"},        \
        {.name = "--region", .value = "NAME", .help = "region of the store"},                      \
        {.name = "--time-zone",                                                                    \
         .value = "NAME",                                                                          \
         .help = "of the store, such as Asia/Shanghai [its region's]"},                            \
        {.name = "--opening-hours",                                                                \
         .value = "HOURS",                                                                         \
         .help = "of the store: \"Mo-Fr 09:00-18:00; Sa 10:00-14:00; Dec 25 off\""},               \
    {                                                                                              \
        .name = "--address", .value = "TEXT", .help = "of the store, as it is registered"          \
    }

/* Where a device is to stand and what it carries, as device add and device move are told it. */
#define CTL_PLACE                                                                                  \
    CTL_STORE,                                                                                     \
    {                                                                                              \
        .name = "--terminal", .value = "INDEX:ACQUIRER:TID:MID",                                   \
        .help = "a logical terminal it carries", .repeats = true                                   \
    }

/* "merchant" and "store" of a request, where --merchant or --store were given: both must be. */
bool ctl_place(const struct ctl_args *args, json_t *request, struct err *err) MUSTER_CHECK;
/* "terminals" of a request, where --terminal was given. */
bool ctl_terminals(const struct ctl_args *args, json_t *request, struct err *err) MUSTER_CHECK;
/* "0:unionpay:12345678:123456789012345" as an object; NULL: it is not that. */
json_t *ctl_terminal(const char *text, struct err *err);

/* What acquirers are to be told of devices; `first` is the line above. Of an empty list
 * nothing, in CSV its headings. */
bool ctl_print_duties(struct ctl *ctl, const json_t *duties, const char *first);
/* The line above those that come of a change. */
#define CTL_DUTIES_FIRST "To be told, or sales may be declined with 58 or 97:"

#endif
