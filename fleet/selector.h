/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_SELECTOR_H
#define FLEET_SELECTOR_H

#include "base/err.h"

#include <stdint.h>

/*
 * Which devices are meant, as people write it: terms that all have to hold, set apart by commas.
 *
 *   merchant=m1,state=in_service        both
 *   model=A920|A80,lane!=express        one of these models, and not that lane
 *   region=north*,lane,!pilot           shell patterns; has the label; does not have it
 *   group=pilots                        who is in that group
 *
 * device, serial, model, state, merchant, store, region, acquirer, tid, mid, presence (online,
 * offline, closed, missing, unknown) and group are fields of
 * every device (SELECTOR_FIELDS); any other word is a label's name. A store is known by its code
 * and as merchant/store. Pure.
 */
#define SELECTOR_FIELDS                                                                            \
    "device", "serial", "model", "state", "merchant", "store", "region", "acquirer", "tid", "mid", \
        "presence", "group"

enum {
    SELECTOR_CHARS = 1024,
    SELECTOR_TERMS_MAX = 16,
    SELECTOR_VALUES_MAX = 64,
    SELECTOR_NAME_CHARS = 32,  /* of a label or a group */
    SELECTOR_VALUE_CHARS = 64, /* of a label */
};

struct selector {
    char text[SELECTOR_CHARS + 1]; /* fields and values, each with its NUL */
    struct {
        uint16_t field;
        uint16_t first_value, value_count; /* none: it is to have any */
        bool wanted;
    } terms[SELECTOR_TERMS_MAX];
    uint16_t values[SELECTOR_VALUES_MAX];
    uint16_t term_count, value_count;
};

/* ERR_INVALID says which term is wrong. */
bool selector_parse(const char *text, struct selector *ret_selector, struct err *err) MUSTER_CHECK;

/* What is so of one device; a field may have several values (tid). */
struct selector_fact {
    const char *field, *value;
};
/* `in_group` tells whether the device is in a group, for which it gets `ctx`. */
bool selector_holds(const struct selector *selector, const struct selector_fact *facts,
                    size_t count, bool (*in_group)(void *ctx, const char *group), void *ctx);

/* The n-th term's field, NULL after the last; and its values, as far as they go. */
const char *selector_field(const struct selector *selector, size_t term);
const char *selector_value(const struct selector *selector, size_t term, size_t value);

/* A label's or a group's name: [a-z][a-z0-9_.-]{0,31}, and for a label none of SELECTOR_FIELDS. */
bool selector_label_valid(const char *name);
bool selector_group_valid(const char *name);
/* 1 to 64 characters, none of them a control character or one of , | ; = */
bool selector_value_valid(const char *value);

#endif
