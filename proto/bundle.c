/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/bundle.h"

#include "proto/bundle.pb-c.h"
#include "proto/limits.h"
#include "proto/topics.h"
#include "proto/unpack.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "muster-bundle/1"

enum { VARINT_BYTES = 10, FRAME_BYTES = LIMIT_BLOB_BYTES + 1024 };

struct bundle_reader {
    FILE *file;
    int64_t made_ms;
    uint64_t parts; /* given so far */
    uint64_t at;    /* of the next frame */
    enum bundle_what stage;
    struct buf frame;
    struct arena arena;
};

static size_t limit_of(enum bundle_what what)
{
    switch (what) {
    case BUNDLE_ROOT:
        return LIMIT_ROOT_BYTES;
    case BUNDLE_MANIFEST:
        return LIMIT_MANIFEST_BYTES;
    default:
        return LIMIT_BLOB_BYTES;
    }
}

/* ---- reading ---- */

static bool ended(const struct bundle_reader *reader, struct err *err)
{
    if (ferror(reader->file))
        return err_set(err, ERR_IO, "reading it failed: %s", strerror(errno));
    return err_set(err, ERR_INVALID, "it ends at byte %" PRIu64 ", in the middle; copy it again",
                   reader->at);
}

static bool read_length(struct bundle_reader *reader, uint64_t *ret_length, struct err *err)
{
    uint8_t bytes[VARINT_BYTES];
    for (size_t count = 0; count < sizeof bytes;) {
        int byte = getc(reader->file);
        if (byte == EOF)
            return ended(reader, err);
        bytes[count++] = (uint8_t)byte;
        int used = varint_get(bytes_of(bytes, count), ret_length);
        if (used > 0) {
            reader->at += count;
            return true;
        }
        if (used < 0)
            break;
    }
    return err_set(err, ERR_INVALID, "no frame begins at byte %" PRIu64, reader->at);
}

/* One frame and what is in it, which lives until the next one. */
static bool read_frame(struct bundle_reader *reader, const Muster__BundlePart **ret_part,
                       struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = FRAME_BYTES, .max_elements = 16};
    ProtobufCMessage *message = NULL;
    uint64_t length = 0;
    if (!read_length(reader, &length, err))
        return false;
    if (length > FRAME_BYTES)
        return err_set(err, ERR_INVALID,
                       "the frame at byte %" PRIu64 " has %" PRIu64 " bytes, %d are the most",
                       reader->at, length, FRAME_BYTES);
    buf_clear(&reader->frame);
    arena_done(&reader->arena);
    uint8_t *room = buf_reserve(&reader->frame, length, err);
    if (room == NULL)
        return false;
    if (fread(room, 1, length, reader->file) != length)
        return ended(reader, err);
    reader->frame.length = length;
    if (!unpack(&muster__bundle_part__descriptor, buf_bytes(&reader->frame), &limits,
                &reader->arena, &message, err)) {
        (void)err_context(err, "the frame at byte %" PRIu64, reader->at);
        return false;
    }
    reader->at += length;
    *ret_part = (const Muster__BundlePart *)message;
    return true;
}

static bool read_start(struct bundle_reader *reader, struct err *err)
{
    const Muster__BundlePart *part = NULL;
    struct err why = {0};
    if (!read_frame(reader, &part, &why) || part == NULL)
        return why.code == ERR_INVALID ? err_set(err, ERR_INVALID, "it is not a bundle")
                                       : err_set(err, why.code, "%s", why.text);
    if (part->what_case != MUSTER__BUNDLE_PART__WHAT_START ||
        strncmp(part->start->format, "muster-bundle/", 14) != 0)
        return err_set(err, ERR_INVALID, "it is not a bundle");
    if (strcmp(part->start->format, FORMAT) != 0)
        return err_set(err, ERR_INVALID, "its format is %.40s, this program knows " FORMAT,
                       part->start->format);
    reader->made_ms = part->start->made_ms;
    return true;
}

bool bundle_open(FILE *file, struct bundle_reader **ret_reader, struct err *err)
{
    struct bundle_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to read a bundle");
    reader->file = file;
    reader->frame.limit = FRAME_BYTES;
    reader->arena.limit_bytes = (size_t)FRAME_BYTES * 2;
    if (!read_start(reader, err)) {
        bundle_close(reader);
        return false;
    }
    *ret_reader = reader;
    return true;
}

void bundle_close(struct bundle_reader *reader)
{
    if (reader == NULL)
        return;
    arena_done(&reader->arena);
    buf_done(&reader->frame);
    free(reader);
}

int64_t bundle_made_ms(const struct bundle_reader *reader)
{
    return reader->made_ms;
}

static void take_bytes(const ProtobufCBinaryData *data, enum bundle_what what,
                       struct bundle_part *part)
{
    part->what = what;
    part->content = bytes_of(data->data, data->len);
}

static bool check_part(const struct bundle_part *part, struct err *err)
{
    if (part->what == BUNDLE_MANIFEST && !device_id_valid(part->device))
        return err_set(err, ERR_INVALID, "the manifest at byte %" PRIu64 " is for no device",
                       part->at);
    if (part->content.length == 0 || part->content.length > limit_of(part->what))
        return err_set(err, ERR_INVALID,
                       "the part at byte %" PRIu64 " has %zu bytes, 1 to %zu are allowed", part->at,
                       part->content.length, limit_of(part->what));
    return true;
}

