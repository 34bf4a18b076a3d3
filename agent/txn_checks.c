/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/txn_checks.h"

#include "base/utf8.h"

#include <ctype.h>
#include <string.h>

bool txn_check_number(const char *name, uint64_t value, uint64_t max, struct err *err)
{
    return value <= max || err_set(err, ERR_INVALID, "%s = %llu: expected 0 to %llu", name,
                                   (unsigned long long)value, (unsigned long long)max);
}

bool txn_check_signed(const char *name, int64_t value, int64_t min, int64_t max, struct err *err)
{
    return (value >= min && value <= max) ||
           err_set(err, ERR_INVALID, "%s = %lld: expected %lld to %lld", name, (long long)value,
                   (long long)min, (long long)max);
}

bool txn_check_enum(const char *name, int value, const ProtobufCEnumDescriptor *words,
                    struct err *err)
{
    return protobuf_c_enum_descriptor_get_value(words, value) != NULL ||
           err_set(err, ERR_INVALID, "%s = %d: no such %s", name, value, words->short_name);
}

bool txn_check_text(const char *name, const char *text, size_t max_bytes, bool alphanumeric,
                    struct err *err)
{
    size_t length = text != NULL ? strnlen(text, max_bytes + 1) : 0;
    if (length > max_bytes)
        return err_set(err, ERR_INVALID, "%s: expected at most %zu bytes", name, max_bytes);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (alphanumeric ? c >= 0x80 || isalnum(c) == 0 : c < 0x20 || c == 0x7f)
            return err_set(err, ERR_INVALID, "%s: byte %zu is 0x%02x: expected %s", name, i + 1, c,
                           alphanumeric ? "letters and digits" : "printable text");
    }
    return length == 0 || utf8_valid(bytes_of(text, length)) ||
           err_set(err, ERR_INVALID, "%s: expected UTF-8", name);
}

bool txn_check_bytes(const char *name, size_t length, size_t min, size_t max, struct err *err)
{
    return length == 0 || (length >= min && length <= max) ||
           err_set(err, ERR_INVALID, "%s has %zu bytes: expected %zu to %zu", name, length, min,
                   max);
}
