/* SPDX-License-Identifier: Apache-2.0 */
/* Seeds of what a terminal reads: from the fleet, from its own disk, from people. */
#include "fleet/content.h"
#include "proto/bundle.h"
#include "proto/desired.pb-c.h"
#include "proto/hello.pb-c.h"
#include "proto/local.pb-c.h"
#include "storage/spool_acked.h"
#include "storage/spool_segment.h"
#include "storage/spool_slots.h"
#include "tests/fuzz/published_key.h"
#include "tests/fuzz/seeds.h"
#include "tests/fuzz/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICE "t-01"

/* ---- from the fleet ---- */

static void receipt_seed(void)
{
    char device[] = DEVICE;
    Muster__SeqRange range = MUSTER__SEQ_RANGE__INIT, *ranges[] = {&range};
    Muster__SeqRange refused = MUSTER__SEQ_RANGE__INIT, *refusals[] = {&refused};
    Muster__StreamReceipt streams[3], *list[3];
    Muster__Receipt receipt = MUSTER__RECEIPT__INIT;
    range.first = range.last = 5;
    refused.first = refused.last = 6;
    for (size_t i = 0; i < 3; i++) {
        muster__stream_receipt__init(&streams[i]);
        streams[i].incarnation = i + 1;
        streams[i].lane = (Muster__Lane)(i + 1);
        streams[i].cumulative = i == 2 ? 1 : 3;
        list[i] = &streams[i];
    }
    streams[0].ranges = ranges;
    streams[0].n_ranges = 1;
    streams[1].refused = refusals;
    streams[1].n_refused = 1;
    receipt.device = device;
    receipt.issued_ms = 5;
    receipt.streams = list;
    receipt.n_streams = 3;
    write_message("receipt", "three_streams", 0, &receipt.base);
    struct buf envelope = fuzz_seal("receipt", DEVICE, bytes_of("\x0a\x04" DEVICE, 6));
    write_chosen("receipt", "envelope", 1, buf_bytes(&envelope));
    buf_done(&envelope);
}

static void order_seed(Muster__Manifest *manifest, ProtobufCBinaryData digest)
{
    static char id[] = "a-1";
    Muster__Action action = MUSTER__ACTION__INIT, *actions[] = {&action};
    action.id = id;
    action.kind = MUSTER__ACTION_KIND__ACTION_APPLY;
    action.generation_digest = digest;
    manifest->actions = actions;
    manifest->n_actions = 1;
    write_message("manifest", "apply", 0, &manifest->base);
    manifest->actions = NULL;
    manifest->n_actions = 0;
}

static void manifest_seeds(void)
{
    static char names[2][8] = {"aid.tsv", "par.ini"};
    char device[] = DEVICE;
    uint8_t digest[32];
    struct buf bodies[2] = {{0}};
    Muster__Encoding encoding = MUSTER__ENCODING__INIT, *encodings[] = {&encoding};
    Muster__ManifestItem items[2], *list[2];
    Muster__Manifest manifest = MUSTER__MANIFEST__INIT;
    encoding.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD;
    encoding.blob = filled(digest, sizeof digest);
    encoding.size = 20;
    for (size_t i = 0; i < 2; i++) {
        Muster__DocumentHeader header = MUSTER__DOCUMENT_HEADER__INIT;
        header.name = names[i];
        header.kind = (Muster__DocumentKind)(i + 1);
        header.epoch = 1;
        header.version = 3;
        header.minimum_version = 2;
        header.length = 9;
        header.sha256 = encoding.blob;
        header.scope = MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC;
        must(pack(&header.base, &bodies[i], NULL), NULL);
        muster__manifest_item__init(&items[i]);
        items[i].header = (ProtobufCBinaryData){bodies[i].length, bodies[i].data};
        items[i].mode = MUSTER__ASSIGN_MODE__MODE_REPAIR;
        items[i].encodings = encodings;
        items[i].n_encodings = 1;
        list[i] = &items[i];
    }
    manifest.device = device;
    manifest.epoch = manifest.root_version = 1;
    manifest.version = 7;
    manifest.items = list;
    manifest.n_items = 2;
    write_message("manifest", "two_items", 0, &manifest.base);
    order_seed(&manifest, encoding.blob);
    struct buf envelope = fuzz_seal("manifest", DEVICE, bytes_of("\x0a\x04" DEVICE "\x18\x01", 8));
    write_chosen("manifest", "envelope", 1, buf_bytes(&envelope));
    buf_done(&envelope);
    buf_done(&bodies[0]);
    buf_done(&bodies[1]);
}

