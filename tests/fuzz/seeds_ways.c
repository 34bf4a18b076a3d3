/* SPDX-License-Identifier: Apache-2.0 */
/* Seeds of `ways`, and of `ctl` where it compares. */
#include "fleet/content.h"
#include "proto/limits.h"
#include "proto/seal.h"
#include "tests/fuzz/seeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first byte of `ways`; SENT may have PIECES and LONGER added. */
enum { ITEM, JSON, HEADER, SENT, PIECES = 4, LONGER = 0x10 };

static const char text[] = "aid\tname\na000000333\tUnionPay\na000000003\tVisa\n";

static ProtobufCBinaryData data_of(struct bytes bytes)
{
    return (ProtobufCBinaryData){bytes.length, (uint8_t *)(uintptr_t)bytes.data};
}

/* ---- ways ---- */

/* Whole, as a delta, inlined, in pieces: of a content of 64 KiB. */
static void item_seeds(void)
{
    static uint8_t digest[32], of_text[32];
    static const uint8_t open[] = {0, 0, 0, 1, 0}, sealed[] = {1, 0x2c, 1, 0, 0};
    enum { WAYS = 4 };
    Muster__Encoding encodings[WAYS], *list[WAYS];
    Muster__ManifestItem item = MUSTER__MANIFEST_ITEM__INIT;
    struct buf out = {0}, packed = {0};
    sha256(bytes_of(text, sizeof text - 1), of_text);
    for (size_t i = 0; i < WAYS; i++) {
        muster__encoding__init(&encodings[i]);
        encodings[i].coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD;
        encodings[i].blob = filled(digest, sizeof digest);
        encodings[i].size = 300;
        list[i] = &encodings[i];
    }
    encodings[1].coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA;
    encodings[1].base_sha256 = encodings[1].blob;
    encodings[2].blob = data_of(bytes_of(of_text, sizeof of_text));
    encodings[2].data = data_of(bytes_of(text, sizeof text - 1));
    encodings[2].size = sizeof text - 1;
    encodings[3].size = 32;
    encodings[3].piece_bytes = LIMIT_PIECE_BYTES;
    encodings[3].pieces_size = 65000;
    item.encodings = list;
    item.n_encodings = WAYS;
    must(pack(&item.base, &packed, NULL) && buf_append(&out, open, sizeof open, NULL) &&
             buf_append(&out, packed.data, packed.length, NULL),
         NULL);
    write_chosen("ways", "item", ITEM, buf_bytes(&out));
    buf_clear(&out);
    buf_clear(&packed);
    encodings[0].coding = MUSTER__CONTENT_CODING__CONTENT_CMS;
    item.n_encodings = 1;
    must(pack(&item.base, &packed, NULL) && buf_append(&out, sealed, sizeof sealed, NULL) &&
             buf_append(&out, packed.data, packed.length, NULL),
         NULL);
    write_chosen("ways", "sealed_item", ITEM, buf_bytes(&out));
    buf_done(&out);
    buf_done(&packed);
}

static void header_seeds(void)
{
    static const struct {
        const char *name;
        Muster__DocumentKind kind;
        Muster__DocumentScope scope;
        uint64_t length;
    } rows[] = {
        {"table", MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE, MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC, 46},
        {"firmware", MUSTER__DOCUMENT_KIND__DOCUMENT_FILE, MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC,
         LIMIT_CONTENT_BYTES},
        {"sealed_file", MUSTER__DOCUMENT_KIND__DOCUMENT_FILE, MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED,
         LIMIT_DOCUMENT_BYTES}};
    char name[] = "aid.tsv", device[] = "t-01";
    uint8_t digest[32];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Muster__DocumentHeader header = MUSTER__DOCUMENT_HEADER__INIT;
        header.name = name;
        header.kind = rows[i].kind;
        header.epoch = 1;
        header.version = 3;
        header.minimum_version = 2;
        header.length = rows[i].length;
        header.sha256 = filled(digest, sizeof digest);
        header.scope = rows[i].scope;
        if (rows[i].scope == MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED)
            header.device = device;
        write_message("ways", rows[i].name, HEADER, &header.base);
    }
}

