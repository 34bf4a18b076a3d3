/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the seeds of the fuzz targets: small valid inputs, the same at each run. Those of
 * `document` are text, written by hand; those of `sealed`, which differ each time, made once. */
#include "tests/fuzz/seeds.h"
#include "base/file.h"
#include "proto/columns.h"
#include "proto/desired.pb-c.h"
#include "proto/dictionary.h"
#include "proto/frames.h"
#include "proto/hello.pb-c.h"
#include "proto/local.pb-c.h"
#include "proto/seal.h"
#include "proto/signed.pb-c.h"
#include "proto/unpack.h"
#include "tests/fuzz/published_key.h"
#include "tests/fuzz/world.h"
#include "tests/unit/random_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *directory;

void must(bool ok, const struct err *err)
{
    if (ok)
        return;
    (void)fprintf(stderr, "%s\n", err->text);
    exit(1);
}

void write_seed(const char *target, const char *name, struct bytes content)
{
    char folder[512], path[1024];
    struct err err = {0};
    must(path_join(folder, sizeof folder, directory, target, &err), &err);
    must(file_make_dir(folder, 0755, &err), &err);
    must(path_join(path, sizeof path, folder, name, &err), &err);
    must(file_write(path, content, 0644, &err), &err);
}

struct buf read_seed(const char *target, const char *name)
{
    char path[1024];
    struct buf content = {0};
    struct err err = {0};
    must(snprintf(path, sizeof path, "%s/%s/%s", directory, target, name) > 0, &err);
    must(file_read(path, 1 << 20, &content, &err), &err);
    return content;
}

void write_text(const char *target, const char *name, const char *text)
{
    write_seed(target, name, bytes_of(text, strlen(text)));
}

void write_chosen(const char *target, const char *name, int selector, struct bytes content)
{
    struct buf out = {0};
    struct err err = {0};
    uint8_t first = (uint8_t)selector;
    must(selector < 0 || buf_append(&out, &first, 1, &err), &err);
    must(buf_append(&out, content.data, content.length, &err), &err);
    write_seed(target, name, buf_bytes(&out));
    buf_done(&out);
}

void write_message(const char *target, const char *name, int selector,
                   const ProtobufCMessage *message)
{
    struct buf out = {0};
    struct err err = {0};
    must(pack(message, &out, &err), &err);
    write_chosen(target, name, selector, buf_bytes(&out));
    buf_done(&out);
}

ProtobufCBinaryData filled(uint8_t *out, size_t length)
{
    memset(out, 0x5a, length);
    return (ProtobufCBinaryData){.len = length, .data = out};
}

/* ---- the two sockets ---- */

enum {
    CLIENT_REQUEST,
    CLIENT_REPLY,
    LINK_UP,
    LINK_DOWN,
    KEPT_RECEIPTS,
    KEPT_TRAFFIC,
    KEPT_CLOCK,
    KEPT_LEASE
};

static void lease_seeds(void)
{
    Muster__ClientRequest request = MUSTER__CLIENT_REQUEST__INIT;
    Muster__LeaseQuery query = MUSTER__LEASE_QUERY__INIT;
    Muster__KeptLease kept = MUSTER__KEPT_LEASE__INIT;
    Muster__KeptLeaseTerminal terminal = MUSTER__KEPT_LEASE_TERMINAL__INIT, *list = &terminal;
    request.id = 7;
    request.what_case = MUSTER__CLIENT_REQUEST__WHAT_LEASE;
    request.lease = &query;
    query.terminal = 3;
    query.transaction = query.batch = true;
    query.hold_ms = 5000;
    write_message("local", "lease", CLIENT_REQUEST, &request.base);
    Muster__ForgetQuery forget = MUSTER__FORGET_QUERY__INIT;
    request.what_case = MUSTER__CLIENT_REQUEST__WHAT_FORGET;
    request.forget = &forget;
    forget.terminal = 17;
    write_message("local", "forget", CLIENT_REQUEST, &request.base);
    terminal.terminal = 3;
    terminal.reversal = MUSTER__SAID__SAID_NO;
    terminal.batch = MUSTER__SAID__SAID_YES;
    terminal.hold_minutes = 2;
    terminal.several = true;
    kept.learning = kept.lost = true;
    kept.terminals = &list;
    kept.n_terminals = 1;
    write_message("local", "kept_lease", KEPT_LEASE, &kept.base);
    Muster__KeptLeaseTerminal all[16], *each[16];
    for (size_t i = 0; i < 16; i++) {
        all[i] = terminal;
        all[i].terminal = UINT32_MAX - (uint32_t)i;
        each[i] = &all[i];
    }
    kept.terminals = each;
    kept.n_terminals = 16;
    write_message("local", "kept_lease_full", KEPT_LEASE, &kept.base);
}

