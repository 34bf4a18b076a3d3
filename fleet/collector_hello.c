/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/collector_internal.h"

#include "proto/limits.h"
#include "proto/unpack.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
    HELLO_ARENA_BYTES = 1024 * 1024,
    HELLO_ELEMENTS = 8192,
    DETAIL_ARENA_BYTES = 512 * 1024,
    DETAIL_BYTES = 32 * 1024,
    REASON_CHARS = 480,
    /* What is made of one that was read: its texts, at most of as many items as are kept, and the
     * streams of a hello. Its own arena may be full of what nobody asked for. */
    MADE_BYTES = 256 * 1024,
};
static_assert(MADE_BYTES > 2 * LIMIT_MANIFEST_ITEMS * (REASON_CHARS + 1) +
                               2 * COLLECTOR_STREAMS_HEARD * sizeof(struct owed_stream),
              "whatever a terminal says, there is room to store it");

static int64_t signed_of(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static size_t copy_id(ProtobufCBinaryData from, uint8_t *to, size_t size)
{
    if (from.len > size)
        return 0;
    if (from.len > 0)
        memcpy(to, from.data, from.len);
    return from.len;
}

/* ---- what a device holds ---- */

static struct bytes hash_of(ProtobufCBinaryData data)
{
    return data.len == 32 ? bytes_of(data.data, data.len) : (struct bytes){0};
}

/* No terminal compares longer tables: whoever counts more has made it up. */
static bool counts_rows(const Muster__ItemReport *item)
{
    return item->rows_only_found <= LIMIT_COMPARED_ROWS &&
           item->rows_only_wanted <= LIMIT_COMPARED_ROWS &&
           item->first_row <= LIMIT_COMPARED_ROWS + 1;
}

static struct fleetdb_difference difference_of(const Muster__ItemReport *item)
{
    const bool rows = item->rows_compared && counts_rows(item);
    return (struct fleetdb_difference){
        .kind = (int)item->difference,
        .owned = item->owned,
        .rows_compared = rows,
        .wanted_bytes = (uint64_t)signed_of(item->wanted_bytes),
        .found_bytes = (uint64_t)signed_of(item->found_bytes),
        .rows_only_found = rows ? item->rows_only_found : 0,
        .rows_only_wanted = rows ? item->rows_only_wanted : 0,
        .first_row = rows ? item->first_row : 0,
    };
}

static bool write_item(struct collector *collector, const struct fleetdb_device *device,
                       const Muster__ItemReport *item, struct arena *arena, struct err *err)
{
    bool masked = false;
    if (!document_name_valid(item->name)) {
        collector_refuse(collector, REFUSED_EVENT_DETAIL, REASON_MALFORMED, device->id,
                         "an item whose name is none");
        return true;
    }
    if (item->rows_compared && !counts_rows(item))
        collector_refuse(collector, REFUSED_EVENT_DETAIL, REASON_TOO_MANY, device->id,
                         "it counts more rows than a terminal compares; they are left out");
    struct fleetdb_item row = {
        .name = item->name,
        .wanted_version = (uint64_t)signed_of(item->wanted_version),
        .held_version = (uint64_t)signed_of(item->held_version),
        .wanted_sha256 = hash_of(item->wanted_sha256),
        .held_sha256 = hash_of(item->held_sha256),
        .state = (int)item->state,
        .source = (int)item->source,
        .refusal = (int)item->refusal,
        .reason = rows_text(item->reason, REASON_CHARS, arena, &masked),
        .difference = difference_of(item),
    };
    if (row.reason == NULL)
        return err_set(err, ERR_NO_MEMORY, "a state report needs too much memory");
    return fleetdb_item_write(collector->settings.db, device->device, &row,
                              clock_wall_ms(collector->settings.clock), err);
}

bool collector_state(struct collector *collector, const struct fleetdb_device *device,
                     const struct fleetdb_report *report, const Muster__StateReport *state,
                     struct arena *arena, struct err *err)
{
    struct fleetdb_report row = *report;
    if (state != NULL) {
        row.manifest_version = (uint64_t)signed_of(state->manifest_version);
        row.manifest_epoch = (uint64_t)signed_of(state->manifest_epoch);
        row.generation = (uint64_t)signed_of(state->generation);
        row.converged = state->converged;
        row.generation_digest_length =
            copy_id(state->generation_digest, row.generation_digest, sizeof row.generation_digest);
    }
    if (!fleetdb_report_write(collector->settings.db, device->device, &row, err) ||
        !fleetdb_items_clear(collector->settings.db, device->device, err) ||
        !collector_apply(collector, device->device, state != NULL ? state->apply : NULL, arena,
                         err))
        return false;
    for (size_t i = 0; state != NULL && i < state->n_items && i < LIMIT_MANIFEST_ITEMS; i++) {
        if (!write_item(collector, device, state->items[i], arena, err))
            return false;
    }
    return true;
}

bool collector_claim_streams(struct collector *collector, const struct fleetdb_device *device,
                             Muster__OpenStream *const *streams, size_t count, uint64_t listed,
                             struct err *err)
{
    int64_t now_ms = clock_wall_ms(collector->settings.clock);
    bool kept = true, all_kept = true;
    for (size_t i = 0; i < count && i < COLLECTOR_STREAMS_HEARD; i++) {
        const struct fleetdb_claim claim = {.incarnation = streams[i]->incarnation,
                                            .lane = (int)streams[i]->lane,
                                            .last_seq = streams[i]->last_seq,
                                            .listed = listed};
        if (collector_claim_valid(&claim) &&
            !fleetdb_stream_claim(collector->settings.db, device->device, &claim, now_ms, &kept,
                                  err))
            return false;
        all_kept = all_kept && kept;
    }
    if (!all_kept)
        collector_refuse(collector, listed > 0 ? REFUSED_HELLO : REFUSED_EVENT_DETAIL,
                         REASON_TOO_MANY, device->id,
                         "it names more open streams than are kept of one device");
    return true;
}

/* ---- events ---- */

static bool note_open(struct collector *collector, const struct fleetdb_device *device,
                      uint64_t incarnation, const Muster__Open *open, struct err *err)
{
    bool kept = false;
    struct fleetdb_claim claim = {.incarnation = incarnation};
    if (open->boot_id.len == 16)
        claim.boot_id = bytes_of(open->boot_id.data, open->boot_id.len);
    for (claim.lane = MUSTER__LANE__LANE_TXN; claim.lane <= MUSTER__LANE__LANE_HEALTH;
         claim.lane++) {
        if (!fleetdb_stream_claim(collector->settings.db, device->device, &claim,
                                  clock_wall_ms(collector->settings.clock), &kept, err))
            return false;
    }
    return collector_clock_open(collector, device, incarnation, open, err) &&
           collector_claim_streams(collector, device, open->unclosed, open->n_unclosed, 0, err);
}

/* Events arrive late and in any order: one that is older than what is held changes nothing. */
static bool is_stale(struct collector *collector, const struct fleetdb_device *device,
                     const struct fleetdb_report *held, uint64_t incarnation,
                     const Muster__Event *event, bool *ret_stale, struct err *err)
{
    const struct collector_moment then = {incarnation, signed_of(event->boot_ms), event->wall_ms};
    const struct collector_moment known = {held->incarnation, held->boot_ms, held->wall_ms};
    return collector_clock_before(collector, device, &then, &known, ret_stale, err);
}

static bool note_state(struct collector *collector, const struct fleetdb_device *device,
                       uint64_t incarnation, const Muster__Event *event,
                       const Muster__StateReport *state, struct arena *arena, struct err *err)
{
    struct fleetdb_report report = {0};
    struct err why = {0};
    bool stale = false;
    if (fleetdb_report_read(collector->settings.db, device->device, &report, &why)) {
        if (!is_stale(collector, device, &report, incarnation, event, &stale, err) || stale)
            return stale;
    } else if (why.code != ERR_NOT_FOUND) {
        return err_set(err, why.code, "%s", why.text);
    }
    if (report.incarnation != incarnation)
        report.boot_id_length = 0;
    report.received_ms = clock_wall_ms(collector->settings.clock);
    report.hello_ms = 0;
    report.incarnation = incarnation;
    report.wall_ms = event->wall_ms;
    report.boot_ms = signed_of(event->boot_ms);
    return collector_state(collector, device, &report, state, arena, err);
}

/* A device has no more documents than a manifest names: others are made up. */
static bool take_item(struct collector *collector, const struct fleetdb_device *device,
                      const Muster__ItemReport *item, struct arena *arena, struct err *err)
{
    bool room = false;
    if (!fleetdb_item_room(collector->settings.db, device->device, item->name, LIMIT_MANIFEST_ITEMS,
                           &room, err))
        return false;
    if (room)
        return write_item(collector, device, item, arena, err);
    collector_refuse(collector, REFUSED_EVENT_DETAIL, REASON_TOO_MANY, device->id,
                     "it names more documents than a manifest has");
    return true;
}

static bool note_item(struct collector *collector, const struct fleetdb_device *device,
                      uint64_t incarnation, const Muster__Event *event,
                      const Muster__ItemReport *item, struct arena *arena, struct err *err)
{
    struct fleetdb_report report = {0};
    struct err why = {0};
    bool stale = false;
    if (!fleetdb_report_read(collector->settings.db, device->device, &report, &why))
        return why.code == ERR_NOT_FOUND || err_set(err, why.code, "%s", why.text);
    return is_stale(collector, device, &report, incarnation, event, &stale, err) &&
           (stale || take_item(collector, device, item, arena, err));
}

static const ProtobufCMessageDescriptor *detail_type(Muster__EventKind kind)
{
    switch (kind) {
    case MUSTER__EVENT_KIND__EVENT_OPEN:
        return &muster__open__descriptor;
    case MUSTER__EVENT_KIND__EVENT_STATE:
        return &muster__state_report__descriptor;
    case MUSTER__EVENT_KIND__EVENT_DRIFT:
    case MUSTER__EVENT_KIND__EVENT_REPAIR:
    case MUSTER__EVENT_KIND__EVENT_PROPOSED:
        return &muster__item_report__descriptor;
    case MUSTER__EVENT_KIND__EVENT_CLOCK:
        return &muster__clock_sight__descriptor;
    case MUSTER__EVENT_KIND__EVENT_KEYS:
        return &muster__key_inventory__descriptor;
    case MUSTER__EVENT_KIND__EVENT_PACKAGE:
        return &muster__package_report__descriptor;
    case MUSTER__EVENT_KIND__EVENT_ACTION:
        return &muster__action_report__descriptor;
    case MUSTER__EVENT_KIND__EVENT_LOG:
        return &muster__log_piece__descriptor;
    default:
        return NULL;
    }
}

static bool note_detail(struct collector *collector, const struct fleetdb_device *device,
                        uint64_t incarnation, uint64_t seq, const Muster__Event *event,
                        const ProtobufCMessage *detail, struct arena *arena, struct err *err)
{
    switch (event->kind) {
    case MUSTER__EVENT_KIND__EVENT_OPEN:
        return note_open(collector, device, incarnation, (const Muster__Open *)detail, err);
    case MUSTER__EVENT_KIND__EVENT_STATE:
        return note_state(collector, device, incarnation, event,
                          (const Muster__StateReport *)detail, arena, err);
    case MUSTER__EVENT_KIND__EVENT_CLOCK:
        return collector_clock_event(collector, device, incarnation, event,
                                     (const Muster__ClockSight *)detail, err);
    case MUSTER__EVENT_KIND__EVENT_KEYS:
        return collector_key_slots(collector, device, incarnation, event,
                                   (const Muster__KeyInventory *)detail, arena, err);
    case MUSTER__EVENT_KIND__EVENT_PACKAGE:
        return collector_package(collector, device, incarnation, event,
                                 (const Muster__PackageReport *)detail, arena, err);
    case MUSTER__EVENT_KIND__EVENT_ACTION:
        return collector_action(collector, device, (const Muster__ActionReport *)detail, arena,
                                err);
    case MUSTER__EVENT_KIND__EVENT_LOG:
        return collector_log_piece(collector, device, incarnation, seq,
                                   (const Muster__LogPiece *)detail, err);
    default:
        return note_item(collector, device, incarnation, event, (const Muster__ItemReport *)detail,
                         arena, err);
    }
}

bool collector_event(struct collector *collector, const struct fleetdb_device *device,
                     uint64_t incarnation, uint64_t seq, const Muster__Event *event,
                     struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = DETAIL_BYTES};
    const ProtobufCMessageDescriptor *type = detail_type(event->kind);
    metrics_terminal_refusal(collector->settings.metrics, (int)event->refusal);
    if (type == NULL || event->detail.len == 0)
        return true;
    struct arena arena = {.limit_bytes = DETAIL_ARENA_BYTES};
    struct err why = {0};
    ProtobufCMessage *detail = NULL;
    bool done = true;
    if (unpack(type, bytes_of(event->detail.data, event->detail.len), &limits, &arena, &detail,
               &why)) {
        arena.limit_bytes += MADE_BYTES;
        done = note_detail(collector, device, incarnation, seq, event, detail, &arena, err);
    } else {
        collector_refuse(collector, REFUSED_EVENT_DETAIL, REASON_MALFORMED, device->id, why.text);
    }
    arena_done(&arena);
    return done;
}

