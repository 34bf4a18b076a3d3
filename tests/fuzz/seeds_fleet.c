/* SPDX-License-Identifier: Apache-2.0 */
/* Seeds of `collector`, `http` and `ctl`. */
#include "fleet/base64.h"
#include "proto/columns.h"
#include "proto/desired.pb-c.h"
#include "proto/hello.pb-c.h"
#include "tests/fuzz/seeds.h"
#include "tests/fuzz/world.h"
#include "tests/unit/random_rows.h"

#include <stdio.h>
#include <string.h>

/* ---- what devices send ---- */

enum { HELLO, BODY, BATCH, PASS, ONLINE };

static void add_message(struct buf *out, int kind, struct bytes body)
{
    struct err err = {0};
    uint8_t head[] = {(uint8_t)kind, (uint8_t)body.length, (uint8_t)(body.length >> 8)};
    must(buf_append(out, head, sizeof head, &err) && buf_append(out, body.data, body.length, &err),
         &err);
}

static void add_packed(struct buf *out, int kind, const ProtobufCMessage *message)
{
    struct buf body = {0};
    must(pack(message, &body, NULL), NULL);
    add_message(out, kind, buf_bytes(&body));
    buf_done(&body);
}

/* Records first..first + 3 of a lane. */
static void add_rows(struct buf *out, Muster__Lane lane, uint64_t first, uint64_t state)
{
    struct dice dice = {.state = state};
    struct arena arena = {0};
    struct lane_rows rows;
    struct err err = {0};
    Muster__LaneBatch part, *parts[] = {&part};
    Muster__BatchBody body = MUSTER__BATCH_BODY__INIT;
    random_rows(&dice, lane, 4, &arena, &rows);
    rows.incarnation = 42;
    rows.first_seq = first;
    must(columns_of_rows(&rows, &arena, &part, &err), &err);
    body.lanes = parts;
    body.n_lanes = 1;
    add_packed(out, BODY, &body.base);
    arena_done(&arena);
}

static void set_detail(Muster__Event *event, const ProtobufCMessage *detail, struct buf *kept)
{
    must(pack(detail, kept, NULL), NULL);
    event->detail = (ProtobufCBinaryData){kept->length, kept->data};
}

/* A start, the time at the fleet, what is held, and how an item differs: events with a detail. */
static void add_events(struct buf *out)
{
    static const Muster__EventKind kinds[] = {
        MUSTER__EVENT_KIND__EVENT_OPEN, MUSTER__EVENT_KIND__EVENT_CLOCK,
        MUSTER__EVENT_KIND__EVENT_STATE, MUSTER__EVENT_KIND__EVENT_DRIFT};
    enum { EVENTS = 4 };
    uint8_t boot[16], digest[32];
    char name[] = "aid.tsv";
    struct arena arena = {0};
    struct buf details[EVENTS] = {{0}};
    Muster__Event events[EVENTS];
    ProtobufCMessage *rows[EVENTS];
    Muster__LaneBatch part, *parts[] = {&part};
    Muster__BatchBody body = MUSTER__BATCH_BODY__INIT;
    Muster__OpenStream stream = MUSTER__OPEN_STREAM__INIT, *streams[] = {&stream};
    Muster__Open open = MUSTER__OPEN__INIT;
    Muster__ClockSight sight = MUSTER__CLOCK_SIGHT__INIT;
    Muster__ItemReport item = MUSTER__ITEM_REPORT__INIT, *items[] = {&item};
    Muster__StateReport state = MUSTER__STATE_REPORT__INIT;
    stream.incarnation = 41;
    stream.lane = MUSTER__LANE__LANE_TXN;
    stream.last_seq = 3;
    open.boot_id = open.boot_before = filled(boot, sizeof boot);
    open.unclosed = streams;
    open.n_unclosed = 1;
    open.starts = 2;
    sight.fleet_ms = 1790000000000;
    sight.asked_ms = 900;
    sight.came_ms = 1000;
    item.name = name;
    item.wanted_sha256 = filled(digest, sizeof digest);
    item.difference = MUSTER__DIFFERENCE_KIND__DIFFERENCE_CONTENT;
    item.owned = item.rows_compared = true;
    item.wanted_bytes = item.found_bytes = item.first_row = item.rows_only_found = 7;
    state.items = items;
    state.n_items = 1;
    const ProtobufCMessage *const messages[] = {&open.base, &sight.base, &state.base, &item.base};
    for (size_t i = 0; i < EVENTS; i++) {
        muster__event__init(&events[i]);
        events[i].kind = kinds[i];
        events[i].boot_ms = 1000 + i;
        events[i].wall_ms = INT64_C(1790000000000) + (int64_t)i;
        set_detail(&events[i], messages[i], &details[i]);
        rows[i] = &events[i].base;
    }
    const struct lane_rows lane = {.lane = MUSTER__LANE__LANE_EVENT,
                                   .incarnation = 42,
                                   .first_seq = 1,
                                   .count = EVENTS,
                                   .rows = rows};
    must(columns_of_rows(&lane, &arena, &part, NULL), NULL);
    body.lanes = parts;
    body.n_lanes = 1;
    add_packed(out, BODY, &body.base);
    for (size_t i = 0; i < EVENTS; i++)
        buf_done(&details[i]);
    arena_done(&arena);
}