static void client_seeds(void)
{
    struct dice dice = {.state = 11};
    struct arena arena = {0};
    struct lane_rows rows;
    char why[] = "the disk is full";
    Muster__ClientRequest request = MUSTER__CLIENT_REQUEST__INIT;
    Muster__StatusQuery status = MUSTER__STATUS_QUERY__INIT;
    Muster__ClientReply reply = MUSTER__CLIENT_REPLY__INIT;
    Muster__RecordId record = MUSTER__RECORD_ID__INIT;
    random_rows(&dice, MUSTER__LANE__LANE_TXN, 2, &arena, &rows);
    request.id = 7;
    request.what_case = MUSTER__CLIENT_REQUEST__WHAT_TXN;
    request.txn = (Muster__TxnResult *)rows.rows[0];
    write_message("local", "txn", CLIENT_REQUEST, &request.base);
    request.what_case = MUSTER__CLIENT_REQUEST__WHAT_STATUS;
    request.status = &status;
    write_message("local", "status", CLIENT_REQUEST, &request.base);
    reply.id = 1;
    reply.status = MUSTER__REPLY_STATUS__REPLY_FULL;
    reply.why = why;
    write_message("local", "reply_full", CLIENT_REPLY, &reply.base);
    record.lane = MUSTER__LANE__LANE_TXN;
    record.incarnation = 42;
    record.seq = 3;
    reply.status = MUSTER__REPLY_STATUS__REPLY_OK;
    reply.record = &record;
    write_message("local", "reply_ok", CLIENT_REPLY, &reply.base);
    arena_done(&arena);
}

static void link_seeds(void)
{
    char broker[] = "broker:8883", topic[] = "muster/v1/down/t-01/receipt";
    uint8_t bytes[32];
    ProtobufCBinaryData blobs[2];
    Muster__LinkUp up = MUSTER__LINK_UP__INIT;
    Muster__LinkState state = MUSTER__LINK_STATE__INIT;
    Muster__LinkMessage message = MUSTER__LINK_MESSAGE__INIT;
    Muster__LinkPuback puback = MUSTER__LINK_PUBACK__INIT;
    Muster__LinkDown down = MUSTER__LINK_DOWN__INIT;
    Muster__LinkPublish publish = MUSTER__LINK_PUBLISH__INIT;
    Muster__LinkFetch fetch = MUSTER__LINK_FETCH__INIT;
    uint64_t sizes[] = {300, 1 << 20};
    Muster__KeptReceipts kept = MUSTER__KEPT_RECEIPTS__INIT;
    state.broker = broker;
    state.connected = true;
    up.what_case = MUSTER__LINK_UP__WHAT_STATE;
    up.state = &state;
    write_message("local", "link_state", LINK_UP, &up.base);
    puback.token = 300;
    up.what_case = MUSTER__LINK_UP__WHAT_PUBACK;
    up.puback = &puback;
    write_message("local", "link_puback", LINK_UP, &up.base);
    message.topic = topic;
    message.payload = filled(bytes, 16);
    up.what_case = MUSTER__LINK_UP__WHAT_MESSAGE;
    up.message = &message;
    write_message("local", "link_message", LINK_UP, &up.base);
    publish.token = 9;
    publish.topic = topic;
    publish.payload = message.payload;
    down.what_case = MUSTER__LINK_DOWN__WHAT_PUBLISH;
    down.publish = &publish;
    write_message("local", "link_publish", LINK_DOWN, &down.base);
    blobs[0] = blobs[1] = filled(bytes, sizeof bytes);
    fetch.blobs = blobs;
    fetch.n_blobs = 2;
    fetch.sizes = sizes;
    fetch.n_sizes = 2;
    down.what_case = MUSTER__LINK_DOWN__WHAT_FETCH;
    down.fetch = &fetch;
    write_message("local", "link_fetch", LINK_DOWN, &down.base);
    kept.receipts = blobs;
    kept.n_receipts = 2;
    write_message("local", "kept", KEPT_RECEIPTS, &kept.base);
    Muster__KeptClock clock = MUSTER__KEPT_CLOCK__INIT;
    Muster__KeptTraffic traffic = MUSTER__KEPT_TRAFFIC__INIT;
    clock.boot_id = filled(bytes, 16);
    clock.at_least_ms = 1790000000000;
    write_message("local", "kept_clock", KEPT_CLOCK, &clock.base);
    traffic.link_start = 5;
    write_message("local", "kept_traffic", KEPT_TRAFFIC, &traffic.base);
}

