/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/world/till.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TVR_DDA_FAILED = 0x08 };

struct till {
    struct till_settings settings;
    struct results *results;
    struct registration registration;
    struct hostline line;
    uint32_t stan;
    char issuer[25], code[5], rrn[13], auth_code[7];
};

/* protobuf-c's fields are not const; nothing is written through them. */
static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text;
}

bool till_open(const struct till_settings *settings, struct till **ret_till, struct err *err)
{
    struct till *till = calloc(1, sizeof *till);
    if (!till)
        return err_set(err, ERR_NO_MEMORY, "no memory for a till");
    till->settings = *settings;
    till->line = (struct hostline){.path = settings->host_path, .descriptor = -1};
    if (!results_open(&settings->world, &till->results, err)) {
        free(till);
        return false;
    }
    *ret_till = till;
    return true;
}

void till_close(struct till *till)
{
    if (!till)
        return;
    hostline_close(&till->line);
    registration_done(&till->registration);
    results_close(till->results);
    free(till);
}

void till_rewind(struct till *till)
{
    results_rewind(till->results);
}

/* What happens now, not in the world's calendar: time, STAN, a key of its own. */
static void stamp(struct till *till, struct world_result *result)
{
    Muster__TxnResult *txn = &result->txn;
    random_bytes(result->key, sizeof result->key);
    till->stan = till->stan % 999999 + 1;
    txn->stan = till->stan;
    txn->wall_ms = clock_wall_ms(&clock_real);
    txn->boot_ms = (uint64_t)clock_boot_ms(&clock_real);
    txn->batch_number = (uint32_t)till->registration.params.batch;
    txn->code_profile_version = (uint32_t)till->registration.params.code_profile;
    txn->generation = (ProtobufCBinaryData){0}; /* the agent knows it */
}

static void route(struct till *till, struct world_result *result)
{
    Muster__TxnResult *txn = &result->txn;
    const struct range *known =
        ranges_longest(&till->registration.ranges, result->card.range->prefix);
    txn->bin_table_version = till->registration.ranges.version;
    txn->table_miss = txn->default_route = txn->issuer_unknown = !known;
    txn->acquirer = known ? known->route : (uint32_t)till->registration.params.default_route;
    txn->terminal = txn->acquirer;
    snprintf(till->issuer, sizeof till->issuer, "%s", known ? known->issuer : "");
    txn->issuer_bucket = till->issuer;
}

static bool chip_is_ours(const struct till *till, const struct world_result *result)
{
    const struct aid *aid = result->card.aid;
    return !result->carries_chip ||
           aids_have(&till->registration.aids, bytes_of(aid->bytes, aid->length));
}

static bool key_is_missing(const struct till *till, const struct world_result *result)
{
    const struct ca_key *wanted = result->card.ca_key;
    if (!result->carries_chip || !wanted)
        return false;
    const struct ca_key *held =
        ca_keys_find(&till->registration.ca_keys, wanted->rid, wanted->index);
    return !held || !held->sound;
}

static void answer(struct till *till, struct world_result *result, const char *code,
                   Muster__CodeSource source, Muster__Outcome outcome)
{
    Muster__TxnResult *txn = &result->txn;
    snprintf(till->code, sizeof till->code, "%s", code);
    txn->code = till->code;
    txn->code_source = source;
    txn->outcome = outcome;
}

/* The chip's application is not in the AID list: the terminal itself ends the sale. */
static void decline_offline(struct till *till, struct world_result *result)
{
    Muster__TxnResult *txn = &result->txn;
    answer(till, result, "Z1", MUSTER__CODE_SOURCE__CODE_SOURCE_OFFLINE,
           MUSTER__OUTCOME__OUTCOME_DECLINED);
    txn->no_common_aid = true;
    txn->aid = txn->capk_rid = txn->tvr = txn->tsi = txn->cvm_result = (ProtobufCBinaryData){0};
    txn->capk_index = txn->connect_ms = txn->tls_ms = txn->host_ms = 0;
    txn->total_ms = txn->read_ms;
    txn->online_pin = false;
}

static World__HostRequest request_of(const struct till *till, const struct world_result *result)
{
    const Muster__TxnResult *txn = &result->txn;
    const struct registration_ids *ids = &till->registration.params.hosts[txn->acquirer - 1];
    World__HostRequest request = WORLD__HOST_REQUEST__INIT;
    request.route = txn->acquirer;
    request.tid = text_of(ids->tid);
    request.mid = text_of(ids->mid);
    request.stan = txn->stan;
    request.range = text_of(result->card.range->prefix);
    request.ordinal = result->card.ordinal;
    request.amount_minor = txn->amount_minor;
    request.entry_mode = (uint32_t)txn->entry_mode;
    request.aid = txn->aid;
    request.oda_failed = txn->key_missing;
    request.wall_ms = txn->wall_ms;
    return request;
}

static void ask_host(struct till *till, struct world_result *result)
{
    Muster__TxnResult *txn = &result->txn;
    World__HostRequest request = request_of(till, result);
    World__HostReply *reply = NULL;
    struct err err = {0};
    if (!hostline_ask(&till->line, &request, &reply, &err)) {
        log_warn("%s", err.text);
        answer(till, result, "", MUSTER__CODE_SOURCE__CODE_SOURCE_TIMEOUT,
               MUSTER__OUTCOME__OUTCOME_NO_ANSWER);
        return;
    }
    bool approved = strcmp(reply->code, "00") == 0;
    answer(till, result, reply->code, MUSTER__CODE_SOURCE__CODE_SOURCE_HOST,
           approved ? MUSTER__OUTCOME__OUTCOME_APPROVED : MUSTER__OUTCOME__OUTCOME_DECLINED);
    snprintf(till->rrn, sizeof till->rrn, "%s", reply->rrn);
    snprintf(till->auth_code, sizeof till->auth_code, "%s", reply->auth_code);
    txn->rrn = till->rrn;
    txn->auth_code = till->auth_code;
    txn->host_hint = reply->host_hint;
    txn->host_ms = reply->host_ms;
    world__host_reply__free_unpacked(reply, NULL);
}

bool till_sell(struct till *till, const char *folder, struct world_result *ret_result,
               struct err *err)
{
    struct registration *registration = &till->registration;
    struct err why = {0};
    if (!registration_refresh(registration, till->settings.registry, folder,
                              till->settings.params_name, &why)) {
        if (registration->ranges.count == 0) {
            *err = why;
            return false;
        }
        log_warn("the tables held before stay in force: %s", why.text);
    }
    results_next(till->results, ret_result);
    ret_result->txn.rrn = ret_result->txn.auth_code = text_of("");
    stamp(till, ret_result);
    route(till, ret_result);
    if (!chip_is_ours(till, ret_result)) {
        decline_offline(till, ret_result);
        return true;
    }
    if (key_is_missing(till, ret_result)) {
        ret_result->txn.key_missing = true;
        ret_result->tvr[0] |= TVR_DDA_FAILED;
    }
    ask_host(till, ret_result);
    return true;
}