static void content_seeds(void)
{
    static const char text[] = "aid\tname\na000000333\tUnionPay\na000000003\tVisa\n";
    struct buf blob = {0};
    must(content_encode(bytes_of(text, sizeof text - 1), &blob, NULL), NULL);
    write_chosen("content", "right", 0, buf_bytes(&blob));
    write_chosen("content", "longer", 0x10, buf_bytes(&blob));
    write_chosen("content", "other_hash", 0x80, buf_bytes(&blob));
    write_chosen("content", "round", 0x40, bytes_of(text, sizeof text - 1));
    buf_done(&blob);
}

/* ---- from another program ---- */

static void client_seeds(void)
{
    char why[] = "no room";
    uint8_t head[10];
    struct buf body = {0}, frame = {0};
    Muster__RecordId record = MUSTER__RECORD_ID__INIT;
    Muster__ClientReply reply = MUSTER__CLIENT_REPLY__INIT;
    reply.id = 1;
    reply.status = MUSTER__REPLY_STATUS__REPLY_OK;
    record.incarnation = 42;
    record.seq = 3;
    reply.record = &record;
    for (int i = 0; i < 2; i++) {
        must(pack(&reply.base, &body, NULL), NULL);
        size_t length = varint_put(body.length, head);
        must(buf_append(&frame, head, length, NULL) &&
                 buf_append(&frame, body.data, body.length, NULL),
             NULL);
        write_seed("client", i ? "full" : "stored", buf_bytes(&frame));
        buf_clear(&body);
        buf_clear(&frame);
        reply.status = MUSTER__REPLY_STATUS__REPLY_FULL;
        reply.why = why;
        reply.record = NULL;
    }
    buf_done(&body);
    buf_done(&frame);
}

static void lease_seed(void)
{
    uint8_t head[10];
    struct buf body = {0}, frame = {0};
    Muster__ClientReply reply = MUSTER__CLIENT_REPLY__INIT;
    uint8_t digest[32];
    char path[] = "/registry/generations/00000005", waiting[] = "manifest 9 waits";
    Muster__LeaseReply lease = MUSTER__LEASE_REPLY__INIT;
    memset(digest, 0x5a, sizeof digest);
    lease.generation = 5;
    lease.generation_digest = (ProtobufCBinaryData){.len = sizeof digest, .data = digest};
    lease.path = path;
    lease.waiting = waiting;
    reply.id = 1;
    reply.status = MUSTER__REPLY_STATUS__REPLY_OK;
    reply.lease = &lease;
    must(pack(&reply.base, &body, NULL), NULL);
    size_t length = varint_put(body.length, head);
    must(buf_append(&frame, head, length, NULL) && buf_append(&frame, body.data, body.length, NULL),
         NULL);
    write_seed("client", "lease", buf_bytes(&frame));
    buf_done(&body);
    buf_done(&frame);
}

/* ---- from the disk ---- */

static void segment_seeds(void)
{
    static const uint8_t changed[] = {2, 4, 1, 'k', 3, 'a', 'b', 'c', 9, 0, 0x20};
    struct buf body = {0};
    for (int i = 0; i < 3; i++)
        must(spool_segment_put(&body, bytes_of("key", i == 1 ? 0 : 3),
                               bytes_of("a record's bytes", 16), NULL),
             NULL);
    write_chosen("spool_bytes", "segment", 0, buf_bytes(&body));
    write_chosen("spool_bytes", "changed", 1, bytes_of(changed, sizeof changed));
    buf_done(&body);
}

/* A segment of two slots and one of a single slot, behind the byte that asks for good sums. */
static void slot_seed(void)
{
    static uint8_t out[1 + 3 * SPOOL_SLOT_BYTES] = {1}, body[SPOOL_SLOT_ROOM + 100];
    const size_t parts[] = {SPOOL_SLOT_ROOM, 100, 100};
    for (unsigned i = 0; i < 3; i++) {
        const struct spool_slot slot = {.round = 1,
                                        .id = 77 + i / 2,
                                        .count = 1,
                                        .length = i < 2 ? sizeof body : 100,
                                        .part = (uint8_t)(i % 2),
                                        .bytes = bytes_of(body, parts[i])};
        spool_slot_encode(256 + i, &slot, out + 1 + (size_t)i * SPOOL_SLOT_BYTES);
    }
    write_chosen("spool_bytes", "slots", 5, bytes_of(out, sizeof out));
}

static void acked_seed(void)
{
    static const uint8_t range[] = {9, 0, 0, 2, 0}; /* what is added */
    struct spool_acked acked = {0};
    struct buf out = {0};
    must(buf_append(&out, range, sizeof range, NULL), NULL);
    must(spool_acked_add(&acked, 1, 5, 1000, NULL) && spool_acked_add(&acked, 8, 9, 2000, NULL) &&
             spool_acked_encode(&acked, &out, NULL),
         NULL);
    write_chosen("spool_bytes", "acked", 2, buf_bytes(&out));
    spool_acked_done(&acked);
    buf_done(&out);
}

