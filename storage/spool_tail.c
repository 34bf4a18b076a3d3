/* SPDX-License-Identifier: Apache-2.0 */
/* The chain beside the database: what it must say before a push, and what it proves at open. */
#include "storage/spool_state.h"

#include <stdlib.h>
#include <string.h>

enum { CEILING_MIN = 64, CEILING_MAX = 8192 }; /* a ceiling is at most so far ahead */

/* The entry of a stream's incarnation, behind `count` others; streams come by number. */
static struct spool_chain_entry *entry_of(struct spool_chain *chain, uint64_t incarnation,
                                          uint32_t number)
{
    if (chain->count == 0 || chain->entries[chain->count - 1].incarnation != incarnation)
        chain->entries[chain->count++] =
            (struct spool_chain_entry){.incarnation = incarnation, .number = number};
    return &chain->entries[chain->count - 1];
}

static bool save(struct spool *spool, const uint64_t ceiling[SPOOL_LANES], bool settled,
                 struct err *err)
{
    struct spool_chain chain = {
        .starts = spool->starts,
        .edition = spool->chain_edition,
        .settled = settled,
        .entries = calloc(spool->stream_count + 1, sizeof *chain.entries),
    };
    if (chain.entries == NULL)
        return err_set(err, ERR_NO_MEMORY, "spool %s: out of memory", spool->path);
    memcpy(chain.device, spool->device, sizeof chain.device);
    for (size_t i = 0; i < spool->stream_count; i++) {
        const struct stream *stream = &spool->streams[i];
        if (!stream->closing && stream->number != spool->number)
            entry_of(&chain, stream->incarnation, stream->number)->ceiling[stream->lane - 1] =
                stream->last_seq;
    }
    memcpy(entry_of(&chain, spool->incarnation, spool->number)->ceiling, ceiling,
           sizeof spool->ceiling);
    bool ok = spool_chain_write(spool->chain_path, &chain, err);
    spool->chain_edition = chain.edition;
    spool_chain_done(&chain);
    return ok;
}

bool spool_chain_save(struct spool *spool, const uint64_t ceiling[SPOOL_LANES], struct err *err)
{
    return save(spool, ceiling, false, err);
}

bool spool_chain_settle(struct spool *spool, struct err *err)
{
    uint64_t exact[SPOOL_LANES] = {0};
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        const struct stream *stream = spool_find_number(spool, spool->number, lane);
        exact[lane - 1] = stream != NULL ? stream->last_seq : 0;
    }
    return save(spool, exact, true, err);
}

bool spool_chain_cover(struct spool *spool, const uint64_t next_seq[SPOOL_LANES], struct err *err)
{
    uint64_t ceiling[SPOOL_LANES];
    bool raised = false;
    for (size_t i = 0; i < SPOOL_LANES; i++) {
        uint64_t last = next_seq[i] - 1;
        uint64_t ahead = last < CEILING_MIN ? CEILING_MIN : last;
        ceiling[i] = spool->ceiling[i];
        if (last <= ceiling[i] && ceiling[i] > 0)
            continue;
        ceiling[i] = last + (ahead < CEILING_MAX ? ahead : CEILING_MAX);
        raised = true;
    }
    if (!raised)
        return true;
    if (!spool_chain_save(spool, ceiling, err))
        return false;
    memcpy(spool->ceiling, ceiling, sizeof spool->ceiling);
    return true;
}

/* last + 1 .. ceiling may have been given, and is not here. */
static bool declare_lane(struct spool *spool, uint32_t number, int lane, uint64_t last,
                         uint64_t ceiling, struct err *err)
{
    sqlite3_stmt *raise = sqlite_query(spool->db, SPOOL_STREAM_RAISE);
    sqlite_bind_int(raise, ":number", number);
    sqlite_bind_int(raise, ":lane", lane);
    sqlite_bind_u64(raise, ":last_seq", ceiling);
    if (!sqlite_run(spool->db, raise, err))
        return false;
    sqlite3_stmt *lost = sqlite_query(spool->db, SPOOL_LOST_INSERT);
    sqlite_bind_int(lost, ":id", spool_id(lane, number, last + 1));
    sqlite_bind_u64(lost, ":last", ceiling);
    sqlite_bind_int(lost, ":reason", SPOOL_LOST_UNKNOWN);
    return sqlite_run(spool->db, lost, err);
}

/* The number that the incarnation has here, or the next one that is free. */
static uint32_t number_of(const struct spool *spool, uint64_t incarnation, uint32_t *next)
{
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        const struct stream *stream = spool_find(spool, incarnation, lane);
        if (stream != NULL)
            return stream->number;
    }
    return (*next)++;
}

bool spool_chain_declare(struct spool *spool, const struct spool_chain *chain,
                         uint64_t *ret_unknown, struct err *err)
{
    uint32_t next = spool->number;
    uint64_t unknown = 0;
    for (size_t i = 0; i < chain->count; i++) {
        const struct spool_chain_entry *entry = &chain->entries[i];
        uint32_t number = number_of(spool, entry->incarnation, &next);
        if (number > SPOOL_NUMBER_MAX)
            return err_set(err, ERR_FULL, "spool %s: no number left for an incarnation",
                           spool->path);
        for (int lane = 1; lane <= SPOOL_LANES; lane++) {
            const struct stream *stream = spool_find(spool, entry->incarnation, lane);
            uint64_t last = stream != NULL ? stream->last_seq : 0;
            uint64_t ceiling = entry->ceiling[lane - 1];
            if (ceiling <= last || ceiling > SPOOL_SEQ_MAX)
                continue;
            if ((stream == NULL &&
                 !spool_stream_insert(spool, entry->incarnation, number, lane, err)) ||
                !declare_lane(spool, number, lane, last, ceiling, err))
                return false;
            unknown += ceiling - last;
        }
    }
    *ret_unknown = unknown;
    return true;
}
