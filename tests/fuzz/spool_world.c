/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/spool_world.h"

#include "base/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { BODY_BYTES = 64, STREAMS = 16, FILE_MAX = 1 << 20 };

static uint64_t older[SPOOL_WORLD_OLDER];

static size_t body_of(uint64_t incarnation, int lane, uint64_t seq, char out[BODY_BYTES])
{
    return (size_t)snprintf(out, BODY_BYTES, "%016" PRIx64 " %d %" PRIu64, incarnation, lane, seq);
}

bool spool_world_open(struct spool **ret_spool, struct err *err)
{
    char path[FUZZ_PATH_BYTES];
    fuzz_path("spool.db", path);
    const struct spool_settings settings = {
        .path = path,
        .device = SPOOL_DEVICE,
        .quota_bytes = SPOOL_QUOTA_MIN_BYTES,
        .grace_ms = INT64_C(86400000),
        .key_window = 100,
    };
    return spool_open(&settings, &clock_real, ret_spool, err);
}

static uint64_t last_seq(struct spool *spool, int lane)
{
    struct spool_stream streams[STREAMS];
    size_t count = spool_unclosed(spool, streams, STREAMS);
    for (size_t i = 0; i < count && i < STREAMS; i++)
        if (streams[i].incarnation == spool_incarnation(spool) && streams[i].lane == lane)
            return streams[i].last_seq;
    return 0;
}

bool spool_world_push(struct spool *spool, int lane, struct err *err)
{
    char body[BODY_BYTES];
    uint64_t seq = last_seq(spool, lane) + 1;
    size_t length = body_of(spool_incarnation(spool), lane, seq, body);
    struct spool_record record = {.lane = lane, .body = bytes_of(body, length)};
    if (lane == 1) /* its end differs from record to record */
        record.key = bytes_of(body + length - 12, 12);
    if (!spool_push(spool, &record, 1, err))
        return false;
    HOLDS(record.seq == seq && !record.duplicate);
    return true;
}

/* ---- the files ---- */

static void fill(int which)
{
    static const struct spool_range beyond[] = {{4, 4}};
    struct spool *spool = NULL;
    HOLDS(spool_world_open(&spool, NULL));
    older[which] = spool_incarnation(spool);
    for (int i = 0; i < 18; i++)
        HOLDS(spool_world_push(spool, 1 + i % 3, NULL));
    HOLDS(spool_receipt(spool, older[which], 1, 2, beyond, 1, NULL));
    HOLDS(spool_lose(spool, older[which], 2, 3, 4, SPOOL_LOST_CONFLICT, NULL));
    HOLDS(spool_note_write(spool, "receipts", bytes_of("note", 4), NULL));
    spool_close(spool);
}

const struct spool_world_file *spool_world_files(void)
{
    static struct spool_world_file files[SPOOL_WORLD_FILES] = {{.name = "spool.db"},
                                                               {.name = "spool.db.chain"}};
    static struct buf contents[SPOOL_WORLD_FILES];
    if (contents[0].length)
        return files;
    (void)fuzz_dir();
    for (int i = 0; i < SPOOL_WORLD_OLDER; i++)
        fill(i);
    for (int i = 0; i < SPOOL_WORLD_FILES; i++) {
        char path[FUZZ_PATH_BYTES];
        fuzz_path(files[i].name, path);
        HOLDS(file_read(path, FILE_MAX, &contents[i], NULL));
        files[i].content = buf_bytes(&contents[i]);
    }
    return files;
}

void spool_world_lay_out(void)
{
    const struct spool_world_file *files = spool_world_files();
    (void)fuzz_dir();
    for (int i = 0; i < SPOOL_WORLD_FILES; i++) {
        char path[FUZZ_PATH_BYTES];
        fuzz_path(files[i].name, path);
        HOLDS(file_write(path, files[i].content, 0600, NULL));
    }
}

uint64_t spool_world_older(int which)
{
    (void)spool_world_files();
    return older[which];
}

/* ---- reading all ---- */

struct heard {
    uint64_t incarnation, next;
    int lane;
    bool damaged;
    uint64_t given;
};

/* Some record that was pushed, whole. */
static bool is_record(struct bytes body)
{
    char text[BODY_BYTES] = "", again[BODY_BYTES];
    uint64_t incarnation = 0, seq = 0;
    int lane = 0;
    if (body.length == 0 || body.length >= sizeof text)
        return false;
    memcpy(text, body.data, body.length);
    return sscanf(text, "%" SCNx64 " %d %" SCNu64, &incarnation, &lane, &seq) == 3 &&
           body_of(incarnation, lane, seq, again) == body.length && strcmp(text, again) == 0;
}

static bool hear(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    struct heard *heard = ctx;
    char wanted[BODY_BYTES];
    (void)err;
    HOLDS(heard->given == 0 || seq == heard->next);
    size_t length = body_of(heard->incarnation, heard->lane, seq, wanted);
    HOLDS(bytes_equal(body, bytes_of(wanted, length)) || (heard->damaged && is_record(body)));
    heard->next = seq + 1;
    heard->given++;
    return true;
}

static bool read_stream(struct spool *spool, const struct spool_stream *stream, bool damaged,
                        uint64_t *given, struct err *err)
{
    uint64_t at = stream->first_unsent;
    for (;;) {
        struct heard heard = {
            .incarnation = stream->incarnation, .lane = stream->lane, .damaged = damaged};
        struct spool_found found = {0};
        if (!spool_read(spool, stream->incarnation, stream->lane, at, 4, 4096, hear, &heard, &found,
                        err))
            return false;
        if (found.count == 0)
            return true;
        HOLDS(found.first >= at && found.first <= stream->last_seq);
        HOLDS(found.count - 1 <= stream->last_seq - found.first);
        *given += heard.given;
        at = found.first + found.count;
    }
}

bool spool_world_check(struct spool *spool, bool damaged, uint64_t *ret_given, struct err *err)
{
    struct spool_stream streams[STREAMS];
    uint64_t given = 0;
    size_t count = spool_streams(spool, streams, STREAMS);
    for (size_t i = 0; i < count && i < STREAMS; i++) {
        HOLDS(streams[i].first_unsent >= 1 && streams[i].lane >= 1 &&
              streams[i].lane <= SPOOL_LANES);
        if (!read_stream(spool, &streams[i], damaged, &given, err))
            return false;
    }
    *ret_given = given;
    return true;
}