/* ---- bodies of envelopes ---- */

static void up_bodies(void)
{
    uint8_t nonce[16], digest[32];
    char serial[] = "SN-1", name[] = "aid-table";
    Muster__ItemReport item = MUSTER__ITEM_REPORT__INIT, *items[] = {&item};
    Muster__StateReport state = MUSTER__STATE_REPORT__INIT;
    Muster__OpenStream stream = MUSTER__OPEN_STREAM__INIT, *streams[] = {&stream};
    ProtobufCBinaryData lacks[] = {filled(digest, sizeof digest)};
    Muster__Hello hello = MUSTER__HELLO__INIT;
    item.name = name;
    item.held_sha256 = lacks[0];
    state.items = items;
    state.n_items = 1;
    stream.incarnation = 42;
    stream.last_seq = 1000;
    hello.nonce = filled(nonce, sizeof nonce);
    hello.wall_ms = INT64_C(1795000000000);
    hello.serial = serial;
    hello.state = &state;
    hello.lacks = lacks;
    hello.n_lacks = 1;
    hello.streams = streams;
    hello.n_streams = 1;
    write_message("sealed_body", "hello", 0, &hello.base);
}

static void down_bodies(void)
{
    uint8_t nonce[16], digest[32], header_bytes[20];
    char device[] = "t-01", name[] = "aid-table";
    Muster__SeqRange range = {.base = PROTOBUF_C_MESSAGE_INIT(&muster__seq_range__descriptor),
                              .first = 20,
                              .last = 30},
                     *ranges[] = {&range};
    Muster__StreamReceipt stream = MUSTER__STREAM_RECEIPT__INIT, *streams[] = {&stream};
    Muster__Receipt receipt = MUSTER__RECEIPT__INIT;
    Muster__Welcome welcome = MUSTER__WELCOME__INIT;
    Muster__Encoding encoding = MUSTER__ENCODING__INIT, *encodings[] = {&encoding};
    Muster__ManifestItem item = MUSTER__MANIFEST_ITEM__INIT, *items[] = {&item};
    Muster__Manifest manifest = MUSTER__MANIFEST__INIT;
    Muster__DocumentHeader header = MUSTER__DOCUMENT_HEADER__INIT;
    stream.lane = MUSTER__LANE__LANE_TXN;
    stream.cumulative = 10;
    stream.ranges = ranges;
    stream.n_ranges = 1;
    receipt.device = device;
    receipt.streams = streams;
    receipt.n_streams = 1;
    write_message("sealed_body", "receipt", 1, &receipt.base);
    welcome.device = device;
    welcome.nonce = filled(nonce, sizeof nonce);
    write_message("sealed_body", "welcome", 2, &welcome.base);
    encoding.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD;
    encoding.blob = filled(digest, sizeof digest);
    item.header = filled(header_bytes, sizeof header_bytes);
    item.encodings = encodings;
    item.n_encodings = 1;
    manifest.device = device;
    manifest.items = items;
    manifest.n_items = 1;
    write_message("sealed_body", "manifest", 3, &manifest.base);
    header.name = name;
    header.kind = MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE;
    header.sha256 = encoding.blob;
    write_message("sealed_body", "document_header", 4, &header.base);
}

/* ---- envelopes ---- */

static void write_sealed(const char *target, const char *name, const char *domain,
                         const char *context, struct bytes body, bool name_keys)
{
    struct buf out = {0};
    struct err err = {0};
    const struct sign_key *keys[] = {fuzz_key()};
    must(seal(domain, context, body, keys, 1, name_keys, &out, &err), &err);
    write_seed(target, name, buf_bytes(&out));
    buf_done(&out);
}

/* A document that was signed away from musterd. */
static void signed_seed(void)
{
    uint8_t digest[32];
    char name[] = "bin-routing";
    struct buf body = {0}, envelope = {0};
    struct err err = {0};
    const struct sign_key *keys[] = {fuzz_key()};
    Muster__DocumentHeader header = MUSTER__DOCUMENT_HEADER__INIT;
    Muster__SignedDocument file = MUSTER__SIGNED_DOCUMENT__INIT;
    header.name = name;
    header.kind = MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE;
    header.scope = MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED;
    header.length = 6;
    sha256(bytes_of("sealed", 6), digest);
    header.sha256 = (ProtobufCBinaryData){sizeof digest, digest};
    must(pack(&header.base, &body, &err) &&
             seal("document", "", buf_bytes(&body), keys, 1, true, &envelope, &err),
         &err);
    file.header = (ProtobufCBinaryData){envelope.length, envelope.data};
    file.sealed = (ProtobufCBinaryData){6, (uint8_t *)(uintptr_t) "sealed"};
    write_message("trust_root", "signed", -1, &file.base);
    buf_done(&envelope);
    buf_done(&body);
}

