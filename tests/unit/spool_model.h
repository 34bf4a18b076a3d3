/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_SPOOL_MODEL_H
#define TESTS_UNIT_SPOOL_MODEL_H

#include "storage/spool.h"

/*
 * What the spool must say: plain arrays of all records ever given. What the spool alone decides
 * (which segment goes when) is learnt from it by a survey after each operation, and then judged:
 * every seq ever answered for is held, receipted or declared lost, each change was allowed by the
 * operation, and what was lost was the least worthy, oldest first, by whole segments.
 */
enum { MODEL_STREAMS = 400, MODEL_KEYS = 300, MODEL_GRACE_MS = 1600 };

struct entry {
    uint32_t content; /* the body begins with it and is made from it */
    uint32_t length;
    int key; /* 0: none */
    int commit;
    bool phantom; /* never given: a seq of an unknown tail */
    bool on_disk;
    bool flawed; /* its segment was tampered with */
    bool acked, recalled;
    int64_t acked_ms;
    enum spool_loss lost;
    /* of the survey under way */
    bool seen, given;
    enum spool_loss declared;
};

struct model_stream {
    uint64_t incarnation;
    int lane;
    struct entry *entries; /* [seq - 1] */
    size_t count, capacity;
    bool closed, listed;
};

struct model_key {
    size_t stream; /* index */
    uint64_t seq;  /* 0: the key is not known */
};

struct model {
    struct spool *spool;
    struct spool_settings settings;
    struct clock clock;
    int64_t boot_ms;
    unsigned random;
    int commits;
    struct model_stream streams[MODEL_STREAMS];
    size_t count;
    struct model_key keys[MODEL_KEYS + 1];
};

/* What an operation may have changed, beside what it did to the entries itself. */
struct change {
    unsigned reasons;            /* bits of enum spool_loss that owed records may be lost for */
    bool forgot;                 /* spool_forget: what is past its grace must go now */
    bool pushed;                 /* under pressure: what is done with may have gone early ... */
    bool lanes[SPOOL_LANES + 1]; /* ... for records in these lanes */
    bool tails;                  /* streams may have grown by what is unknown */
};

void model_survey(struct model *model, const struct change *change);

struct model_stream *model_find(struct model *model, uint64_t incarnation, int lane);
struct entry *model_add(struct model *model, uint64_t incarnation, int lane);
void model_body(const struct entry *entry, uint8_t *body);
unsigned model_draw(struct model *model, unsigned below);

/* A deep copy of the streams and keys. */
void model_copy(const struct model *from, struct model *to);
void model_clear(struct model *model);

#endif
