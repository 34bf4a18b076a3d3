/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_TXN_INPUT_H
#define AGENT_TXN_INPUT_H

#include "agent/client.h"
#include "base/err.h"

#include <protobuf-c/protobuf-c.h>

/*
 * A transaction result as people and logs write it: `muster record`'s flags and JSON objects, both
 * from the list in txn_fields.def. Only the form is checked here; what a field may hold is
 * libmuster's to say.
 */
enum txn_field_kind {
    TXN_FIELD_KEY,
    TXN_FIELD_NUMBER,
    TXN_FIELD_SIGNED,
    TXN_FIELD_ENUM,
    TXN_FIELD_TEXT,
    TXN_FIELD_BYTES,
    TXN_FIELD_BOOL,
};

struct txn_field {
    const char *name; /* in record.proto and JSON; NULL ends the list */
    const char *flag, *help;
    enum txn_field_kind kind;
    size_t offset, size; /* in struct muster_txn */
    int64_t min, max;    /* value, or length in bytes */
    const ProtobufCEnumDescriptor *words;
    const char *prefix; /* of the words in record.proto */
};

extern const struct txn_field txn_fields[];

enum { TXN_INPUT_STORE_BYTES = 512 }; /* more than all texts and bytes take together */

struct txn_input {
    struct muster_txn txn; /* points into `store` */
    char store[TXN_INPUT_STORE_BYTES];
    size_t used;
};

void txn_input_clear(struct txn_input *input);
bool txn_input_text(struct txn_input *input, const struct txn_field *field, const char *text,
                    struct err *err) MUSTER_CHECK;
/* Replaces what is there by the one JSON object in `line`. */
bool txn_input_json(struct txn_input *input, const char *line, size_t length,
                    struct err *err) MUSTER_CHECK;

/* "DECLINED" with its prefix OUTCOME_ becomes "declined"; "?" for a number without a name. `out`
 * takes 32 bytes. */
void enum_word(const ProtobufCEnumDescriptor *words, const char *prefix, int value, char out[32]);
/* All words of the field, "approved, declined, ...". */
void txn_field_words(const struct txn_field *field, char *out, size_t size);

#endif
