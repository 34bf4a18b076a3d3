/* SPDX-License-Identifier: Apache-2.0 */
/* What only one device may read. The first byte chooses: sealed content as it is opened, a
 * certificate as it is sealed to, a wrapped key. */
#include "proto/sealed.h"

#include "fleet/sealing.h"
#include "proto/key_block.h"
#include "proto/refusal.h"
#include "tests/fuzz/world.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Published: the P-256 key of RFC 6979, A.2.5. Secret of nobody. */
static const char key_file[] = "-----BEGIN PRIVATE KEY-----\n"
                               "MEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCDJr6nYRbp1FmtcIVdn\n"
                               "sdaTTlDD2zbomxJ7imIrEg9nIQ==\n"
                               "-----END PRIVATE KEY-----\n";

static const struct sealing_key *the_key(void)
{
    static struct sealing_key *key;
    if (key == NULL) {
        const char *path = fuzz_file(bytes_of(key_file, sizeof key_file - 1));
        HOLDS(chmod(path, 0600) == 0);
        HOLDS(sealing_key_read(path, &key, NULL));
    }
    return key;
}

/* Nothing is given out but all of what was sealed, and it is shorter than that. */
static void try_open(struct bytes in)
{
    struct buf content = {0};
    struct buf again = {0};
    struct err err = {0};
    if (sealed_open(the_key(), in, &content, &err)) {
        HOLDS(content.length < in.length);
        HOLDS(sealed_open(the_key(), in, &again, NULL));
        HOLDS(bytes_equal(buf_bytes(&content), buf_bytes(&again)));
    } else {
        HOLDS(content.data == NULL && err.code == ERR_REFUSED);
        HOLDS(refusal_of(&err) == MUSTER__REFUSAL__REFUSAL_CONTENT_SEALED);
    }
    secret_done(&content);
    secret_done(&again);
}

/* What fits the device is sealed to; whatever the certificate, what comes out is no clear text. */
static void try_certificate(struct bytes in)
{
    static const char secret[] = "nobody may read this here";
    struct buf sealed = {0};
    struct err err = {0};
    bool fits = sealing_certificate_fits("t-01", in, &err);
    HOLDS(fits || err.code == ERR_INVALID || err.code == ERR_REFUSED);
    bool made = sealed_make(in, bytes_of(secret, sizeof secret - 1), &sealed, NULL);
    HOLDS(made || !fits);
    HOLDS(!made || memmem(sealed.data, sealed.length, secret, sizeof secret - 1) == NULL);
    buf_done(&sealed);
}

/* What its header says is as X9.143 writes it, and the wrapped key lies inside of the block. */
static void try_key_header(struct bytes in)
{
    struct key_block_header header;
    struct err err = {0};
    if (!key_block_read(in, &header, &err)) {
        HOLDS(err.code == ERR_INVALID && err.text[0] != '\0');
        return;
    }
    HOLDS(memchr("ABCD", header.version, 4) != NULL && strlen(header.usage) == 2);
    HOLDS(memchr("ENS", header.exportability, 3) != NULL && header.key_version <= 99);
    HOLDS(header.versioned == (header.key_version != 0));
    HOLDS(header.body_at >= 16 && header.body_at + 24 <= in.length);
    HOLDS(key_block_check(in, NULL));
}

static void try_key_block(struct bytes in)
{
    struct err err = {0};
    bool good = key_block_check(in, &err);
    try_key_header(in);
    HOLDS(good ? in.length >= 16 + 8 + 16 : err.code == ERR_INVALID && err.text[0] != '\0');
    if (good) /* one that is cut is none */
        HOLDS(!key_block_check(bytes_of(in.data, in.length / 2), NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    if (size == 0)
        return 0;
    switch (fuzz_byte(&in) % 3) {
    case 0:
        try_open(in);
        break;
    case 1:
        try_certificate(in);
        break;
    default:
        try_key_block(in);
        break;
    }
    return 0;
}
