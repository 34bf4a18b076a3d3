/* SPDX-License-Identifier: Apache-2.0 */
/* A manifest as the agent takes it. The first byte chooses: the Envelope as it came, or a body
 * that the director has signed and whose headers release has signed: keys may be stolen. */
#include "agent/floors.h"
#include "proto/limits.h"
#include "proto/topics.h"
#include "proto/validate.h"
#include "tests/fuzz/ways_hold.h"
#include "tests/fuzz/world.h"

#include <string.h>

#define DEVICE "t-01"

static void check_wants(const struct desired *desired)
{
    const struct sync_wants *wants = &desired->wants;
    HOLDS(desired->version > 0 && desired->version <= LIMIT_VERSION &&
          wants->count <= LIMIT_MANIFEST_ITEMS);
    for (size_t i = 0; i < wants->count; i++) {
        const struct registry_item *item = &wants->wants[i].item;
        HOLDS(document_name_valid(item->name));
        HOLDS(i == 0 || strcmp(wants->wants[i - 1].item.name, item->name) < 0);
        HOLDS(item->version >= desired->minimum[i] && item->version > 0);
        bool plain = item->kind == MUSTER__DOCUMENT_KIND__DOCUMENT_FILE && !item->sealed;
        HOLDS(item->length <= (plain ? LIMIT_CONTENT_BYTES : LIMIT_DOCUMENT_BYTES));
        ways_hold(&desired->ways[i], item, buf_bytes(&desired->inlined));
        HOLDS(strcmp(validate_kind_name((Muster__DocumentKind)item->kind), "unknown") != 0);
    }
}

/* Floors only rise, and what was just accepted is never below them. */
static void check_floors(const struct desired *desired)
{
    static struct registry_floors none, first, second;
    HOLDS(floors_take(&none, desired, &first, NULL));
    HOLDS(floors_take(&first, desired, &second, NULL));
    HOLDS(first.manifest_version == desired->version && second.count == first.count);
    for (size_t i = 0; i < desired->wants.count; i++) {
        const char *name = desired->wants.wants[i].item.name;
        HOLDS(registry_floor_of(&first, name)->minimum == desired->minimum[i]);
        HOLDS(registry_floor_of(&second, name)->minimum == desired->minimum[i]);
        HOLDS(registry_floor_of(&second, name)->version == desired->wants.wants[i].item.version);
    }
}

static void take(struct bytes envelope)
{
    struct desired *desired = NULL;
    struct bytes body = {0};
    struct err err = {0};
    if (desired_body(fuzz_trust(), DEVICE, envelope, &body, &err) &&
        desired_parse(fuzz_trust(), DEVICE, envelope, body, &desired, &err)) {
        HOLDS(bytes_equal(buf_bytes(&desired->envelope), envelope));
        check_wants(desired);
        check_floors(desired);
        desired_free(desired);
    } else {
        HOLDS(!desired && err.code != ERR_NONE && err.text[0] && err.reason != 0);
    }
}

/* Signs every header, then the whole. */
static void sign_and_take(struct bytes in)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_MANIFEST_BYTES};
    struct arena arena = {0};
    struct buf body = {0};
    ProtobufCMessage *message = NULL;
    if (!unpack(&muster__manifest__descriptor, in, &limits, &arena, &message, NULL)) {
        arena_done(&arena);
        return;
    }
    Muster__Manifest *manifest = (Muster__Manifest *)message;
    for (size_t i = 0; i < manifest->n_items && i < LIMIT_MANIFEST_ITEMS; i++) {
        ProtobufCBinaryData *header = &manifest->items[i]->header;
        if (header->len == 0)
            continue;
        struct buf sealed = fuzz_seal("document", "", bytes_of(header->data, header->len));
        header->data = arena_copy(&arena, sealed.data, sealed.length);
        header->len = header->data ? sealed.length : 0;
        buf_done(&sealed);
    }
    if (protobuf_c_message_get_packed_size(message) > 0 && pack(message, &body, NULL)) {
        struct buf envelope = fuzz_seal("manifest", DEVICE, buf_bytes(&body));
        take(buf_bytes(&envelope));
        buf_done(&envelope);
    }
    buf_done(&body);
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    if (size < 2)
        return 0;
    if (fuzz_byte(&in) % 2 == 0)
        sign_and_take(in);
    else
        take(in);
    return 0;
}
