/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SPOOL_CODEC_H
#define STORAGE_SPOOL_CODEC_H

#include "storage/spool.h"
#include "storage/spool_segment.h"

/*
 * How a segment's body stands on the disk, by the column `codec` of its row.
 *
 * SPOOL_CODEC_PLAIN: spool_segment.h's framing as it is.
 * SPOOL_CODEC_ZSTD: the same framing, cut into runs of whole records, each a zstd frame:
 *   crc32c, 4 bytes little-endian | varint version of the dictionary | varint runs | for each run
 *   but the last: varint records, varint bytes of its frame | the frames, end to end
 * The last run has what is left of the records and bytes. A frame says how long its content is. The
 * CRC covers the row's id (8 bytes little-endian), its count (as a varint), and what stands between
 * the CRC and the frames: no flip gives sound records another id.
 * A damaged page spoils the runs it is in, of SPOOL_RUN_RECORDS or about SPOOL_RUN_BYTES each at
 * the most, and no other; inside of what can be inflated each record has its own CRC still.
 *
 * Dictionaries are known by their version, 1 or higher: those that the program was given, and
 * those that the database keeps for itself (table `dictionary`).
 */
enum { SPOOL_CODEC_PLAIN = 0, SPOOL_CODEC_ZSTD = 1 };
enum { SPOOL_RUN_RECORDS = 32, SPOOL_RUN_BYTES = 6144 };

struct spool_codec;

bool spool_codec_open(struct spool_codec **ret_codec, struct err *err) MUSTER_CHECK;
void spool_codec_close(struct spool_codec *codec);
/* Copies `content`. A version that is known already stays as it was. The highest version is what
 * spool_codec_encode uses. */
bool spool_codec_learn(struct spool_codec *codec, uint32_t version, struct bytes content,
                       struct err *err) MUSTER_CHECK;
/* Empty: it is not known. */
struct bytes spool_codec_content(const struct spool_codec *codec, uint32_t version);

/* What is to be stored of a plain body of `count` records, valid until the next call of this
 * codec or a change of `plain`: the shorter of the two codecs, the plain one without a
 * dictionary. */
bool spool_codec_encode(struct spool_codec *codec, int64_t id, struct bytes plain, size_t count,
                        int *ret_kind, struct bytes *ret_body, struct err *err) MUSTER_CHECK;

/* The `count` records (SPOOL_PUSH_RECORDS at the most) of a stored body, as spool_segment_split
 * tells them: valid until the next call of this codec or a change of `body`. Records in a run that
 * cannot be inflated, or of a kind or a dictionary that is not known, are damaged. False only for
 * want of memory. */
bool spool_codec_split(struct spool_codec *codec, int64_t kind, int64_t id, struct bytes body,
                       size_t count, struct spool_frame *ret_frames, struct err *err) MUSTER_CHECK;

#endif