static void add_lost(struct buf *out)
{
    Muster__LaneBatch part = MUSTER__LANE_BATCH__INIT, *parts[] = {&part};
    Muster__BatchBody body = MUSTER__BATCH_BODY__INIT;
    part.lane = MUSTER__LANE__LANE_TXN;
    part.incarnation = 42;
    part.first_seq = 5;
    part.count = 3;
    part.lost = MUSTER__LOSS_REASON__LOSS_QUOTA;
    body.lanes = parts;
    body.n_lanes = 1;
    add_packed(out, BODY, &body.base);
}

static void add_hello(struct buf *out, bool shows_receipt)
{
    uint8_t nonce[16], digest[32];
    char version[] = "0.1.0", name[] = "aid.tsv";
    struct buf shown = {0};
    Muster__OpenStream stream = MUSTER__OPEN_STREAM__INIT, *streams[] = {&stream};
    Muster__ItemReport item = MUSTER__ITEM_REPORT__INIT, *items[] = {&item};
    Muster__StateReport state = MUSTER__STATE_REPORT__INIT;
    Muster__StreamReceipt said = MUSTER__STREAM_RECEIPT__INIT, *all[] = {&said};
    Muster__Receipt receipt = MUSTER__RECEIPT__INIT;
    Muster__Hello hello = MUSTER__HELLO__INIT;
    stream.incarnation = said.incarnation = 42;
    stream.lane = said.lane = MUSTER__LANE__LANE_TXN;
    stream.last_seq = 9;
    said.cumulative = 8;
    receipt.streams = all;
    receipt.n_streams = 1;
    must(pack(&receipt.base, &shown, NULL), NULL);
    ProtobufCBinaryData receipts[] = {{shown.length, shown.data}};
    item.name = name;
    item.held_version = item.wanted_version = 1;
    item.held_sha256 = filled(digest, sizeof digest);
    state.items = items;
    state.n_items = 1;
    state.manifest_version = 1;
    hello.nonce = filled(nonce, sizeof nonce);
    hello.boot_id = hello.nonce;
    hello.incarnation = 42;
    hello.agent_version = version;
    hello.starts = 1;
    hello.state = &state;
    hello.streams = streams;
    hello.n_streams = 1;
    hello.receipts = receipts;
    hello.n_receipts = shows_receipt;
    add_packed(out, HELLO, &hello.base);
    buf_done(&shown);
}

/* As a terminal packs it. */
static void add_batch(struct buf *out)
{
    struct dice dice = {.state = 26};
    struct arena arena = {0};
    struct lane_rows rows;
    struct buf body = {0};
    struct err err = {0};
    random_rows(&dice, MUSTER__LANE__LANE_TXN, 6, &arena, &rows);
    rows.first_seq = 1;
    must(batch_encode(&rows, 1, 3, &body, &err), &err);
    add_message(out, BATCH, buf_bytes(&body));
    buf_done(&body);
    arena_done(&arena);
}

