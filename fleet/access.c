/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/access.h"

#include "base/clock.h"
#include "base/log.h"
#include "proto/seal.h"
#include "storage/fleetdb_tokens.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PREFIX "muster_"
#define BEARER "bearer "

enum {
    SECRET_BYTES = 32,
    BURST_SECONDS = 4, /* so much at once of what a second allows */
    FAILURES_PER_SECOND = 5,
    FAILURES_BURST = 50,
    NOBODY = INT64_MAX, /* key of the bucket of all who have no token */
};

static const enum api_role roles[FLEETDB_ROLES] = {
    [FLEETDB_VIEWER] = API_VIEWER, [FLEETDB_OPERATOR] = API_OPERATOR, [FLEETDB_ADMIN] = API_ADMIN};

void access_init(struct access *access, struct fleetdb *db, struct metrics *metrics,
                 int64_t per_second)
{
    *access =
        (struct access){.db = db,
                        .metrics = metrics,
                        .rate = {.per_second = per_second, .burst = per_second * BURST_SECONDS},
                        .failures = {.per_second = FAILURES_PER_SECOND, .burst = FAILURES_BURST}};
}

void access_token_make(char text[ACCESS_TOKEN_CHARS + 1], uint8_t digest[32])
{
    uint8_t secret[SECRET_BYTES];
    random_bytes(secret, sizeof secret);
    memcpy(text, PREFIX, sizeof PREFIX - 1);
    hex_encode(secret, sizeof secret, text + sizeof PREFIX - 1);
    explicit_bzero(secret, sizeof secret);
    sha256(bytes_of(text, ACCESS_TOKEN_CHARS), digest);
}

/* ---- who ---- */

/* "Bearer TOKEN" (RFC 6750 section 2.1); NULL: it is not that. */
static const char *bearer_of(const char *authorization)
{
    if (strncasecmp(authorization, BEARER, sizeof BEARER - 1) != 0)
        return NULL;
    const char *token = authorization + sizeof BEARER - 1;
    token += strspn(token, " ");
    const bool form = strlen(token) == ACCESS_TOKEN_CHARS &&
                      strncmp(token, PREFIX, sizeof PREFIX - 1) == 0 &&
                      strspn(token + sizeof PREFIX - 1, "0123456789abcdef") == 2 * SECRET_BYTES;
    return form ? token : NULL;
}

static enum access_answer unknown(struct access *access, const struct access_claim *claim,
                                  int64_t *ret_wait_ms, struct err *err)
{
    metrics_add(access->metrics, METRIC_HTTP_UNKNOWN, 1);
    if (!rate_take(&access->failures, 1, claim->boot_ms, ret_wait_ms)) {
        (void)err_set(err, ERR_REFUSED, "too many requests with what is no token; wait");
        return ACCESS_TOO_MUCH;
    }
    return ACCESS_UNKNOWN;
}

static enum access_answer identify_token(struct access *access, const struct access_claim *claim,
                                         struct fleetdb_token *ret_token, int64_t *ret_wait_ms,
                                         struct err *err)
{
    uint8_t digest[32];
    struct err why = {0};
    const char *text = bearer_of(claim->authorization);
    if (text == NULL || access->db == NULL) {
        (void)err_set(err, ERR_REFUSED,
                      "the Authorization header is not \"Bearer muster_...\" with a token of "
                      "musterctl token add");
        return unknown(access, claim, ret_wait_ms, err);
    }
    sha256(bytes_of(text, ACCESS_TOKEN_CHARS), digest);
    if (!fleetdb_token_find(access->db, digest, ret_token, &why)) {
        if (why.code != ERR_NOT_FOUND) {
            (void)err_set(err, why.code, "%s", why.text);
            return ACCESS_FAILED;
        }
        (void)err_set(err, ERR_REFUSED, "there is no such token here");
        return unknown(access, claim, ret_wait_ms, err);
    }
    const bool over = ret_token->expires_ms != 0 && claim->now_ms >= ret_token->expires_ms;
    if (ret_token->revoked_ms != 0 || over) {
        (void)err_set(err, ERR_REFUSED, "token %s %s; have another one made", ret_token->name,
                      over ? "has expired" : "is revoked");
        return unknown(access, claim, ret_wait_ms, err);
    }
    return ACCESS_KNOWN;
}

static bool often(struct access *access, const char *name, int64_t key,
                  const struct access_claim *claim, int64_t *ret_wait_ms, struct err *err)
{
    if (rate_take(&access->rate, key, claim->boot_ms, ret_wait_ms))
        return false;
    metrics_add(access->metrics, METRIC_HTTP_TOO_MUCH, 1);
    (void)err_set(err, ERR_FULL, "%s: more than %lld requests a second; wait %lld ms", name,
                  (long long)access->rate.per_second, (long long)*ret_wait_ms);
    return true;
}

static enum access_answer by_token(struct access *access, const struct access_claim *claim,
                                   struct api_caller *ret_caller, int64_t *ret_wait_ms,
                                   struct err *err)
{
    struct fleetdb_token token;
    struct api_caller caller = {0};
    struct err why = {0};
    const enum access_answer answer = identify_token(access, claim, &token, ret_wait_ms, err);
    if (answer != ACCESS_KNOWN)
        return answer;
    (void)snprintf(caller.name, sizeof caller.name, "token %s", token.name);
    if (often(access, caller.name, token.token, claim, ret_wait_ms, err))
        return ACCESS_TOO_MUCH;
    if (!fleetdb_token_used(access->db, &token, claim->now_ms, &why))
        log_warn("%s: when it was used last is not written down: %s", caller.name, why.text);
    caller.role = roles[token.role];
    caller.token = token.token;
    if (token.scope != FLEETDB_SCOPE_FLEET)
        caller.scope.token = token.token;
    *ret_caller = caller;
    return ACCESS_KNOWN;
}

enum access_answer access_identify(struct access *access, const struct access_claim *claim,
                                   struct api_caller *ret_caller, int64_t *ret_wait_ms,
                                   struct err *err)
{
    if (claim->authorization != NULL)
        return by_token(access, claim, ret_caller, ret_wait_ms, err);
    struct api_caller caller = {.role = claim->local ? API_ADMIN : API_ANYONE};
    if (claim->local)
        (void)snprintf(caller.name, sizeof caller.name, "uid %lu", (unsigned long)claim->uid);
    else
        (void)snprintf(caller.name, sizeof caller.name, "who has no token");
    if (!claim->local && often(access, caller.name, NOBODY, claim, ret_wait_ms, err))
        return ACCESS_TOO_MUCH;
    *ret_caller = caller;
    return ACCESS_KNOWN;
}

/* ---- what ---- */

bool access_check_device(struct fleetdb *db, const struct api_caller *caller, const char *id,
                         struct err *err)
{
    bool holds = false;
    return fleetdb_scope_holds_id(db, caller->scope, id, &holds, err) &&
           (holds || err_set(err, ERR_NOT_FOUND, "no device %s", id));
}

bool access_check_held(struct fleetdb *db, const struct api_caller *caller, const char *id,
                       struct err *err)
{
    bool held = false;
    return fleetdb_scope_held_id(db, caller->scope, id, &held, err) &&
           (held || err_set(err, ERR_NOT_FOUND, "no device %s", id));
}
