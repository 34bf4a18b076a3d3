/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/world/handover.h"

#include "base/buf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { WAITING_MAX = 100000, DEADLINE_MS = 500 };

struct waiting {
    struct waiting *next;
    unsigned run;
    size_t length;
    uint8_t packed[];
};

struct handover {
    struct muster_client *client;
    FILE *oracle;
    struct waiting *first, **last;
    size_t count;
    struct muster_lease sale; /* as it was begun */
};

bool handover_open(const char *socket_path, const char *oracle_path, struct handover **ret_handover,
                   struct err *err)
{
    const struct muster_client_settings settings = {.socket_path = socket_path,
                                                    .deadline_ms = DEADLINE_MS};
    struct handover *handover = calloc(1, sizeof *handover);
    if (!handover)
        return err_set(err, ERR_NO_MEMORY, "no memory for the handover");
    handover->last = &handover->first;
    handover->client = muster_client_open(&settings);
    handover->oracle = fopen(oracle_path, "ae");
    bool done = handover->client && handover->oracle;
    if (!handover->client)
        err_set(err, ERR_INVALID, "%s: too long for a socket, or no memory", socket_path);
    else if (!done)
        err_errno(err, errno, "%s", oracle_path);
    if (!done) {
        handover_close(handover);
        return false;
    }
    *ret_handover = handover;
    return true;
}

void handover_close(struct handover *handover)
{
    if (!handover)
        return;
    while (handover->first) {
        struct waiting *gone = handover->first;
        handover->first = gone->next;
        free(gone);
    }
    if (handover->oracle)
        fclose(handover->oracle);
    muster_client_close(handover->client);
    free(handover);
}

const char *handover_begin(struct handover *handover)
{
    (void)muster_lease_begin(handover->client, 0, 0, &handover->sale);
    return handover->sale.path;
}

void handover_end(struct handover *handover)
{
    struct muster_lease lease;
    (void)muster_lease_end(handover->client, 0, &lease);
}

void handover_say(struct handover *handover, bool reversal, bool batch)
{
    struct muster_lease lease;
    (void)muster_lease_set(handover->client, 0, reversal, batch, &lease);
}

size_t handover_waiting(const struct handover *handover)
{
    return handover->count;
}

bool handover_add(struct handover *handover, unsigned run, const Muster__TxnResult *txn,
                  struct err *err)
{
    size_t length = muster__txn_result__get_packed_size(txn);
    if (handover->count == WAITING_MAX)
        return err_set(err, ERR_FULL, "%d results wait for the agent", WAITING_MAX);
    struct waiting *waiting = malloc(sizeof *waiting + length);
    if (!waiting)
        return err_set(err, ERR_NO_MEMORY, "no memory for a result");
    *waiting = (struct waiting){.run = run, .length = length};
    muster__txn_result__pack(txn, waiting->packed);
    *handover->last = waiting;
    handover->last = &waiting->next;
    handover->count++;
    return true;
}

static struct muster_bytes bytes_field(ProtobufCBinaryData field)
{
    return (struct muster_bytes){field.data, field.len};
}

struct muster_txn handover_txn(const Muster__TxnResult *from)
{
    return (struct muster_txn){
        .idempotency_key = bytes_field(from->idempotency_key),
        .wall_ms = from->wall_ms,
        .boot_ms = from->boot_ms,
        .terminal = from->terminal,
        .acquirer = from->acquirer,
        .code_profile_version = from->code_profile_version,
        .stan = from->stan,
        .batch_number = from->batch_number,
        .type = (enum muster_txn_type)from->type,
        .entry_mode = (enum muster_entry_mode)from->entry_mode,
        .fallback = (enum muster_fallback)from->fallback,
        .scheme = from->scheme,
        .aid = bytes_field(from->aid),
        .issuer_bucket = from->issuer_bucket,
        .bin_table_version = from->bin_table_version,
        .card_token = bytes_field(from->card_token),
        .token_key_version = from->token_key_version,
        .rrn = from->rrn,
        .auth_code = from->auth_code,
        .amount_minor = from->amount_minor,
        .currency = from->currency,
        .outcome = (enum muster_outcome)from->outcome,
        .code = from->code,
        .code_source = (enum muster_code_source)from->code_source,
        .host_hint = from->host_hint,
        .tvr = bytes_field(from->tvr),
        .tsi = bytes_field(from->tsi),
        .cvm_result = bytes_field(from->cvm_result),
        .capk_rid = bytes_field(from->capk_rid),
        .capk_index = from->capk_index,
        .online_pin = from->online_pin,
        .read_ms = from->read_ms,
        .connect_ms = from->connect_ms,
        .tls_ms = from->tls_ms,
        .host_ms = from->host_ms,
        .total_ms = from->total_ms,
        .attempts = from->attempts,
        .reversal_pending = from->reversal_pending,
        .network = (enum muster_network)from->network,
        .signal_dbm = from->signal_dbm,
        .app_version = from->app_version,
        .firmware_version = from->firmware_version,
        .table_miss = from->table_miss,
        .default_route = from->default_route,
        .issuer_unknown = from->issuer_unknown,
        .no_common_aid = from->no_common_aid,
        .key_missing = from->key_missing,
    };
}

static bool note(struct handover *handover, unsigned run, const struct muster_answer *answer,
                 const Muster__TxnResult *txn, struct err *err)
{
    char key[2 * sizeof answer->key + 1];
    hex_encode(answer->key, answer->key_length, key);
    fprintf(handover->oracle, "%u\t%s\t%s\t%016" PRIx64 ".%d.%" PRIu64 "\t%s\t%u\n", run, key,
            answer->status == MUSTER_DUPLICATE ? "duplicate" : "stored", answer->incarnation,
            MUSTER__LANE__LANE_TXN, answer->seq, *txn->code ? txn->code : "-", txn->stan);
    if (fflush(handover->oracle) != 0)
        return err_errno(err, errno, "the oracle file");
    return true;
}

static void take_first(struct handover *handover)
{
    struct waiting *gone = handover->first;
    handover->first = gone->next;
    if (!handover->first)
        handover->last = &handover->first;
    handover->count--;
    free(gone);
}

bool handover_try(struct handover *handover, struct err *err)
{
    while (handover->first) {
        const struct waiting *next = handover->first;
        Muster__TxnResult *txn = muster__txn_result__unpack(NULL, next->length, next->packed);
        if (!txn)
            return err_set(err, ERR_NO_MEMORY, "no memory for a result");
        struct muster_txn handed = handover_txn(txn);
        struct muster_answer answer;
        bool stored = muster_record(handover->client, &handed, &answer);
        bool noted = !stored || note(handover, next->run, &answer, txn, err);
        muster__txn_result__free_unpacked(txn, NULL);
        if (!noted)
            return false;
        if (answer.status == MUSTER_INVALID)
            return err_set(err, ERR_REFUSED, "the agent refuses a result: %.400s", answer.text);
        if (!stored)
            return true;
        take_first(handover);
    }
    return true;
}
