/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_LANE_H
#define PROTO_LANE_H

#include "proto/batch.h"
#include "proto/cells.h"

/* Rows of one stream to parts, series and plains and back: see batch.proto. */

struct lane_out { /* what goes beside the body */
    struct buf raw, marks, steps;
};
struct lane_in { /* what is left of it */
    struct bytes raw, marks, steps;
};

bool lane_pack(const struct lane_rows *rows, const Muster__Dictionary *dictionary,
               struct arena *arena, struct lane_out *out, Muster__LaneBatch *ret_batch,
               struct err *err) MUSTER_CHECK;

/* A record that a part has for some of its rows: the cells in which it is not default. */
struct part_cell {
    uint32_t offset, size;
};
struct part_opened {
    const ProtobufCMessage *message; /* NULL: not opened yet */
    struct part_cell *cells;
    size_t cell_count;
    uint64_t fields; /* whose cells they are: a bit each, by the field's place in the type */
};
/* A dictionary's known records of results, each opened when the first row takes it: for as many
 * batches as come. In `arena`, which outlives them. */
enum { LANE_KNOWN_LISTS = 16 };
struct lane_known {
    const Muster__Dictionary *dictionary;
    struct arena *arena;
    struct part_opened *opened[LANE_KNOWN_LISTS]; /* a list of the dictionary */
};
/* `rows` as rows_of_columns has made them. */
bool lane_unpack(const Muster__LaneBatch *batch, struct lane_known *known, struct lane_in *in,
                 struct arena *arena, struct lane_rows *rows, struct err *err) MUSTER_CHECK;

/* Of parts, of series and of plains each, in one lane: no record has more fields. Each goes over
 * all rows, and a few bytes could stand for ten thousands of them: so none sets a field that
 * another of its kind has set. */
enum { LANE_FIELDS_MAX = 128 };
struct lane_fields_set { /* all zero: none */
    bool seen[LANE_FIELDS_MAX];
};
/* `field` may be NULL: one of a newer sender, which sets nothing. */
bool lane_set_once(struct lane_fields_set *set, const ProtobufCMessageDescriptor *type,
                   const ProtobufCFieldDescriptor *field, const char *what,
                   struct err *err) MUSTER_CHECK;

/* ---- parts ---- */

enum { PART_FIELDS = 16, PART_RECORDS = 256 };

/* The fields of a result that go together, in the order of Dictionary.known; NULL behind the last.
 */
const uint32_t *lane_part_fields(uint32_t which, size_t *ret_count);
/* One record of these fields of this row, packed; in `arena`. `some` is room for a message. */
bool part_record(const ProtobufCMessage *row, const uint32_t *fields, size_t count,
                 ProtobufCMessage *some, struct arena *arena, ProtobufCBinaryData *ret_record,
                 struct err *err) MUSTER_CHECK;
/* `bits`: what it will take, about, in 1/16. */
struct part_draft {
    Muster__Part *part; /* NULL: too many records differ */
    uint8_t *marks;     /* one a row, if part->marked */
    uint64_t bits;
};
bool part_draft(const struct lane_rows *rows, const uint32_t *fields, size_t count,
                const Muster__Dictionary *dictionary, uint32_t known, struct arena *arena,
                struct part_draft *ret_draft, struct err *err) MUSTER_CHECK;
bool parts_unpack(const Muster__LaneBatch *batch, struct lane_known *known, struct lane_in *in,
                  struct arena *arena, struct lane_rows *rows, struct err *err) MUSTER_CHECK;

/* ---- series ---- */

struct series_plan {
    uint32_t field, of;
    bool delta, zigzag;
    uint32_t unit, digits, width;
    uint64_t usual; /* divisor that most terminals' values want; 0: none */
};
struct series_draft {
    Muster__Series series;
    uint64_t base, *steps; /* a row */
    uint64_t bits;         /* what it will take, about, in 1/16 */
};
/* False: the values cannot be told so. No memory reads as that, too; others say it. */
bool series_draft(const struct lane_rows *rows, const struct series_plan *plan, struct arena *arena,
                  struct series_draft *ret_draft);
bool series_pack(struct series_draft *drafts, size_t draft_count, size_t rows, struct arena *arena,
                 struct lane_out *out, Muster__LaneBatch *batch, struct err *err) MUSTER_CHECK;
bool series_unpack(const Muster__LaneBatch *batch, struct lane_in *in, struct arena *arena,
                   struct lane_rows *rows, struct err *err) MUSTER_CHECK;

bool lane_no_memory(struct err *err);
bool lane_take(struct bytes *in, size_t length, const char *what, struct bytes *ret_taken,
               struct err *err) MUSTER_CHECK;

#endif
