/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/import_claims.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum kind { DEVICE, MERCHANT, STORE, TERMINAL };
enum { KEY_BYTES = 640 }; /* for three texts of 64 characters */

/* One thing that a row names. */
struct claim {
    enum kind kind;
    char key[KEY_BYTES];
};

static const char *text_of(const json_t *object, const char *member, const char *name)
{
    const json_t *in = member != NULL ? json_object_get(object, member) : object;
    const char *text = json_string_value(json_object_get(in, name));
    return text != NULL ? text : "";
}

static struct claim claim_of(enum kind kind, const char *a, const char *b, const char *c)
{
    struct claim claim = {.kind = kind};
    (void)snprintf(claim.key, sizeof claim.key, "%d\x1f%s\x1f%s\x1f%s", (int)kind, a, b, c);
    return claim;
}

/* The n-th; false: there are no more. */
static bool claim_at(const json_t *row, size_t n, struct claim *ret_claim)
{
    const char *merchant = text_of(row, "merchant", "id");
    const json_t *terminals = json_object_get(row, "terminals");
    switch (n) {
    case 0:
        *ret_claim = claim_of(DEVICE, text_of(row, NULL, "id"), "", "");
        return true;
    case 1:
        *ret_claim = claim_of(MERCHANT, merchant, "", "");
        return true;
    case 2:
        *ret_claim = claim_of(STORE, merchant, text_of(row, "store", "id"), "");
        return true;
    default:
        if (n - 3 >= json_array_size(terminals))
            return false;
        const json_t *terminal = json_array_get(terminals, n - 3);
        *ret_claim = claim_of(TERMINAL, text_of(terminal, NULL, "acquirer"),
                              text_of(terminal, NULL, "tid"), text_of(terminal, NULL, "mid"));
        return true;
    }
}

static bool equal(const json_t *a, const json_t *b)
{
    return a == b || json_equal(a, b);
}

static bool differ(enum kind kind, const json_t *a, const json_t *b)
{
    switch (kind) {
    case MERCHANT:
        return !equal(json_object_get(a, "merchant"), json_object_get(b, "merchant"));
    case STORE:
        return !equal(json_object_get(a, "store"), json_object_get(b, "store"));
    case TERMINAL:
        return strcmp(text_of(a, NULL, "id"), text_of(b, NULL, "id")) != 0;
    default:
        return !equal(a, b);
    }
}

bool import_claims_init(struct import_claims *claims, const json_t *rows, struct err *err)
{
    *claims = (struct import_claims){.rows = rows, .said = json_object()};
    return claims->said != NULL || err_set(err, ERR_NO_MEMORY, "no memory for the import");
}

void import_claims_done(struct import_claims *claims)
{
    json_decref(claims->said);
    claims->said = NULL;
}

bool import_claims_add(struct import_claims *claims, size_t row, struct err *err)
{
    const json_t *object = json_array_get(claims->rows, row);
    struct claim claim;
    for (size_t n = 0; claim_at(object, n, &claim); n++) {
        const json_t *first = json_object_get(claims->said, claim.key);
        const json_int_t value = first != NULL ? json_integer_value(first) : (json_int_t)row * 2;
        const bool torn =
            first != NULL &&
            (value % 2 != 0 ||
             differ(claim.kind, json_array_get(claims->rows, (size_t)value / 2), object));
        if ((first == NULL || torn) &&
            json_object_set_new(claims->said, claim.key, json_integer(value / 2 * 2 + torn)) != 0)
            return err_set(err, ERR_NO_MEMORY, "no memory for the import");
    }
    return true;
}

bool import_claims_clash(const struct import_claims *claims, size_t row)
{
    const json_t *object = json_array_get(claims->rows, row);
    struct claim claim;
    for (size_t n = 0; claim_at(object, n, &claim); n++) {
        if (json_integer_value(json_object_get(claims->said, claim.key)) % 2 != 0)
            return true;
    }
    return false;
}
