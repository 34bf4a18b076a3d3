/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/facts.h"

#include "storage/fleetdb_snapshot.h"

#include <stdlib.h>
#include <string.h>

enum { TURN_MS = 20 };

struct facts {
    struct fleetdb *db;
    struct fleetdb_scope scope;
    char *fields;
    struct facts_reader reader;
    struct fleetdb_facts *pages;
    struct fleetdb_snapshot *snapshot; /* NULL: all is read in one turn so far */
    bool held;
};

static bool open_pages(struct facts *facts, struct err *err)
{
    return fleetdb_facts_open(facts->db, facts->snapshot, facts->scope, facts->fields,
                              &facts->pages, err);
}

bool facts_open(struct fleetdb *db, struct fleetdb_scope scope, const char *fields,
                const struct facts_reader *reader, struct facts **ret_facts, struct err *err)
{
    struct facts *facts = calloc(1, sizeof *facts);
    char *copy = strdup(fields);
    if (facts == NULL || copy == NULL) {
        free(facts);
        free(copy);
        return err_set(err, ERR_NO_MEMORY, "no memory for the facts of devices");
    }
    *facts = (struct facts){.db = db, .scope = scope, .fields = copy, .reader = *reader};
    if (!open_pages(facts, err)) {
        facts_close(facts);
        return false;
    }
    *ret_facts = facts;
    return true;
}

static bool hold_still(struct facts *facts, struct err *err)
{
    if (facts->held)
        return true;
    if (!fleetdb_snapshot_open(facts->db, &facts->snapshot, err))
        return false;
    facts->held = true;
    fleetdb_facts_close(facts->pages);
    facts->pages = NULL;
    facts->reader.again(facts->reader.ctx);
    return open_pages(facts, err);
}

bool facts_turn(struct facts *facts, const struct clock *clock, bool *ret_done, struct err *err)
{
    const int64_t until_ms = clock_boot_ms(clock) + TURN_MS;
    for (bool done = false; !done;) {
        if (!fleetdb_facts_step(facts->pages, facts->reader.each, facts->reader.ctx, &done, err))
            return false;
        *ret_done = done;
        if (!done && clock_boot_ms(clock) >= until_ms)
            return hold_still(facts, err);
    }
    return true;
}

struct fleetdb_snapshot *facts_take_snapshot(struct facts *facts)
{
    struct fleetdb_snapshot *snapshot = facts->snapshot;
    fleetdb_facts_close(facts->pages); /* they read it */
    facts->pages = NULL;
    facts->snapshot = NULL;
    return snapshot;
}

void facts_close(struct facts *facts)
{
    if (facts == NULL)
        return;
    fleetdb_facts_close(facts->pages);
    fleetdb_snapshot_close(facts->snapshot);
    free(facts->fields);
    free(facts);
}