static void collector_seeds(void)
{
    static const uint8_t hour[] = {0x80, 0xee, 0x36, 0};
    struct buf out = {0};
    add_rows(&out, MUSTER__LANE__LANE_TXN, 1, 21);
    add_lost(&out);
    add_hello(&out, false);
    write_seed("collector", "records_lost_hello", buf_bytes(&out));
    buf_clear(&out);
    add_rows(&out, MUSTER__LANE__LANE_EVENT, 1, 22);
    add_message(&out, PASS, bytes_of(hour, sizeof hour));
    add_rows(&out, MUSTER__LANE__LANE_EVENT, 3, 23);
    write_seed("collector", "conflict", buf_bytes(&out));
    buf_clear(&out);
    add_rows(&out, MUSTER__LANE__LANE_HEALTH, 7, 24);
    add_hello(&out, true);
    write_seed("collector", "restored", buf_bytes(&out));
    buf_clear(&out);
    add_hello(&out, false);
    add_events(&out);
    add_rows(&out, MUSTER__LANE__LANE_TXN, 1, 25);
    add_message(&out, ONLINE, bytes_of("1", 1));
    add_message(&out, ONLINE, bytes_of("\x08\x01\x11\1\2\3\4\5\6\7\x08\x18\xe8\x07", 14));
    add_message(&out, ONLINE, bytes_of("\x11\1\2\3\4\5\6\7\x08\x18\xe8\x07\x20\x01", 14));
    write_seed("collector", "events_online", buf_bytes(&out));
    buf_clear(&out);
    add_batch(&out);
    write_seed("collector", "batch", buf_bytes(&out));
    buf_done(&out);
}

/* ---- HTTP ---- */

static void write_request(const char *name, const char *line, const char *body)
{
    char text[4096];
    int length = snprintf(text, sizeof text,
                          "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                          "Content-Length: %zu\r\n\r\n%s",
                          line, strlen(body), body);
    if (length < 0 || (size_t)length >= sizeof text)
        abort();
    write_chosen("http", name, 20, bytes_of(text, (size_t)length));
}

static void post_document(void)
{
    char name[] = "codes.tsv", text[4096];
    uint8_t digest[32];
    struct buf body = {0}, base64 = {0};
    Muster__DocumentHeader header = MUSTER__DOCUMENT_HEADER__INIT;
    header.name = name;
    header.kind = MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE;
    header.epoch = header.version = 1;
    header.length = 4;
    header.sha256 = filled(digest, sizeof digest);
    header.scope = MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC;
    must(pack(&header.base, &body, NULL), NULL);
    struct buf envelope = fuzz_seal("document", "", buf_bytes(&body));
    must(base64_encode(buf_bytes(&envelope), &base64, NULL), NULL);
    (void)snprintf(text, sizeof text,
                   "{\"header\":\"%s\",\"encodings\":[{\"coding\":\"zstd\",\"blob\":\"%064d\"}]}",
                   (const char *)base64.data, 0);
    write_request("document", "POST /api/v1/documents", text);
    buf_done(&envelope);
    buf_done(&base64);
    buf_done(&body);
}

/* Who may ask, and who follows. */
static void access_requests(void)
{
    write_request(
        "token", "POST /api/v1/tokens",
        "{\"name\":\"desk\",\"role\":\"operator\",\"merchants\":[\"m\"],\"expires_in_ms\":1000}");
    write_request("token-revoke", "DELETE /api/v1/tokens/desk", "");
    write_request("changes", "GET /api/v1/changes?limit=3&before=2", "");
    write_request("events", "GET /api/v1/events?kinds=change,result&last_event_id=1-1", "");
}

