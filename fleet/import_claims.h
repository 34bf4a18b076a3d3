/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_IMPORT_CLAIMS_H
#define FLEET_IMPORT_CLAIMS_H

#include "base/err.h"

#include <jansson.h>

/*
 * Which lines of an inventory may contradict one another: those that name the same device,
 * merchant, store or logical terminal, and do not say the same of it. Lines that do not clash
 * change nothing of what another has said; whether those that do really contradict each other,
 * only the database can tell. Pure.
 */
struct import_claims {
    const json_t *rows; /* objects, each held to its form before it is added */
    json_t *said;       /* what is named: twice the row that did first, and 1 if others differ */
};

bool import_claims_init(struct import_claims *claims, const json_t *rows,
                        struct err *err) MUSTER_CHECK;
void import_claims_done(struct import_claims *claims);
bool import_claims_add(struct import_claims *claims, size_t row, struct err *err) MUSTER_CHECK;
/* When all have been added. */
bool import_claims_clash(const struct import_claims *claims, size_t row);

#endif
