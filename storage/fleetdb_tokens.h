/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_TOKENS_H
#define STORAGE_FLEETDB_TOKENS_H

#include "storage/fleetdb_scope.h"

/* Tokens of the API. A token itself is never given to this module: it knows them by their SHA-256.
 */
enum { FLEETDB_TOKEN_NAME_CHARS = 40 };

enum fleetdb_role { /* the schema's role */
                    FLEETDB_VIEWER,
                    FLEETDB_OPERATOR,
                    FLEETDB_ADMIN,
                    FLEETDB_ROLES,
};
const char *fleetdb_role_name(enum fleetdb_role role);

enum fleetdb_token_scope { /* the schema's scope */
                           FLEETDB_SCOPE_FLEET,
                           FLEETDB_SCOPE_MERCHANT,
                           FLEETDB_SCOPE_REGION,
                           FLEETDB_SCOPES,
};
const char *fleetdb_token_scope_name(enum fleetdb_token_scope scope);

struct fleetdb_token {
    int64_t token; /* its row */
    char name[FLEETDB_TOKEN_NAME_CHARS + 1];
    enum fleetdb_role role;
    enum fleetdb_token_scope scope;
    int64_t made_ms, expires_ms, revoked_ms; /* 0: never expires; not revoked */
    int64_t used_ms;                         /* to a minute; 0: never */
    char made_by[64];
};

struct fleetdb_token_order {
    const char *name;
    const uint8_t *sha256; /* 32 bytes */
    enum fleetdb_role role;
    enum fleetdb_token_scope scope;
    const char *const *places; /* codes of merchants, or names of regions */
    size_t place_count;
    int64_t expires_ms; /* 0: never */
};
/* With an audit row. ERR_CONFLICT: the name has been given before, or is one of what was
 * erased; ERR_NOT_FOUND: no such merchant or region. */
bool fleetdb_token_add(struct fleetdb *db, const struct fleetdb_token_order *order, const char *who,
                       int64_t now_ms, struct err *err) MUSTER_CHECK;
/* With an audit row. ERR_NOT_FOUND: no such token; ERR_CONFLICT: it is revoked already. */
bool fleetdb_token_revoke(struct fleetdb *db, const char *name, const char *who, int64_t now_ms,
                          struct err *err) MUSTER_CHECK;
/* ERR_NOT_FOUND: there is no such token. One that is revoked or over is found too. */
bool fleetdb_token_find(struct fleetdb *db, const uint8_t sha256[32],
                        struct fleetdb_token *ret_token, struct err *err) MUSTER_CHECK;
/* Whether it may still be used; by its row. */
bool fleetdb_token_good(struct fleetdb *db, int64_t token, int64_t now_ms, bool *ret_good,
                        struct err *err) MUSTER_CHECK;
/* Written down at most once a minute: a question is not to cost a write. */
bool fleetdb_token_used(struct fleetdb *db, const struct fleetdb_token *token, int64_t now_ms,
                        struct err *err) MUSTER_CHECK;

/* Ascending by name; `places` is a JSON array of their codes or names. */
bool fleetdb_token_each(struct fleetdb *db,
                        bool (*each)(void *ctx, const struct fleetdb_token *token,
                                     const char *places, struct err *err),
                        void *ctx, struct err *err) MUSTER_CHECK;

#endif