static bool read_part(struct bundle_reader *reader, struct bundle_part *ret_part,
                      uint64_t *ret_stated, struct err *err)
{
    struct bundle_part part = {.device = "", .at = reader->at};
    const Muster__BundlePart *message = NULL;
    if (!read_frame(reader, &message, err) || message == NULL)
        return false;
    switch (message->what_case) {
    case MUSTER__BUNDLE_PART__WHAT_ROOT:
        take_bytes(&message->root, BUNDLE_ROOT, &part);
        break;
    case MUSTER__BUNDLE_PART__WHAT_MANIFEST:
        take_bytes(&message->manifest->envelope, BUNDLE_MANIFEST, &part);
        part.device = message->manifest->device;
        break;
    case MUSTER__BUNDLE_PART__WHAT_BLOB:
        take_bytes(&message->blob, BUNDLE_BLOB, &part);
        break;
    case MUSTER__BUNDLE_PART__WHAT_END:
        part.what = BUNDLE_END;
        *ret_stated = message->end->parts;
        break;
    default:
        return err_set(err, ERR_INVALID, "the part at byte %" PRIu64 " is of no known kind",
                       part.at);
    }
    if (part.what != BUNDLE_END && !check_part(&part, err))
        return false;
    *ret_part = part;
    return true;
}

static bool check_end(struct bundle_reader *reader, uint64_t stated, struct err *err)
{
    if (stated != reader->parts)
        return err_set(err, ERR_INVALID, "%" PRIu64 " parts were written, %" PRIu64 " are there",
                       stated, reader->parts);
    if (getc(reader->file) != EOF)
        return err_set(err, ERR_INVALID, "something follows its end at byte %" PRIu64, reader->at);
    return true;
}

bool bundle_next(struct bundle_reader *reader, struct bundle_part *ret_part, struct err *err)
{
    struct bundle_part part = {0};
    uint64_t stated = 0;
    if (!read_part(reader, &part, &stated, err))
        return false;
    if (part.what < reader->stage)
        return err_set(err, ERR_INVALID, "the part at byte %" PRIu64 " is out of order", part.at);
    reader->stage = part.what;
    if (part.what == BUNDLE_END && !check_end(reader, stated, err))
        return false;
    reader->parts++;
    *ret_part = part;
    return true;
}

bool bundle_again(struct bundle_reader *reader, uint64_t at, struct bundle_part *ret_part,
                  struct err *err)
{
    uint64_t stated;
    if (fseeko(reader->file, (off_t)at, SEEK_SET) != 0)
        return err_set(err, ERR_IO, "going back in it failed: %s; use a file, not a pipe",
                       strerror(errno));
    reader->at = at;
    return read_part(reader, ret_part, &stated, err);
}

/* ---- writing ---- */

static bool write_part(FILE *file, const Muster__BundlePart *part, struct err *err)
{
    struct buf packed = {.limit = FRAME_BYTES};
    uint8_t length[VARINT_BYTES];
    bool ok = pack(&part->base, &packed, err);
    size_t count = varint_put(packed.length, length);
    if (ok && (fwrite(length, 1, count, file) != count ||
               fwrite(packed.data, 1, packed.length, file) != packed.length))
        ok = err_set(err, ERR_IO, "writing a bundle failed: %s", strerror(errno));
    buf_done(&packed);
    return ok;
}

bool bundle_begin(struct bundle_writer *writer, FILE *file, int64_t made_ms, struct err *err)
{
    char format[] = FORMAT;
    Muster__BundlePart part = MUSTER__BUNDLE_PART__INIT;
    Muster__BundleStart start = MUSTER__BUNDLE_START__INIT;
    start.format = format;
    start.made_ms = made_ms;
    part.what_case = MUSTER__BUNDLE_PART__WHAT_START;
    part.start = &start;
    *writer = (struct bundle_writer){.file = file};
    return write_part(file, &part, err);
}

bool bundle_add(struct bundle_writer *writer, const struct bundle_part *part, struct err *err)
{
    ProtobufCBinaryData content = {part->content.length, (uint8_t *)(uintptr_t)part->content.data};
    Muster__BundlePart message = MUSTER__BUNDLE_PART__INIT;
    Muster__BundleManifest manifest = MUSTER__BUNDLE_MANIFEST__INIT;
    if (part->what == BUNDLE_ROOT) {
        message.what_case = MUSTER__BUNDLE_PART__WHAT_ROOT;
        message.root = content;
    } else if (part->what == BUNDLE_MANIFEST) {
        message.what_case = MUSTER__BUNDLE_PART__WHAT_MANIFEST;
        message.manifest = &manifest;
        manifest.device = (char *)(uintptr_t)part->device;
        manifest.envelope = content;
    } else {
        message.what_case = MUSTER__BUNDLE_PART__WHAT_BLOB;
        message.blob = content;
    }
    if (!write_part(writer->file, &message, err))
        return false;
    writer->parts++;
    return true;
}

bool bundle_finish(struct bundle_writer *writer, struct err *err)
{
    Muster__BundlePart part = MUSTER__BUNDLE_PART__INIT;
    Muster__BundleEnd end = MUSTER__BUNDLE_END__INIT;
    end.parts = writer->parts;
    part.what_case = MUSTER__BUNDLE_PART__WHAT_END;
    part.end = &end;
    if (!write_part(writer->file, &part, err))
        return false;
    if (fflush(writer->file) != 0)
        return err_set(err, ERR_IO, "writing a bundle failed: %s", strerror(errno));
    return true;
}
