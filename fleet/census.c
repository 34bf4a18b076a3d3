/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/census.h"

#include "base/buf.h"
#include "fleet/facts.h"

#include <stdlib.h>
#include <string.h>

enum { TEXTS_LIMIT = 256 << 20 };

struct person {
    int64_t device;
    size_t first, count; /* of its facts */
    bool holds;          /* he who asks may see it */
};

struct census {
    struct fleetdb *db;
    struct fleetdb_scope scope;
    struct facts *facts_read;
    struct buf texts;  /* field, NUL, value, NUL, ... */
    struct buf people; /* struct person */
    struct buf facts;  /* struct selector_fact, pointing into texts once all is read */
    size_t fact_count;
};

static struct person *person_of(const struct census *census, size_t at)
{
    return (struct person *)(void *)census->people.data + at;
}

static size_t count_of(const struct census *census)
{
    return census->people.length / sizeof(struct person);
}

static bool begin(struct census *census, int64_t device, struct err *err)
{
    struct person person = {.device = device, .first = census->fact_count};
    return fleetdb_scope_holds(census->db, census->scope, device, &person.holds, err) &&
           buf_append(&census->people, &person, sizeof person, err);
}

static bool note(void *ctx, const struct fleetdb_fact *fact, struct err *err)
{
    struct census *census = ctx;
    const size_t count = count_of(census);
    if ((count == 0 || person_of(census, count - 1)->device != fact->device) &&
        !begin(census, fact->device, err))
        return false;
    person_of(census, count_of(census) - 1)->count++;
    census->fact_count++;
    return buf_append(&census->texts, fact->field, strlen(fact->field) + 1, err) &&
           buf_append(&census->texts, fact->value, strlen(fact->value) + 1, err);
}

static void again(void *ctx)
{
    struct census *census = ctx;
    buf_clear(&census->texts);
    buf_clear(&census->people);
    census->fact_count = 0;
}

static bool point(struct census *census, struct err *err)
{
    const char *at = (const char *)census->texts.data;
    for (size_t i = 0; i < census->fact_count; i++) {
        struct selector_fact fact = {.field = at, .value = at + strlen(at) + 1};
        at = fact.value + strlen(fact.value) + 1;
        if (!buf_append(&census->facts, &fact, sizeof fact, err))
            return false;
    }
    return true;
}

bool census_open(struct fleetdb *db, struct fleetdb_scope scope, const char *fields,
                 struct census **ret_census, struct err *err)
{
    struct census *census = calloc(1, sizeof *census);
    if (census == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to count devices");
    census->db = db;
    census->scope = scope;
    census->texts.limit = census->people.limit = census->facts.limit = TEXTS_LIMIT;
    const struct facts_reader reader = {.ctx = census, .each = note, .again = again};
    if (!facts_open(db, scope, fields, &reader, &census->facts_read, err)) {
        census_close(census);
        return false;
    }
    *ret_census = census;
    return true;
}

bool census_turn(struct census *census, const struct clock *clock, bool *ret_done, struct err *err)
{
    return facts_turn(census->facts_read, clock, ret_done, err) &&
           (!*ret_done || point(census, err));
}

/* Groups name no groups. */
static bool in_none(void *ctx, const char *group)
{
    (void)ctx;
    (void)group;
    return false;
}

static bool is_known(const struct census *census, const char *field)
{
    const struct selector_fact *facts = (const void *)census->facts.data;
    for (size_t i = 0; i < census->fact_count; i++) {
        if (strcmp(facts[i].field, field) == 0)
            return true;
    }
    return false;
}

bool census_count(struct census *census, const struct selector *selector, int64_t *ret_count,
                  struct err *err)
{
    const struct selector_fact *facts = (const void *)census->facts.data;
    const char *field = NULL;
    for (size_t i = 0; (field = selector_field(selector, i)) != NULL; i++) {
        if (selector_label_valid(field) && !is_known(census, field))
            return err_set(err, ERR_NOT_FOUND,
                           "selector: %s is no field of a device, and no device has such a label",
                           field);
    }
    *ret_count = 0;
    for (size_t i = 0; i < count_of(census); i++) {
        const struct person *person = person_of(census, i);
        *ret_count += person->holds &&
                      selector_holds(selector, facts + person->first, person->count, in_none, NULL);
    }
    return true;
}

void census_close(struct census *census)
{
    if (census == NULL)
        return;
    facts_close(census->facts_read);
    buf_done(&census->texts);
    buf_done(&census->people);
    buf_done(&census->facts);
    free(census);
}
