/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/opener.h"

#include "fleet/ed25519.h"
#include "proto/limits.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_ARENA_BYTES = 4 * 1024 * 1024,
    ROWS_ARENA_BYTES = 8 * 1024 * 1024, /* as many rows as a batch may have, of all columns */
};
static_assert(ROWS_ARENA_BYTES >
                  LIMIT_BATCH_ROWS * (FLEETDB_COLUMNS_MAX * sizeof(struct fleetdb_value) +
                                      sizeof(struct fleetdb_record) + sizeof(max_align_t)) +
                      2 * LIMIT_BATCH_BODY_BYTES,
              "whatever a batch says that was decoded, there is room to store it");

struct opener {
    struct rows_plan plans[OPENER_LANES];
    struct batch_decoder *decoder;
    struct sha256_state *hash;
    struct buf scratch;
};

static bool make_parts(struct opener *opener, struct err *err)
{
    for (int lane = 1; lane <= OPENER_LANES; lane++) {
        if (!rows_plan_make(lane, &opener->plans[lane - 1], err))
            return false;
    }
    opener->hash = sha256_begin();
    return opener->hash == NULL ? err_set(err, ERR_NO_MEMORY, "no memory to open messages")
                                : batch_decoder_open(&opener->decoder, err);
}

bool opener_make(struct opener **ret_opener, struct err *err)
{
    struct opener *opener = calloc(1, sizeof *opener);
    if (opener == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to open messages");
    if (!make_parts(opener, err)) {
        opener_free(opener);
        return false;
    }
    *ret_opener = opener;
    return true;
}

void opener_free(struct opener *opener)
{
    uint8_t nothing[32];
    if (opener == NULL)
        return;
    batch_decoder_close(opener->decoder);
    if (opener->hash != NULL)
        sha256_end(opener->hash, nothing);
    buf_done(&opener->scratch);
    free(opener);
}

const struct rows_plan *opener_plan(const struct opener *opener, Muster__Lane lane)
{
    return &opener->plans[lane - MUSTER__LANE__LANE_TXN];
}

bool opener_keys_equal(const struct opener_keys *a, const struct opener_keys *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (!bytes_equal(bytes_of(a->list[i].spki, a->list[i].length),
                         bytes_of(b->list[i].spki, b->list[i].length)))
            return false;
    }
    return true;
}

void opened_done(struct opened *opened)
{
    arena_done(&opened->arena);
    *opened = (struct opened){0};
}

/* ---- the seal ---- */

static bool check_seal(const char *domain, const char *id, struct bytes message,
                       const struct opener_keys *keys, struct bytes *ret_body, struct err *err)
{
    struct verify_key *list[FLEETDB_KEYS_MAX];
    struct key_set set = {.keys = list, .threshold = 1};
    for (size_t i = 0; i < keys->count; i++) {
        struct bytes spki = bytes_of(keys->list[i].spki, keys->list[i].length);
        if (ed25519_verify_key(spki, &list[set.count], NULL))
            set.count++;
    }
    bool good = unseal(domain, id, message, &set, ret_body, err);
    for (size_t i = 0; i < set.count; i++)
        verify_key_free(list[i]);
    return good;
}

/* ---- a batch ---- */

/* What the codec cannot know: that the ids fit the database. */
static bool ids_valid(const struct lane_rows *rows)
{
    return rows->lane >= MUSTER__LANE__LANE_TXN && rows->lane <= MUSTER__LANE__LANE_HEALTH &&
           rows->count > 0 && rows->first_seq > 0 && rows->count <= OPENER_SEQ_MAX &&
           rows->first_seq <= OPENER_SEQ_MAX - rows->count &&
           rows->behind <= OPENER_SEQ_MAX - rows->first_seq - rows->count;
}

static bool make_ready(struct opener *opener, const struct lane_rows *rows, struct arena *arena,
                       struct opened_lane *ret_lane, struct err *err)
{
    ret_lane->rows = *rows;
    return rows->lost != MUSTER__LOSS_REASON__LOSS_NONE ||
           rows_make_ready(opener_plan(opener, rows->lane), rows, &opener->scratch, opener->hash,
                           arena, &ret_lane->ready, err);
}

/* Only now is it known to be a batch. */
static bool make_all_ready(struct opener *opener, const struct lane_rows *lanes, size_t count,
                           struct opened *opened)
{
    opened->arena.limit_bytes += ROWS_ARENA_BYTES;
    opened->lanes = arena_alloc(&opened->arena, count * sizeof *opened->lanes);
    if (opened->lanes == NULL)
        return err_set(&opened->why, ERR_NO_MEMORY, "no memory for a batch's rows");
    for (size_t i = 0; i < count; i++) {
        if (!make_ready(opener, &lanes[i], &opened->arena, &opened->lanes[i], &opened->why))
            return false;
    }
    opened->lane_count = count;
    return true;
}

static bool decode(struct opener *opener, struct opened *opened, struct lane_rows **ret_lanes,
                   size_t *ret_count)
{
    bool good = batch_decoder_read(opener->decoder, opened->body, &opened->arena, ret_lanes,
                                   ret_count, &opened->why);
    for (size_t i = 0; good && i < *ret_count; i++) {
        if (!ids_valid(&(*ret_lanes)[i]))
            good = err_set(&opened->why, ERR_INVALID, "ids that no agent gives");
    }
    return good;
}

/* More than any batch may need does not pass, however often it is sent. */
static enum opened_as of_memory(const struct opened *opened)
{
    return opened->arena.exceeded ? OPENED_UNDECODABLE : OPENED_STARVED;
}

static void open_batch(struct opener *opener, struct opened *opened)
{
    struct lane_rows *lanes = NULL;
    size_t count = 0;
    opened->arena.limit_bytes = BATCH_ARENA_BYTES + TEXT_ARENA_BYTES;
    if (decode(opener, opened, &lanes, &count))
        opened->as =
            make_all_ready(opener, lanes, count, opened) ? OPENED_BATCH : of_memory(opened);
    else if (opened->why.code == ERR_NEWER)
        opened->as = OPENED_NEWER;
    else
        opened->as = opened->why.code == ERR_INVALID ? OPENED_UNDECODABLE : of_memory(opened);
    if (opened->as == OPENED_UNDECODABLE)
        sha256(opened->body, opened->digest);
}

void opener_open(struct opener *opener, const char *domain, const char *id, struct bytes message,
                 const struct opener_keys *keys, struct opened *ret_opened)
{
    *ret_opened = (struct opened){.keys = *keys};
    if (!check_seal(domain, id, message, keys, &ret_opened->body, &ret_opened->why)) {
        ret_opened->as = ret_opened->why.code == ERR_REFUSED ? OPENED_UNSIGNED : OPENED_NO_ENVELOPE;
        return;
    }
    ret_opened->as = OPENED_SEALED;
    if (strcmp(domain, "batch") == 0)
        open_batch(opener, ret_opened);
}