/* Two slots of one incarnation each, whose checksums the target puts right. */
static void chain_seed(void)
{
    enum { SLOT = 96, COUNT = 12, EDITION = 16, DEVICE_AT = 32, ENTRY = 64 };
    uint8_t out[1 + 2 * SLOT] = {3};
    for (size_t i = 0; i < 2; i++) {
        uint8_t *slot = out + 1 + i * SLOT;
        memcpy(slot, "MUSTERC1", 8);
        slot[COUNT] = 1;
        slot[EDITION] = (uint8_t)(2 + i);
        memcpy(slot + DEVICE_AT, DEVICE, 4);
        slot[ENTRY] = 42;
        slot[ENTRY + 8] = 100;
    }
    write_chosen("spool_bytes", "chain", 3, bytes_of(out, sizeof out));
}

static void database_seeds(void)
{
    static const struct {
        const char *name;
        uint8_t bytes[8];
        size_t length;
    } seeds[] = {
        {"header", {0, 20, 0, 0, 0xff}, 5},   {"page", {0, 0, 0x10, 0, 0xff}, 5},
        {"record", {0, 0, 0x60, 0, 0x01}, 5}, {"chain", {1, 20, 0, 0, 0x01}, 5},
        {"cut", {0, 0, 0x50, 0}, 4},          {"cut_chain", {1, 0, 0x10, 0}, 4},
    };
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++)
        write_seed("spool_database", seeds[i].name, bytes_of(seeds[i].bytes, seeds[i].length));
}

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

static void registry_seeds(void)
{
    static const char probation[] =
        "muster-probation\t2\t1\t2\t7\t24\t00112233445566778899aabbccddeeff\n"
        "5\t2\t100\t1\t0\t1\t60000\t9\t8\t1\n"
        "0011223344556677\n";
    static const char returned[] = "muster-returned\t2\t1\t7\t7\t4\t100\t1\t90\twhy\n"
                                   "item\taid.tsv\t2\t" ZEROS "\n"
                                   "item\tbin.tsv\t0\t" ZEROS "\n";
    static const char items[] =
        "muster-generation\t2\t" ZEROS "\naid.tsv\t1\t2\t4\t" ZEROS "\t" ZEROS "\t9\n";
    static const char floors[] = "manifest\t7\t" ZEROS "\naid.tsv\t3\n";
    static const char failure[] = ZEROS "\tcontent\taid.tsv\trow 3 has 2 columns\n";
    static const char first[] = "floors\t2\t1\t7\t" ZEROS "\naid.tsv\t1\t3\t0\t4\t" ZEROS "\n";
    write_chosen("registry", "floors", 0x80 + 7, bytes_of(first, sizeof first - 1));
    write_chosen("registry", "second_floors", 0x80 + 4, bytes_of(first, sizeof first - 1));
    write_chosen("registry", "floors_before_epochs", 0x80 + 7, bytes_of(floors, sizeof floors - 1));
    write_chosen("registry", "failure", 0x80 + 8, bytes_of(failure, sizeof failure - 1));
    write_chosen("registry", "probation", 0x80 + 5, bytes_of(probation, sizeof probation - 1));
    write_chosen("registry", "returned", 0x80 + 6, bytes_of(returned, sizeof returned - 1));
    write_chosen("registry", "items", 0x80 + 0, bytes_of(items, sizeof items - 1));
    write_chosen("registry", "older_items", 0x80 + 1, bytes_of(items, sizeof items - 1));
    write_chosen("registry", "no_sum", 2, bytes_of(items, sizeof items - 1));
    write_chosen("registry", "current", 4, bytes_of("generations/00000001", 20));
    write_chosen("registry", "desired", 5, bytes_of("x", 1));
}

static void key_seeds(void)
{
    uint8_t der[48];
    struct bytes spki = sign_key_spki(fuzz_key());
    must(hex_decode(PKCS8_PREFIX PUBLISHED_SECRET, 96, der, sizeof der), NULL);
    write_chosen("keys", "text", 0, bytes_of("-----BEGIN PUBLIC KEY-----\nMCow\n", 32));
    write_chosen("keys", "private", 1, bytes_of(der, sizeof der));
    write_chosen("keys", "public", 2, spki);
    write_chosen("keys", "spki", 3, spki);
}

/* ---- from people and programs, as text ---- */

