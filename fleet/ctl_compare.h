/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_COMPARE_H
#define FLEET_CTL_COMPARE_H

#include "fleet/ctl.h"
#include "proto/desired.pb-c.h"

/* Two contents of one name, and what lies between them. */

/* The newest of the name that has this version, or the newest of all with 0; NULL: there is none.
 * What is sealed to devices is left out. */
const json_t *ctl_document_find(const json_t *documents, const char *name, int64_t version);

struct ctl_contents {
    Muster__DocumentKind kind;
    const char *key; /* the column that rows are told by; NULL: the first */
    struct bytes before, after;
    size_t rows_max; /* of the changed ones, to be listed */
};
/* {"rows": {"added", "removed", "changed", "same", "reordered", "columns_changed"}, or null where
 * the kind has none; "bytes": {"before", "after", "whole", "delta"}; "changes": [{"what",
 * "section", "before", "after"}]}. */
bool ctl_compare(const struct ctl_contents *contents, json_t **ret_compared,
                 struct err *err) MUSTER_CHECK;
/* Without what a terminal takes for orders. */
void ctl_print_line(struct ctl *ctl, const char *mark, const char *line);

#endif