/* Where devices stand, and who is meant. */
static void place_requests(void)
{
    static const struct {
        const char *name, *line, *body;
    } rows[] = {
        {"move", "POST /api/v1/devices/t-01/move",
         "{\"merchant\":{\"id\":\"m\"},\"store\":{\"id\":\"s9\",\"region\":\"r\","
         "\"time_zone\":\"UTC\",\"opening_hours\":\"24/7\"},\"terminals\":[]}"},
        {"swap", "POST /api/v1/devices/t-01/swap", "{\"to\":\"t-02\",\"why\":\"w\"}"},
        {"state", "POST /api/v1/devices/t-01/state",
         "{\"state\":\"retired\",\"give_up_records\":true,\"dry_run\":true}"},
        {"labels", "POST /api/v1/devices/t-01/labels",
         "{\"set\":{\"lane\":\"fast\"},\"remove\":[\"floor\"]}"},
        {"group", "POST /api/v1/groups", "{\"name\":\"g\",\"selector\":\"model=M*,!lane\"}"},
        {"selection", "GET /api/v1/selections?selector=model%3DM*,state!%3Dspare|lab", ""},
        {"history", "GET /api/v1/devices/t-01/history", ""},
        {"stores", "GET /api/v1/stores", ""},
        {"duty_done", "POST /api/v1/duties", "{\"done\":[1],\"why\":\"told\"}"},
        {"inventory", "GET /api/v1/inventory", ""},
        {"import", "POST /api/v1/inventory",
         "{\"devices\":[{\"id\":\"t-77\",\"serial\":\"7\",\"model\":\"M1\",\"state\":"
         "\"spare\",\"merchant\":{\"id\":\"m\"},\"store\":{\"id\":\"s\"},\"terminals\":"
         "[{\"index\":0,\"acquirer\":\"a\",\"tid\":\"7\",\"mid\":\"7\"}],\"labels\":"
         "{\"lane\":\"x\"}}]}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        write_request(rows[i].name, rows[i].line, rows[i].body);
}

static void http_seeds(void)
{
    struct buf spki = {0};
    char text[1024];
    struct bytes raw = sign_key_spki(fuzz_key());
    write_request("health", "GET /healthz", "");
    write_request("metrics", "GET /metrics", "");
    write_request("documents", "GET /api/v1/documents", "");
    write_request("devices", "GET /api/v1/devices", "");
    write_request("device", "GET /api/v1/devices/t-01", "");
    write_request("errors", "GET /api/v1/errors?by=code&since_ms=0&device=t%2D01", "");
    write_request(
        "rates",
        "GET /api/v1/rates?by=device&devices=merchant%3Dm%2Cmodel%21%3DM1&outcome=declined"
        "&from_ms=1789900000000&to_ms=1790000000000&limit=3",
        "");
    write_request("rates_end",
                  "GET /api/v1/rates?by=tid&from_ms=9223372036854775800"
                  "&to_ms=9223372036854775807",
                  "");
    write_request("rates_9999", "GET /api/v1/rates?by=tid&to_ms=253402300799999", "");
    write_request("nul", "GET /api/v1/devices/t-01%00x?a%00b=1", "");
    write_request("top", "GET /api/v1/top?by=entry&code=57&type=sale&currency=156&store=m%2Fs", "");
    write_request("find",
                  "GET /api/v1/find?tid=1&store=m%2Fs&outcome=declined&amount_minor=100&limit=5"
                  "&before=1790000000000.7",
                  "");
    write_request("changes_of", "GET /api/v1/changes?devices=region%3Dnorth&before=9", "");
    write_request("audit", "GET /api/v1/audit?device=t-01", "");
    write_request("manifest", "GET /api/v1/devices/t-01/manifest", "");
    write_request("assign", "POST /api/v1/assignments",
                  "{\"document\":\"aid.tsv\",\"devices\":[\"t-01\"],\"mode\":\"observe\"}");
    write_request("proposals", "GET /api/v1/proposals", "");
    write_request("propose", "POST /api/v1/proposals",
                  "{\"device\":\"t-01\",\"document\":\"aid.tsv\",\"seen\":\"0123456789abcdef\","
                  "\"answer\":\"accept\"}");
    write_request(
        "blob",
        "PUT /api/v1/blobs/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "");
    must(base64_encode(raw, &spki, NULL), NULL);
    (void)snprintf(text, sizeof text,
                   "{\"id\":\"t-99\",\"serial\":\"SN-99\",\"model\":\"M1\",\"agent_key\":\"%s\","
                   "\"merchant\":{\"id\":\"m\",\"name\":\"M\"},\"store\":{\"id\":\"s\","
                   "\"name\":\"S\"},\"terminals\":[{\"index\":0,\"acquirer\":\"a\","
                   "\"tid\":\"1\",\"mid\":\"2\"}]}",
                   (const char *)spki.data);
    write_request("enrol", "POST /api/v1/devices", text);
    post_document();
    buf_done(&spki);
    access_requests();
    place_requests();
}

/* ---- answers to musterctl ---- */

static void write_reply(const char *name, int command, const char *json)
{
    struct buf out = {0};
    must(buf_append(&out, "\0", 1, NULL) && buf_append(&out, json, strlen(json), NULL), NULL);
    write_chosen("ctl", name, command, buf_bytes(&out));
    buf_done(&out);
}

static void ctl_seeds(void)
{
    write_reply("devices", 0,
                "{\"devices\":[{\"id\":\"t-01\",\"model\":\"M1\",\"state\":\"active\","
                "\"online\":true,\"converged\":true,\"manifest_version\":2,"
                "\"last_seen_ms\":1}]}");
    write_reply("documents", 1,
                "{\"documents\":[{\"name\":\"aid.tsv\",\"version\":1,\"kind\":\"table\","
                "\"sha256\":\"00\",\"published_ms\":5}]}");
    write_reply("device", 2,
                "{\"id\":\"t-01\",\"items\":[{\"name\":\"aid.tsv\",\"state\":\"ok\"}],"
                "\"terminals\":[{\"index\":0,\"tid\":\"1\"}],\"streams\":[{\"lane\":\"txn\","
                "\"last_seq\":4}],\"events\":[{\"wall_ms\":5,\"text\":\"x\"}]}");
    write_reply("device_extremes", 2,
                "{\"id\":\"t-01\",\"traffic_bytes\":9223372036854775807,"
                "\"traffic_payload_bytes\":9223372036854775807,\"clock\":{\"checked_ms\":5,"
                "\"offset_ms\":-9223372036854775808,\"bound_ms\":9223372036854775807,"
                "\"drift_ppm\":1e308,\"drift_bound_ppm\":1e308,"
                "\"jumps\":9223372036854775807,\"jump_ms\":-9223372036854775808,"
                "\"jumped_ms\":1}}");
    write_reply("audit_of_all", 64 + 4,
                "{\"devices\":[{\"id\":\"t-01\",\"submitted\":3}],\"total\":{\"committed\":3}}");
    write_reply("errors", 3,
                "{\"total\":5,\"not_in_service\":1,\"since_ms\":1,\"by\":\"code\",\"rows\":"
                "[{\"key\":\"57\",\"count\":3,\"share\":0.6,\"amount_minor\":12}]}");
    write_reply("audit", 4,
                "{\"devices\":[{\"id\":\"t-01\",\"lanes\":[{\"lane\":\"txn\",\"submitted\":3}],"
                "\"streams\":[]}],\"total\":{\"unaccounted\":0,\"lost_by_reason\":{\"age\":1}}}");
    write_reply("history", 9,
                "{\"standings\":[{\"from_ms\":1,\"to_ms\":0,\"state\":\"spare\"}],"
                "\"terminals\":[{\"from_ms\":1,\"to_ms\":5,\"index\":0,\"tid\":\"1\"}],"
                "\"duties\":[{\"id\":1,\"act\":\"bind\",\"acquirer\":\"a\",\"done_ms\":3,"
                "\"done_who\":\"x\",\"note\":\"y\"}]}");
    write_reply("stores", 10,
                "{\"stores\":[{\"merchant\":{\"id\":\"m\"},\"store\":{\"id\":\"s\","
                "\"opening_hours\":\"24/7\"},\"open_now\":true,\"devices\":3}]}");
    write_reply("groups", 11,
                "{\"groups\":[{\"name\":\"g\",\"selector\":\"a=b\",\"devices\":2,"
                "\"changed_ms\":5,\"trouble\":\"no\"}]}");
    write_reply("duties", 12, "{\"duties\":[{\"id\":1,\"act\":\"unbind\",\"device\":\"t-01\"}]}");
    write_reply("export", 13,
                "{\"devices\":[{\"id\":\"t-01\",\"labels\":{\"lane\":\"a,b\"},"
                "\"terminals\":[{\"index\":0,\"acquirer\":\"a\",\"tid\":\"1\","
                "\"mid\":\"2\"}],\"store\":{\"id\":\"s\",\"address\":\"x \\\"y\\\"\"}}]}");
}

void fleet_seeds(void)
{
    collector_seeds();
    http_seeds();
    ctl_seeds();
}
