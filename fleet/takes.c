/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/takes.h"

#include "proto/refusal.h"
#include "storage/fleetdb_final.h"

#include <inttypes.h>

/* What is below the highest minimum ever signed for the name: a terminal that took the document
 * which says so refuses it, and no other should be given what release has called back. */
static bool check_minimum(struct fleetdb *db, const struct fleetdb_wish *wish, struct err *err)
{
    struct fleetdb_standing standing;
    if (!fleetdb_document_standing(db, wish->name, wish->device, &standing, err))
        return false;
    if (standing.epoch != wish->epoch || wish->version >= standing.minimum_version)
        return true;
    return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_FLOOR, ERR_REFUSED,
                  "%s: version %" PRIu64 " is below version %" PRIu64
                  ", the highest minimum ever signed for it; publish its content again, as a "
                  "newer version",
                  wish->name, wish->version, standing.minimum_version);
}

bool takes_document(struct fleetdb *db, const struct fleetdb_wish *wish, struct err *err)
{
    struct fleetdb_final final;
    if (!fleetdb_final_get(db, wish->device, wish->name, wish->epoch, &final, err))
        return false;
    if (wish->version < final.version)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_IRREVERSIBLE, ERR_REFUSED,
                      "%s: version %" PRIu64 " was put in force there and cannot be taken back; "
                      "publish what it should hold as a newer version",
                      wish->name, final.version);
    return check_minimum(db, wish, err);
}

bool takes_removal(struct fleetdb *db, const struct fleetdb_wish *wish, struct err *err)
{
    struct fleetdb_final final;
    if (!fleetdb_final_get(db, wish->device, wish->name, wish->epoch, &final, err))
        return false;
    if (final.version == 0 || final.taken)
        return true;
    return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_IRREVERSIBLE, ERR_REFUSED,
                  "%s: version %" PRIu64 " was put in force there and cannot be taken back; %s",
                  wish->name, final.version,
                  final.passed == 0 ? "assign a newer version that can, then unassign that"
                                    : "a newer one that can is assigned, and the terminal has not "
                                      "said yet that it took it: wait for that");
}
