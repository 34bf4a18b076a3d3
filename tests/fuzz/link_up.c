/* SPDX-License-Identifier: Apache-2.0 */
/* What the link says to the agent: the link reads the network and is not trusted. */
#include "proto/limits.h"
#include "proto/local.pb-c.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_unpack(&muster__link_up__descriptor, bytes_of(data, size), LIMIT_LINK_FRAME_BYTES);
    return 0;
}
