/* SPDX-License-Identifier: Apache-2.0 */
/* What any local program may send to the agent. */
#include "proto/limits.h"
#include "proto/local.pb-c.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_unpack(&muster__client_request__descriptor, bytes_of(data, size),
                LIMIT_CLIENT_FRAME_BYTES);
    return 0;
}