static void sent_seeds(const struct buf *blob)
{
    static const char json[] =
        "{\"encodings\":[{\"coding\":\"zstd\",\"size\":32,\"piece_bytes\":131072,"
        "\"pieces_size\":1000,\"blob\":"
        "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff\"},"
        "{\"coding\":\"zstd-delta\",\"size\":72,\"blob\":"
        "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1efe\",\"base\":"
        "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1efd\"}]}";
    write_chosen("ways", "json", JSON, bytes_of(json, sizeof json - 1));
    write_chosen("ways", "whole", SENT, buf_bytes(blob));
    write_chosen("ways", "pieces", SENT + PIECES, buf_bytes(blob));
    write_chosen("ways", "longer", SENT + PIECES + LONGER, buf_bytes(blob));
}

/* ---- what musterctl compares ---- */

#define B16 "bbbbbbbbbbbbbbbb"
#define C16 "cccccccccccccccc"
#define DOCUMENT(version)                                                                          \
    "{\"name\":\"aid.tsv\",\"kind\":\"table\",\"scope\":\"public\",\"device\":\"\",\"epoch\":1,"   \
    "\"version\":" version ",\"minimum_version\":1,\"length\":45,\"sha256\":\"" C16 C16 C16 C16    \
    "\",\"encodings\":[{\"coding\":\"zstd\",\"blob\":\"" B16 B16 B16 B16 "\",\"size\":%zu}]}"

static void add_part(struct buf *out, struct bytes part)
{
    must(memchr(part.data, 0x1e, part.length) == NULL, NULL); /* which separates them */
    must((out->length == 2 || buf_append(out, "\x1e", 1, NULL)) &&
             buf_append(out, part.data, part.length, NULL),
         NULL);
}

static void compare_seeds(const struct buf *blob)
{
    static const struct {
        const char *name;
        uint8_t call;
    } rows[] = {{"plan", 5}, {"plan_removal", 6}, {"diff", 7}, {"diff_json", 0x80 + 7}};
    static const char plan[] =
        "{\"devices\":[{\"id\":\"t-01\",\"online\":true,\"last_seen_ms\":5,\"from\":{\"epoch\":1,"
        "\"version\":1,\"mode\":\"observe\"},\"to\":{\"epoch\":1,\"version\":2,\"mode\":\"repair\"}"
        ",\"held_version\":1,\"changed\":true,\"bytes\":72,\"way\":\"delta\"},{\"id\":\"t-02\","
        "\"changed\":true,\"deletes\":true,\"refused\":{\"by\":\"terminal\",\"reason\":"
        "\"document_floor\",\"text\":\"below 3\"}}],\"dry_run\":true}";
    char documents[2048];
    int length = snprintf(documents, sizeof documents,
                          "{\"documents\":[" DOCUMENT("2") "," DOCUMENT("1") "]}", blob->length,
                          blob->length);
    must(length > 0 && (size_t)length < sizeof documents && sizeof text - 1 == 45, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const uint8_t head[] = {rows[i].call, 0};
        struct buf out = {0};
        must(buf_append(&out, head, sizeof head, NULL), NULL);
        add_part(&out, bytes_of(documents, (size_t)length));
        add_part(&out, buf_bytes(blob));
        add_part(&out, bytes_of(plan, sizeof plan - 1));
        write_seed("ctl", rows[i].name, buf_bytes(&out));
        buf_done(&out);
    }
    static const char tables[] = "\x0e\x01"
                                 "aid\tname\na1\tx\na2\ty\n\x1e"
                                 "aid\tname\na2\tz\na3\ty\n";
    static const char settings[] = "\x0e\x20"
                                   "[net]\napn = a\n; said\n\x1e[net]\napn = b\n[time]\nzone = c\n";
    write_seed("ctl", "two_tables", bytes_of(tables, sizeof tables - 1));
    write_seed("ctl", "two_settings", bytes_of(settings, sizeof settings - 1));
}

void ways_seeds(void)
{
    struct buf blob = {0};
    must(content_encode(bytes_of(text, sizeof text - 1), &blob, NULL), NULL);
    item_seeds();
    header_seeds();
    sent_seeds(&blob);
    compare_seeds(&blob);
    buf_done(&blob);
}
