/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/hello_fit.h"

#include "base/log.h"

static size_t packed_bytes(const Muster__Hello *hello)
{
    return protobuf_c_message_get_packed_size(&hello->base);
}

void hello_fit(Muster__Hello *hello, size_t max_bytes)
{
    static char nothing[] = "";
    size_t bytes = packed_bytes(hello);
    if (bytes <= max_bytes)
        return;
    hello->n_receipts = 0;
    if (packed_bytes(hello) > max_bytes && hello->state != NULL)
        for (size_t i = 0; i < hello->state->n_items; i++)
            hello->state->items[i]->reason = nothing;
    log_warn("a hello of %zu bytes, %zu are the most: %zu go, without the newest receipt or the "
             "items' reasons",
             bytes, max_bytes, packed_bytes(hello));
}