static void input_seeds(void)
{
    static const char json[] =
        "{\"idempotency_key\":\"a-1\",\"outcome\":\"declined\",\"code\":\"57\",\"stan\":12,"
        "\"aid\":\"a000000333010101\",\"rrn\":\"123456789012\",\"amount_minor\":1250,"
        "\"signal_dbm\":-70,\"online_pin\":true,\"app_version\":\"4111111111111111\"}";
    static const char flags[] = "outcome=no-answer\ntype=sale\ncode=Z1\ntvr=0000008000\nstan=7\n"
                                "idempotency_key=4111111111111111\ntable_miss\n";
    write_chosen("txn_input", "json", 0, bytes_of(json, sizeof json - 1));
    write_chosen("txn_input", "flags", 1, bytes_of(flags, sizeof flags - 1));
    static const char brokers[] = "b1.example:8883, [2001:db8::1]:8883,10.0.0.1:1";
    write_chosen("text", "brokers", 0, bytes_of(brokers, sizeof brokers - 1));
    write_chosen("text", "utf8", 1, bytes_of("a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x92\xb3\xff", 11));
    write_chosen("text", "lines", 2, bytes_of("\x07one\ntwo\r\n\nlast", 15));
    uint8_t line[3000]; /* eight of them are longer than a line may be */
    memset(line, 'x', sizeof line);
    line[0] = 7;
    write_chosen("text", "long_line", 2, bytes_of(line, sizeof line));
    write_chosen("text", "base64", 3, bytes_of("TXVzdGVyIQ==", 12));
    static const char log[] =
        "Client t-01 received CONNACK (0)\nClient t-01 received SUBACK\n"
        "Client t-01 received PUBLISH (d0, q1, r0, m1, 'muster/v1/trust/1', ... (9 bytes))\n"
        "Client t-01 sending PINGREQ\nClient t-01 received PUBACK (Mid: 1, RC:0)\n";
    write_chosen("text", "broker_log", 4, bytes_of(log, sizeof log - 1));
    /* One look, one welcome, one place of a time. */
    static const uint8_t times[] = {0, 0, 0x10, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 0x20,
                                    0, 0, 0,    0, 0, 0, 7, 0, 2, 0, 5, 0, 0, 0};
    write_seed("timekeeper", "three", bytes_of(times, sizeof times));
}

/* Roots of an Envelope that says only a version, a manifest for two devices, two blobs. */
static void bundle_seed(void)
{
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    struct bundle_writer writer;
    static const struct {
        enum bundle_what what;
        const char *device, *content;
    } parts[] = {{BUNDLE_MANIFEST, "t-00", "other"},
                 {BUNDLE_MANIFEST, DEVICE, "manifest"},
                 {BUNDLE_BLOB, "", "first"},
                 {BUNDLE_BLOB, "", "second"}};
    must(file != NULL && bundle_begin(&writer, file, 1234, NULL), NULL);
    for (uint8_t version = 1; version <= 2; version++) {
        const uint8_t body[] = {0x08, version};
        struct buf envelope = fuzz_seal("root", "", bytes_of(body, sizeof body));
        const struct bundle_part part = {.what = BUNDLE_ROOT, .content = buf_bytes(&envelope)};
        must(bundle_add(&writer, &part, NULL), NULL);
        buf_done(&envelope);
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const struct bundle_part part = {.what = parts[i].what,
                                         .device = parts[i].device,
                                         .content =
                                             bytes_of(parts[i].content, strlen(parts[i].content))};
        must(bundle_add(&writer, &part, NULL), NULL);
    }
    must(bundle_finish(&writer, NULL) && fclose(file) == 0, NULL);
    write_seed("bundle", "two_devices", bytes_of(text, length));
    free(text);
}

static void import_seed(void)
{
    static uint8_t data[4] = "abcd";
    Muster__ImportQuery query = MUSTER__IMPORT_QUERY__INIT;
    Muster__ClientRequest request = MUSTER__CLIENT_REQUEST__INIT;
    query.kind = MUSTER__IMPORT_KIND__IMPORT_BLOB;
    query.size = 8;
    query.data = (ProtobufCBinaryData){sizeof data, data};
    request.id = 7;
    request.what_case = MUSTER__CLIENT_REQUEST__WHAT_IMPORT;
    request.import = &query;
    write_message("local", "import", 0, &request.base);
}

void terminal_seeds(void)
{
    bundle_seed();
    import_seed();
    receipt_seed();
    manifest_seeds();
    content_seeds();
    client_seeds();
    lease_seed();
    segment_seeds();
    slot_seed();
    acked_seed();
    chain_seed();
    database_seeds();
    registry_seeds();
    key_seeds();
    input_seeds();
}
