/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/attack/strike.h"

#include <string.h>

const char *attack_name(enum attack attack)
{
    static const char *const names[ATTACKS] = {
        "arbitrary",     "rollback",  "fast_forward",  "freeze",  "endless",
        "slow",          "mix",       "mixed_bundles", "partial", "extraneous",
        "wrong_install", "eavesdrop", "drop",          "mirror",  "keys"};
    return names[attack];
}

const char *stage_name(enum stage stage)
{
    static const char *const names[STAGES] = {
        "running", "idle", "manifest kept", "between blobs", "before the build", "switched"};
    return names[stage];
}

/* So long that a delta is worth it. */
#define SAME                                                                                       \
    ", and behind it what stays as it is: eleven ways to say no, twelve to say nothing, and not "  \
    "one that anybody would take for a yes\n"

/* Of each document, by the version of the document. */
static const char *const contents[DOCUMENTS_PUBLIC][4] = {
    {"aid\tscheme\nA0000003330101\tunionpay\n", "aid\tscheme\nA0000003330102\tunionpay\n", NULL,
     NULL},
    {"prefix\tissuer\n62\tone\n", "prefix\tissuer\n62\tone\n43\ttwo\n",
     "prefix\tissuer\n62\tone\n43\ttwo\n51\tthree\n", "prefix\tissuer\n62\tother\n"},
    {"the first that there is" SAME, "a second one, after it" SAME, "and a third, to end with" SAME,
     NULL},
    {"floor 500\n", "floor 200\n", NULL, NULL},
};

struct bytes document_content(size_t document, uint64_t version)
{
    const char *content = version <= 4 ? contents[document][version - 1] : NULL;
    return bytes_of(content, content != NULL ? strlen(content) : 0);
}

static uint64_t version_of(size_t document, uint64_t manifest)
{
    static const uint64_t versions[DOCUMENTS][4] = {{1, 1, 1, 2}, {1, 2, 3, 4}, {1, 1, 2, 3},
                                                    {1, 2, 2, 2}, {1, 1, 1, 1}, {1, 1, 1, 2}};
    size_t at = manifest >= VERSION_NEXT ? 3 : (size_t)(manifest - VERSION_OLD);
    return versions[document][at];
}

void public_document(size_t document, uint64_t version, struct document *ret_document)
{
    static const char *const names[] = {"aid.tsv", "bin.tsv", "extra.bin", "limits.bin"};
    bool table = document == DOCUMENT_AID || document == DOCUMENT_BIN;
    ret_document->name = names[document];
    ret_document->version = version;
    ret_document->kind =
        table ? MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE : MUSTER__DOCUMENT_KIND__DOCUMENT_FILE;
    ret_document->scope = MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC;
    ret_document->content = document_content(document, version);
    ret_document->minimum = document == DOCUMENT_BIN && version >= 2 ? 2 : 0;
    ret_document->irreversible = document == DOCUMENT_LIMITS && version >= 2;
}

static void sealed_document(const struct strike *strike, size_t document,
                            struct document *ret_document)
{
    const struct fleet_device *device = fleet_device(&strike->fleet, strike->device);
    size_t which = document == DOCUMENT_PIN ? SECRET_PIN : SECRET_WIFI;
    const struct secret *secret = &device->secrets[which][ret_document->version - 1];
    ret_document->name = document == DOCUMENT_PIN ? "pin.tr31" : "wifi.ini";
    ret_document->kind = document == DOCUMENT_PIN ? MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK
                                                  : MUSTER__DOCUMENT_KIND__DOCUMENT_PARAMS;
    ret_document->scope = MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED;
    ret_document->device = strike->device;
    ret_document->content = buf_bytes(&secret->plain);
    ret_document->sealed = buf_bytes(&secret->sealed);
}

void strike_draft(const struct strike *strike, uint64_t version, struct draft *ret_draft)
{
    *ret_draft = (struct draft){.device = strike->device,
                                .context = strike->device,
                                .epoch = strike->epoch,
                                .version = version,
                                .root_version = strike->root_version,
                                .count = DOCUMENTS};
    for (size_t i = 0; i < DOCUMENTS; i++) {
        struct item *item = &ret_draft->items[i];
        item->mode = MUSTER__ASSIGN_MODE__MODE_REPAIR;
        item->document.epoch = strike->epoch;
        item->document.version = version_of(i, version);
        if (i < DOCUMENTS_PUBLIC)
            public_document(i, version_of(i, version), &item->document);
        else
            sealed_document(strike, i, &item->document);
    }
}

Muster__Encoding *strike_encoding(struct strike *strike, Muster__ContentCoding coding)
{
    strike->draft.forged = true;
    muster__encoding__init(&strike->encoding);
    strike->encoding.coding = coding;
    strike->draft.items[DOCUMENT_EXTRA].encoding = &strike->encoding;
    return &strike->encoding;
}

ProtobufCBinaryData strike_publish(struct strike *strike, struct bytes blob)
{
    return (ProtobufCBinaryData){.len = 32,
                                 .data = (uint8_t *)(uintptr_t)blobs_add(&strike->blobs, blob)};
}

void strike_send_root(struct strike *strike)
{
    struct root_draft root;
    struct buf envelope = {0};
    struct err err = {0};
    fleet_root_draft(&strike->fleet, strike->root_version, strike->epoch, &root);
    /* The old keepers agree as well. */
    root.signers[root.signer_count++] = KEY_ROOT_1;
    root.signers[root.signer_count++] = KEY_ROOT_2;
    fleet_root(&strike->fleet, &root, &envelope);
    must(terminal_root(&strike->terminal, buf_bytes(&envelope), &err), "the next root", &err);
    terminal_settle(&strike->terminal);
    buf_done(&envelope);
}

void strike_rotate(struct strike *strike, bool epoch)
{
    strike->fleet.changed = true;
    strike->epoch += epoch ? 1 : 0;
    strike->root_version++;
    strike_send_root(strike);
}