/* ---- hello ---- */

/* NULL: `err` says why. */
static const Muster__Hello *read_hello(struct bytes body, struct arena *arena, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_HELLO_BYTES,
                                                .max_elements = HELLO_ELEMENTS};
    ProtobufCMessage *message = NULL;
    if (!unpack(&muster__hello__descriptor, body, &limits, arena, &message, err))
        return NULL;
    arena->limit_bytes += MADE_BYTES;
    const Muster__Hello *hello = (const Muster__Hello *)message;
    if (hello->nonce.len == OWED_NONCE_BYTES)
        return hello;
    (void)err_set(err, ERR_INVALID, "a nonce of %zu bytes, %d are expected", hello->nonce.len,
                  OWED_NONCE_BYTES);
    return NULL;
}

static bool store_hello(struct collector *collector, const struct fleetdb_device *device,
                        const Muster__Hello *hello, struct arena *arena, struct err *err)
{
    int64_t now_ms = clock_wall_ms(collector->settings.clock);
    bool masked = false;
    const char *version = rows_text(hello->agent_version, 64, arena, &masked);
    if (version == NULL)
        return err_set(err, ERR_NO_MEMORY, "a hello needs too much memory");
    struct fleetdb_report report = {
        .received_ms = now_ms,
        .hello_ms = now_ms,
        .incarnation = hello->incarnation,
        .wall_ms = hello->wall_ms,
        .boot_ms = signed_of(hello->boot_ms),
        .root_version = (uint64_t)signed_of(hello->root_version),
        .lacks = (uint32_t)hello->n_lacks,
    };
    (void)snprintf(report.agent_version, sizeof report.agent_version, "%s", version);
    if (copy_id(hello->boot_id, report.boot_id, sizeof report.boot_id) == sizeof report.boot_id)
        report.boot_id_length = sizeof report.boot_id;
    return collector_state(collector, device, &report, hello->state, arena, err) &&
           fleetdb_device_pace(collector->settings.db, device->device, hello->receipt_pace_s, err);
}

