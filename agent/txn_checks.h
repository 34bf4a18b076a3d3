/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_TXN_CHECKS_H
#define AGENT_TXN_CHECKS_H

#include "base/err.h"

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

/* How a field of txn_fields.def is held to its bounds: the same in libmuster, before a result is
 * sent, and in the agent, which believes nobody. ERR_INVALID names field, value and bounds. */
bool txn_check_number(const char *name, uint64_t value, uint64_t max, struct err *err) MUSTER_CHECK;
bool txn_check_signed(const char *name, int64_t value, int64_t min, int64_t max,
                      struct err *err) MUSTER_CHECK;
bool txn_check_enum(const char *name, int value, const ProtobufCEnumDescriptor *words,
                    struct err *err) MUSTER_CHECK;
/* NULL is an empty text. */
bool txn_check_text(const char *name, const char *text, size_t max_bytes, bool alphanumeric,
                    struct err *err) MUSTER_CHECK;
/* 0 bytes are absent, and fine. */
bool txn_check_bytes(const char *name, size_t length, size_t min, size_t max,
                     struct err *err) MUSTER_CHECK;

#endif
