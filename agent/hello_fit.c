/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/hello_fit.h"

#include "base/log.h"

static size_t packed_bytes(const Muster__Hello *hello)
{
    return protobuf_c_message_get_packed_size(&hello->base);
}

static void drop_receipts(Muster__Hello *hello, size_t max_bytes)
{
    while (hello->n_receipts > 0 && packed_bytes(hello) > max_bytes)
        hello->n_receipts--;
}

static void drop_reasons(Muster__Hello *hello, size_t max_bytes)
{
    static char nothing[] = "";
    if (packed_bytes(hello) <= max_bytes || hello->state == NULL)
        return;
    for (size_t i = 0; i < hello->state->n_items; i++)
        hello->state->items[i]->reason = nothing;
    for (size_t i = 0; i < hello->state->n_keys; i++)
        hello->state->keys[i]->why = nothing;
}

static void drop_streams(Muster__Hello *hello, size_t max_bytes)
{
    while (hello->n_streams > 0 && packed_bytes(hello) > max_bytes) {
        hello->n_streams--;
        hello->streams_cut = true;
    }
}

void hello_fit(Muster__Hello *hello, size_t max_bytes)
{
    size_t bytes = packed_bytes(hello);
    if (bytes <= max_bytes)
        return;
    size_t receipts = hello->n_receipts, streams = hello->n_streams;
    drop_receipts(hello, max_bytes);
    drop_reasons(hello, max_bytes);
    drop_streams(hello, max_bytes);
    log_warn(
        "a hello of %zu bytes, %zu are the most: %zu go, without %zu older receipts, %zu older "
        "streams, or the items' reasons",
        bytes, max_bytes, packed_bytes(hello), receipts - hello->n_receipts,
        streams - hello->n_streams);
}