bool collector_hello(struct collector *collector, struct collector_message *message,
                     struct collector_news *news, struct err *err)
{
    struct fleetdb_device device;
    bool good = false, stale = false;
    if (!collector_device(collector, REFUSED_HELLO, message->topic.device, &device, &good, err))
        return false;
    if (good && !collector_open_message(collector, REFUSED_HELLO, &device, message, &good, err))
        return false;
    if (!good)
        return true;
    news->arena.limit_bytes = HELLO_ARENA_BYTES;
    struct err why = {0};
    const Muster__Hello *hello = read_hello(message->opened.body, &news->arena, &why);
    if (hello == NULL) {
        collector_refuse(collector, REFUSED_HELLO, REASON_MALFORMED, device.id, why.text);
        return true;
    }
    if (device.life == FLEETDB_RETIRED) {
        collector_refuse(collector, REFUSED_HELLO, REASON_RETIRED, device.id, "it is retired");
        news->refusal = "retired";
    } else if (!collector_account(collector, &device, hello, news, &stale, err) ||
               !collector_clock_hello(collector, &device, hello, err) ||
               (!stale && !store_hello(collector, &device, hello, &news->arena, err))) {
        return false;
    }
    metrics_add(collector->settings.metrics, METRIC_HELLOS, news->refusal == NULL);
    collector_heard(collector, device.device,
                    stale || news->refusal != NULL ? -1 : (int64_t)hello->silence_s);
    news->hello = hello;
    news->device = device;
    return true;
}