static void sealed_seeds(void)
{
    uint8_t spki[44];
    struct err err = {0};
    struct buf body = {0};
    Muster__PublicKey key = MUSTER__PUBLIC_KEY__INIT, *keys[] = {&key};
    Muster__RoleKeys role = MUSTER__ROLE_KEYS__INIT, *roles[] = {&role};
    Muster__Root root = MUSTER__ROOT__INIT;
    must(hex_decode(SPKI_PREFIX PUBLISHED_PUBLIC, 88, spki, sizeof spki), &err);
    key.algorithm = MUSTER__KEY_ALGORITHM__KEY_ALGORITHM_ED25519;
    key.spki = (ProtobufCBinaryData){.len = sizeof spki, .data = spki};
    role.role = MUSTER__ROLE__ROLE_ROOT;
    role.threshold = 1;
    role.keys = keys;
    role.n_keys = 1;
    root.version = 1;
    root.epoch = 1;
    root.roles = roles;
    root.n_roles = 1;
    must(pack(&root.base, &body, &err), &err);
    write_message("sealed_body", "root", 5, &root.base);
    write_sealed("trust_root", "root", "root", "", buf_bytes(&body), true);
    struct bytes text = bytes_of(PUBLISHED_BODY, strlen(PUBLISHED_BODY));
    write_sealed("unseal", "named", "manifest", "t-01", text, true);
    write_sealed("unseal", "nameless", "manifest", "t-01", text, false);
    buf_done(&body);
}

/* ---- records ---- */

/* One zstd frame of columns, as terminals sent before there was a dictionary. */
static void write_first_form(const char *name, const struct lane_rows *rows)
{
    struct arena arena = {0};
    struct err err = {0};
    struct buf body = {0}, frame = {0};
    char as[32];
    Muster__LaneBatch part, *parts[] = {&part};
    Muster__BatchBody lanes = MUSTER__BATCH_BODY__INIT;
    Muster__Batch batch = MUSTER__BATCH__INIT;
    lanes.lanes = parts;
    lanes.n_lanes = 1;
    must(columns_of_rows(rows, &arena, &part, &err) && pack(&lanes.base, &body, &err) &&
             frame_pack(buf_bytes(&body), bytes_of(NULL, 0), &(struct frame_way){.level = 3},
                        &frame, &err),
         &err);
    batch.frame = (ProtobufCBinaryData){.len = frame.length, .data = frame.data};
    (void)snprintf(as, sizeof as, "first_%s", name);
    write_message("batch_decode", as, -1, &batch.base);
    buf_done(&frame);
    buf_done(&body);
    arena_done(&arena);
}

static void put_sized(struct buf *out, const struct buf *part)
{
    struct err err = {0};
    uint8_t head[10];
    must(buf_append(out, head, varint_put(part->length, head), &err) &&
             buf_append(out, part->data, part->length, &err),
         &err);
}

/* `twice`: as a hostile terminal has it, whose parts all set the same again. */
static void write_lane(const char *name, const struct lane_rows *rows, bool twice)
{
    struct arena arena = {0};
    struct err err = {0};
    const Muster__Dictionary *dictionary = NULL;
    struct batch_streams streams = {0};
    struct buf lane = {0}, out = {0};
    must(dictionary_find(DICTIONARY_NEWEST, &arena, &dictionary, &err) &&
             batch_compose(rows, 1, dictionary, &streams, &err),
         &err);
    Muster__BatchBody *body =
        muster__batch_body__unpack(NULL, streams.body.length, streams.body.data);
    must(body != NULL, &err);
    Muster__LaneBatch hostile = *body->lanes[0];
    Muster__Part *parts[] = {hostile.n_parts > 0 ? hostile.parts[0] : NULL, NULL};
    parts[1] = parts[0];
    if (twice) {
        hostile.parts = parts;
        hostile.n_parts = 2;
    }
    must(pack(&hostile.base, &lane, &err), &err);
    put_sized(&out, &lane);
    put_sized(&out, &streams.marks);
    put_sized(&out, &streams.steps);
    must(buf_append(&out, streams.raw.data, streams.raw.length, &err), &err);
    write_seed("lane", name, buf_bytes(&out));
    muster__batch_body__free_unpacked(body, NULL);
    batch_streams_done(&streams);
    buf_done(&out);
    buf_done(&lane);
    arena_done(&arena);
}

