/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_SEEDS_H
#define TESTS_FUZZ_SEEDS_H

#include "proto/unpack.h"

/* For the files of fuzz-seeds. Whatever fails ends the program. */
void must(bool ok, const struct err *err);
void write_seed(const char *target, const char *name, struct bytes content);
void write_text(const char *target, const char *name, const char *text);
/* `selector` comes before the rest where it is not negative. */
void write_chosen(const char *target, const char *name, int selector, struct bytes content);
void write_message(const char *target, const char *name, int selector,
                   const ProtobufCMessage *message);
/* `length` bytes of 0x5a. */
ProtobufCBinaryData filled(uint8_t *out, size_t length);

void fleet_seeds(void);    /* what the fleet takes */
void terminal_seeds(void); /* what a terminal takes */
void ways_seeds(void);     /* the ways to content, and what musterctl compares */
void decode_seeds(void);   /* some of all of them: after the others */
struct buf read_seed(const char *target, const char *name);

#endif
