/* SPDX-License-Identifier: Apache-2.0 */
/* Content in pieces: each is a blob in the store, and so is the list of their hashes. */
#include "agent/registrar_content.h"
#include "base/file.h"
#include "proto/seal.h"
#include "tests/crash/registry_seed.h"

#include <inttypes.h>
#include <string.h>
#include <zstd.h>

enum { PIECE_BYTES = 16, FRAME_BYTES = PIECE_BYTES * DOWNLOAD_PIECES };

/* What is sent of a content: its frame, and the hashes of the frame's pieces. */
struct sent {
    uint8_t frame[FRAME_BYTES];
    size_t length, count;
    uint8_t list[DOWNLOAD_PIECES][32];
};

static struct bytes piece_of(const struct sent *sent, size_t piece)
{
    size_t at = piece * PIECE_BYTES, left = sent->length - at;
    return bytes_of(sent->frame + at, left < PIECE_BYTES ? left : PIECE_BYTES);
}

/* False: its frame is too long for a download here. */
static bool send(uint32_t number, struct sent *sent)
{
    uint8_t content[CONTENT_MAX];
    struct bytes all = content_of(number, content);
    size_t made = ZSTD_compress(sent->frame, FRAME_BYTES, all.data, all.length, 1);
    if (ZSTD_isError(made))
        return false;
    sent->length = made;
    sent->count = (made + PIECE_BYTES - 1) / PIECE_BYTES;
    for (size_t i = 0; i < sent->count; i++)
        sha256(piece_of(sent, i), sent->list[i]);
    return true;
}

static struct bytes list_bytes(const struct sent *sent)
{
    return bytes_of(sent->list, sizeof sent->list[0] * sent->count);
}

/* The n-th blob of a download: the list, then the pieces. */
static struct bytes blob_of(const struct sent *sent, size_t n, uint8_t sum[32])
{
    struct bytes blob = n == 0 ? list_bytes(sent) : piece_of(sent, n - 1);
    sha256(blob, sum);
    return blob;
}

static void begin(struct crash *crash, struct sent *sent)
{
    struct seed *seed = crash->ctx;
    do
        seed->contents++;
    while (!send(seed->contents, sent));
    seed->now.download = (struct download){.content = seed->contents};
}

/* The first blob that is not there; sent->count + 1: all are. */
static size_t next_of(const struct download *download, const struct sent *sent)
{
    size_t n = 0;
    while (n <= sent->count && (download->have >> n & 1) != 0)
        n++;
    return n;
}

bool download_whole(const struct download *download)
{
    struct sent sent;
    return download->content != 0 && send(download->content, &sent) &&
           next_of(download, &sent) > sent.count;
}

void download_go_on(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct download *download = &seed->now.download;
    struct sent sent;
    struct err err = {0};
    uint8_t sum[32];
    if (download->content == 0)
        begin(crash, &sent);
    else if (!send(download->content, &sent))
        crash_stop(crash, "content %" PRIu32 " has no frame", download->content);
    size_t n = next_of(download, &sent);
    struct bytes blob = blob_of(&sent, n, sum);
    download->have |= 1u << n;
    if (!registry_blob_write(seed->registry, sum, blob, &err))
        crash_stop(crash, "%s", err.text);
}

void download_build(struct crash *crash, uint64_t generation, const char *name)
{
    struct seed *seed = crash->ctx;
    struct sent sent;
    struct blob_set lost = {0};
    struct registry_item item = {0};
    struct content_source source = {.present = true, .last = true};
    struct file_writer *writer = NULL;
    struct err err = {0};
    uint8_t content[CONTENT_MAX];
    uint32_t number = seed->now.download.content;
    bool good = send(number, &sent);
    memcpy(item.name, name, strlen(name) + 1);
    item.length = content_of(number, content).length;
    sum_of(number, item.sha256);
    source.way.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD;
    source.way.size = list_bytes(&sent).length;
    source.way.piece_bytes = PIECE_BYTES;
    source.way.pieces_size = sent.length;
    sha256(list_bytes(&sent), source.way.blob);
    const struct content_job job = {.registry = seed->registry,
                                    .sealing_key = "",
                                    .item = &item,
                                    .source = &source,
                                    .lost = &lost};
    good = good && registry_build_stream(seed->registry, generation, name, &writer, &err) &&
           content_stream(&job, writer, &err) == CONTENT_MADE && file_writer_keep(writer, &err);
    blob_set_done(&lost);
    if (!good)
        crash_stop(crash, "content %" PRIu32 " from its pieces: %s", number, err.text);
}

static bool is_there(const struct registry *registry, const struct sent *sent, size_t n)
{
    struct buf found = {0};
    uint8_t sum[32];
    struct bytes blob = blob_of(sent, n, sum);
    bool there = registry_blob_read(registry, sum, FRAME_BYTES * 2, &found, NULL) &&
                 bytes_equal(buf_bytes(&found), blob);
    buf_done(&found);
    return there;
}

void download_resume(struct seed *seed, const struct download *last)
{
    struct sent sent;
    seed->now.download = (struct download){.content = last->content};
    if (last->content == 0 || !send(last->content, &sent))
        return;
    for (size_t n = 0; n <= sent.count; n++)
        if (is_there(seed->registry, &sent, n))
            seed->now.download.have |= 1u << n;
}

bool download_needs(const struct download *download, const uint8_t sha256_of_blob[32])
{
    struct sent sent;
    uint8_t sum[32];
    if (download->content == 0 || !send(download->content, &sent))
        return false;
    for (size_t n = 0; n <= sent.count; n++) {
        (void)blob_of(&sent, n, sum);
        if (memcmp(sum, sha256_of_blob, sizeof sum) == 0)
            return true;
    }
    return false;
}

void download_check(struct crash *crash, const struct registry *registry,
                    const struct download *before, const struct download *after)
{
    struct sent sent;
    if (before->content == 0 || after->content != before->content || !send(before->content, &sent))
        return;
    for (size_t n = 0; n <= sent.count; n++) {
        bool kept = (before->have & after->have) >> n & 1;
        if (kept && !is_there(registry, &sent, n))
            crash_lost(crash, "blob %zu of a download that was written", n);
    }
}
