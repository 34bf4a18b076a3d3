/* SPDX-License-Identifier: Apache-2.0 */
/* The bodies of envelopes: a key may be stolen, so a good signature does not make good bytes. The
 * first byte chooses the message. */
#include "proto/desired.pb-c.h"
#include "proto/hello.pb-c.h"
#include "proto/limits.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        const ProtobufCMessageDescriptor *type;
        size_t max_bytes;
    } bodies[] = {
        {&muster__hello__descriptor, LIMIT_HELLO_BYTES},
        {&muster__receipt__descriptor, LIMIT_RECEIPT_BYTES},
        {&muster__welcome__descriptor, LIMIT_WELCOME_BYTES},
        {&muster__manifest__descriptor, LIMIT_MANIFEST_BYTES},
        {&muster__document_header__descriptor, LIMIT_DOCUMENT_HEADER_BYTES},
        {&muster__root__descriptor, LIMIT_ROOT_BYTES},
    };
    if (size == 0)
        return 0;
    size_t which = data[0] % (sizeof bodies / sizeof bodies[0]);
    fuzz_unpack(bodies[which].type, bytes_of(data + 1, size - 1), bodies[which].max_bytes);
    return 0;
}
