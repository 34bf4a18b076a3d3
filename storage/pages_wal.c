/* SPDX-License-Identifier: Apache-2.0 */
/* Which page stands where in the WAL. */
#include "storage/pages_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WAL_HEAD_BYTES = 32,
    FRAME_HEAD_BYTES = 24,
    SUMMED_BYTES = 8, /* of a frame's head */
    SUM_AT = 16,
    SALT_AT = 8,
    SALT_BYTES = 8,
    HEAD_SALT_AT = 16,
    HEAD_SUM_AT = 24,
};
static const uint32_t wal_magic = 0x377f0682; /* the lowest bit: its sums are big-endian */

struct sum {
    uint32_t s1, s2;
};

struct wal {
    struct pages *pages;
    uint8_t *frame; /* head and page */
    uint8_t salt[SALT_BYTES];
    bool big_endian;
    struct sum sum;     /* up to the frame before, as that one has it */
    uint32_t committed; /* frames up to here are part of a transaction that was */
    bool broken;
    unsigned commits_behind; /* sound ends of transactions behind the break */
};

static uint32_t word(const uint8_t *in, bool big_endian)
{
    return big_endian
               ? pages_u32(in)
               : (uint32_t)in[3] << 24 | (uint32_t)in[2] << 16 | (uint32_t)in[1] << 8 | in[0];
}

static struct sum add(struct sum sum, const uint8_t *in, size_t length, bool big_endian)
{
    for (size_t i = 0; i + 8 <= length; i += 8) {
        sum.s1 += word(in + i, big_endian) + sum.s2;
        sum.s2 += word(in + i + 4, big_endian) + sum.s1;
    }
    return sum;
}

static struct sum stored(const uint8_t *in)
{
    return (struct sum){pages_u32(in), pages_u32(in + 4)};
}

static bool same(struct sum a, struct sum b)
{
    return a.s1 == b.s1 && a.s2 == b.s2;
}

/* A head that does not add up is what a power cut leaves of a WAL that begins anew: by then all of
 * it is in the database. */
static bool read_head(struct wal *wal)
{
    uint8_t head[WAL_HEAD_BYTES];
    if (pread(wal->pages->wal, head, sizeof head, 0) != (ssize_t)sizeof head)
        return false;
    uint32_t magic = pages_u32(head);
    if ((magic & ~1U) != wal_magic || pages_u32(head + 8) != wal->pages->page_bytes)
        return false;
    wal->big_endian = (magic & 1) != 0;
    wal->sum = add((struct sum){0}, head, HEAD_SUM_AT, wal->big_endian);
    memcpy(wal->salt, head + HEAD_SALT_AT, SALT_BYTES);
    return same(wal->sum, stored(head + HEAD_SUM_AT));
}

/* Behind a frame that does not add up, the next one is told by the sum which that one names: each
 * vouches for the one after it. false: the WAL ends here. */
static bool read_frame(struct wal *wal, uint32_t number, uint32_t *pending)
{
    struct pages *pages = wal->pages;
    size_t length = FRAME_HEAD_BYTES + (size_t)pages->page_bytes;
    uint64_t at = WAL_HEAD_BYTES + (uint64_t)(number - 1) * length;
    if (pread(pages->wal, wal->frame, length, (off_t)at) != (ssize_t)length ||
        memcmp(wal->frame + SALT_AT, wal->salt, SALT_BYTES) != 0)
        return false;
    struct sum sum = add(wal->sum, wal->frame, SUMMED_BYTES, wal->big_endian);
    sum = add(sum, wal->frame + FRAME_HEAD_BYTES, pages->page_bytes, wal->big_endian);
    bool sound = same(sum, stored(wal->frame + SUM_AT));
    bool commits = pages_u32(wal->frame + 4) != 0;
    uint32_t page = pages_u32(wal->frame);
    wal->sum = stored(wal->frame + SUM_AT);
    pending[number] = sound && page <= pages->count ? page : 0;
    if (!sound && !wal->broken)
        wal->commits_behind = commits ? 1 : 0;
    else if (wal->broken && sound && commits)
        wal->commits_behind++;
    wal->broken = wal->broken || !sound;
    if (sound && commits)
        wal->committed = number;
    return true;
}

static bool read_frames(struct wal *wal, uint32_t frames, struct err *err)
{
    struct pages *pages = wal->pages;
    uint32_t *pending = calloc((size_t)frames + 1, sizeof *pending); /* page of each frame */
    wal->frame = malloc(FRAME_HEAD_BYTES + (size_t)pages->page_bytes);
    if (pending == NULL || wal->frame == NULL) {
        free(pending);
        free(wal->frame);
        return err_set(err, ERR_NO_MEMORY, "no memory for the WAL of %s", pages->path);
    }
    for (uint32_t number = 1; number <= frames; number++) {
        if (!read_frame(wal, number, pending))
            break;
    }
    for (uint32_t number = 1; number <= wal->committed; number++)
        pages->frame[pending[number]] = number;
    pages->frame[0] = 0;
    free(pending);
    free(wal->frame);
    return true;
}

bool pages_read_wal(struct pages *pages, struct err *err)
{
    struct wal wal = {.pages = pages};
    if (pages->wal < 0 || !read_head(&wal))
        return true;
    off_t bytes = lseek(pages->wal, 0, SEEK_END);
    uint64_t frames =
        bytes <= WAL_HEAD_BYTES
            ? 0
            : (uint64_t)(bytes - WAL_HEAD_BYTES) / (FRAME_HEAD_BYTES + (uint64_t)pages->page_bytes);
    if (frames > PAGES_MAX)
        return err_set(err, ERR_INVALID, "%s: a WAL of more than %d pages", pages->path, PAGES_MAX);
    bool ok = read_frames(&wal, (uint32_t)frames, err);
    /* A power cut can tear one transaction, the last: no more than its end is behind the break. */
    pages->wal_damaged = wal.broken && wal.commits_behind >= 2;
    return ok;
}
