/* SPDX-License-Identifier: Apache-2.0 */
/* Seeds of `decode`: messages as they are found on a disk or in a broker. The first byte says how
 * they are looked at: 0 found out, 192 found out with all keys. */
#include "proto/desired.pb-c.h"
#include "proto/hello.pb-c.h"
#include "proto/local.pb-c.h"
#include "tests/fuzz/seeds.h"
#include "tests/fuzz/world.h"

#include <string.h>

enum { FOUND_OUT = 0, WITH_KEYS = 192 };
#define DEVICE "t-01"

/* Another target's seed, without its own first byte or bytes. */
static void copy(const char *name, int how, const char *target, const char *seed, size_t skip)
{
    struct buf content = read_seed(target, seed);
    write_chosen("decode", name, how, bytes_of(content.data + skip, content.length - skip));
    buf_done(&content);
}

static void sealed(const char *domain, const char *target, const char *seed, size_t skip)
{
    struct buf content = read_seed(target, seed);
    struct buf envelope =
        fuzz_seal(domain, DEVICE, bytes_of(content.data + skip, content.length - skip));
    write_chosen("decode", domain, WITH_KEYS, buf_bytes(&envelope));
    buf_done(&envelope);
    buf_done(&content);
}

/* A welcome as the link hands it on: it holds a receipt, and a manifest that holds documents. */
static void welcome(void)
{
    char device[] = DEVICE, topic[] = "muster/v1/down/t-01/welcome";
    uint8_t nonce[16];
    struct buf receipt = read_seed("decode", "receipt"), manifest = read_seed("decode", "manifest");
    struct buf body = {0};
    Muster__Welcome message = MUSTER__WELCOME__INIT;
    Muster__LinkMessage link = MUSTER__LINK_MESSAGE__INIT;
    Muster__LinkUp up = MUSTER__LINK_UP__INIT;
    message.device = device;
    message.nonce = filled(nonce, sizeof nonce);
    message.wall_ms = 1790000000000;
    message.receipt = (ProtobufCBinaryData){receipt.length - 1, receipt.data + 1};
    message.manifest = (ProtobufCBinaryData){manifest.length - 1, manifest.data + 1};
    must(pack(&message.base, &body, NULL), NULL);
    struct buf envelope = fuzz_seal("welcome", DEVICE, buf_bytes(&body));
    link.topic = topic;
    link.payload = (ProtobufCBinaryData){envelope.length, envelope.data};
    up.what_case = MUSTER__LINK_UP__WHAT_MESSAGE;
    up.message = &link;
    write_message("decode", "welcome_on_the_link", WITH_KEYS, &up.base);
    buf_done(&envelope);
    buf_done(&body);
    buf_done(&receipt);
    buf_done(&manifest);
}

void decode_seeds(void)
{
    copy("root", WITH_KEYS, "trust_root", "root", 0);
    copy("body", FOUND_OUT, "sealed_body", "hello", 1);
    copy("request", FOUND_OUT, "local", "txn", 1);
    copy("frames", FOUND_OUT, "client", "full", 0);
    copy("blob", FOUND_OUT, "content", "right", 1);
    copy("chain", FOUND_OUT, "spool_bytes", "chain", 2);
    copy("bundle", WITH_KEYS, "bundle", "two_devices", 0);
    copy("rows", FOUND_OUT, "batch_decode", "event", 0);
    sealed("receipt", "receipt", "three_streams", 1);
    sealed("manifest", "manifest", "two_items", 1);
    sealed("hello", "sealed_body", "hello", 1);
    sealed("batch", "batch_decode", "health", 0);
    welcome();
}