static void record_seeds(void)
{
    static const Muster__Lane lanes[] = {MUSTER__LANE__LANE_TXN, MUSTER__LANE__LANE_EVENT,
                                         MUSTER__LANE__LANE_HEALTH};
    struct dice dice = {.state = 12};
    struct err err = {0};
    for (size_t i = 0; i < 3; i++) {
        struct arena arena = {0};
        struct lane_rows rows;
        struct buf out = {0};
        Muster__LaneBatch columns;
        random_rows(&dice, lanes[i], 4, &arena, &rows);
        must(batch_encode(&rows, 1, 3, &out, &err), &err);
        write_seed("batch_decode", lane_name(lanes[i]), buf_bytes(&out));
        write_first_form(lane_name(lanes[i]), &rows);
        write_lane(lane_name(lanes[i]), &rows, false);
        if (lanes[i] == MUSTER__LANE__LANE_TXN)
            write_lane("twice", &rows, true);
        must(columns_of_rows(&rows, &arena, &columns, &err), &err);
        write_message("columns", lane_name(lanes[i]), -1, &columns.base);
        buf_done(&out);
        arena_done(&arena);
    }
}

/* ---- text ---- */

static void text_seeds(void)
{
    write_text("topic", "up", "muster/v1/up/t-01/batch");
    write_text("topic", "down", "muster/v1/down/t-01/manifest");
    write_text("topic", "blob",
               "muster/v1/blob/000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff");
    write_text("topic", "trust", "muster/v1/trust/12");
    write_text("topic", "document", "aid-table.v2");
    write_text("settings", "all",
               "# every key\n[a]\ntext = word\npath = sub/file\npaths = one, sub/two ,/three\n"
               "number = -3\n\n[b]\nwait = 15m\n"
               "bytes = 20M\nflag = yes\nchoice = 3.1.1\n");
    write_text("settings", "unknown", "[a]\nnothing = 1\n");
    /* Eight bytes of a moment, then hours. */
    write_text("opening", "week", "\1\2\3\4\5\1  Mo-Fr 09:00-18:00; Sa 10:00-12:00,13:00-16:00");
    write_text("opening", "night", "\1\2\3\4\5\1  09:00-22:00; Fr,Sa 09:00-02:00");
    write_text("opening", "holidays",
               "\1\2\3\4\5\1  24/7; 2027 Feb 05-2027 Feb 12 off; Dec 30-Jan 02 Mo-Fr 10:00-14:00");
    write_text("opening", "wrap", "\1\2\3\4\5\1  Sa-Mo 08:00-48:00; Tu off");
    write_text("csv_text", "devices",
               "\xef\xbb\xbfid,serial,store\r\nterm-1,SN-1,\"s1, upstairs\"\r\n\r\nterm-2,,\r\n");
    write_text("csv_text", "quotes", "a,\"say \"\"no\"\"\",\"two\nlines\"\n b , \" c \"");
    write_text("sse", "events",
               "\x05: here\nretry: 3000\n\nid: 1-2\nevent: change\ndata: {\"a\":1}\r\n\r\ndata: x\n"
               "data: y\n\nevent: end\nid: 3-4\ndata\n\n");
    /* A device's facts, two texts each, up to an empty one; then a selector. */
    write_text("selector", "terms",
               "model\nA920\nlane\nexpress\n\nmodel=A9*|A80,lane!=slow,!pilot");
    write_text("selector", "groups",
               "tid\n12345678\ntid\n12345679\n\ngroup=pilots|north,tid=12345679");
    /* The card industry's published test number. */
    write_text("mask", "test_number", "paid 4111 1111 1111 1111 at 12:00");
    write_text("mask", "digits", "000004111111111111111000 and 12345678901234567890");
    write_seed("varint", "numbers",
               bytes_of("\x96\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12));
    write_text("varint", "hex", "00ff7fA0");
    write_seed("stream", "frames",
               bytes_of("\x00\x03"
                        "abc"
                        "\x00"
                        "\x01"
                        "x",
                        8));
    write_seed("stream", "long",
               bytes_of("\x02\xff\xff\x03"
                        "abc",
                        7));
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: fuzz-seeds DIRECTORY\n");
        return 2;
    }
    directory = argv[1];
    client_seeds();
    lease_seeds();
    link_seeds();
    up_bodies();
    down_bodies();
    signed_seed();
    sealed_seeds();
    record_seeds();
    text_seeds();
    fleet_seeds();
    terminal_seeds();
    ways_seeds();
    decode_seeds();
    return 0;
}
