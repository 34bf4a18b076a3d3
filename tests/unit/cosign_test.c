/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes that several people sign, one after the other, and keys that are kept elsewhere. */
#include "proto/envelope.h"
#include "proto/envelope.pb-c.h"
#include "proto/seal.h"
#include "proto/unpack.h"

#include "base/file.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 3 };
static char folder[64];
static struct sign_key *keys[KEYS];
static struct verify_key *publics[KEYS];

static int set_up(void **state)
{
    (void)state;
    const char *temporary = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/cosign_test.XXXXXX", temporary ? temporary : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    for (size_t i = 0; i < KEYS; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%zu.pem", folder, i);
        if (!sign_key_make(path, &keys[i], NULL) ||
            !verify_key_of_spki(sign_key_spki(keys[i]), &publics[i], NULL))
            return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < KEYS; i++) {
        sign_key_free(keys[i]);
        verify_key_free(publics[i]);
    }
    return file_remove_tree(folder, NULL) ? 0 : -1;
}

static void draft(const char *body, struct buf *out)
{
    Muster__Envelope envelope = MUSTER__ENVELOPE__INIT;
    envelope.body = (ProtobufCBinaryData){strlen(body), (uint8_t *)(uintptr_t)body};
    buf_clear(out);
    assert_true(pack(&envelope.base, out, NULL));
}

static void add(struct buf *sealed, size_t key)
{
    struct buf more = {0};
    const struct sign_key *by[] = {keys[key]};
    struct err err = {0};
    if (!seal_add("root", "", buf_bytes(sealed), by, 1, &more, &err))
        fail_msg("%s", err.text);
    buf_done(sealed);
    *sealed = more;
}

static bool opens(const struct buf *sealed, size_t threshold)
{
    struct key_set set = {publics, KEYS, threshold};
    struct bytes body;
    return unseal("root", "", buf_bytes(sealed), &set, &body, NULL);
}

static size_t signatures(const struct buf *sealed)
{
    struct envelope envelope;
    assert_true(envelope_read_any(buf_bytes(sealed), &envelope, NULL));
    return envelope.signature_count;
}

static void one_signs_after_the_other(void **state)
{
    (void)state;
    struct buf sealed = {0};
    struct envelope envelope;
    draft("a root", &sealed);
    assert_false(envelope_read(buf_bytes(&sealed), &envelope, NULL));
    assert_false(opens(&sealed, 1));
    for (size_t i = 0; i < KEYS; i++) {
        assert_false(sealed_by("root", "", buf_bytes(&sealed), publics[i]));
        add(&sealed, i);
        assert_true(sealed_by("root", "", buf_bytes(&sealed), publics[i]));
        assert_false(sealed_by("root", "other", buf_bytes(&sealed), publics[i]));
        assert_false(sealed_by("document", "", buf_bytes(&sealed), publics[i]));
        assert_true(opens(&sealed, i + 1));
        assert_false(opens(&sealed, i + 2));
    }
    add(&sealed, 1);
    assert_int_equal(signatures(&sealed), KEYS);
    assert_true(opens(&sealed, KEYS));
    buf_done(&sealed);
}

static void a_bad_signature_is_made_anew(void **state)
{
    (void)state;
    struct buf sealed = {0}, again = {0};
    struct envelope envelope;
    draft("a root", &sealed);
    add(&sealed, 0);
    add(&sealed, 1);
    assert_true(buf_append(&again, sealed.data, sealed.length, NULL));
    assert_true(envelope_read(buf_bytes(&sealed), &envelope, NULL));
    sealed.data[envelope.signatures[0].signature.data - sealed.data] ^= 1;
    assert_false(sealed_by("root", "", buf_bytes(&sealed), publics[0]));
    assert_false(opens(&sealed, 2));
    add(&sealed, 0);
    assert_true(opens(&sealed, 2));
    assert_int_equal(sealed.length, again.length);
    buf_done(&again);
    buf_done(&sealed);
}

static void an_envelope_has_so_many_signatures_and_no_more(void **state)
{
    (void)state;
    struct buf sealed = {0}, more = {0};
    const struct sign_key *many[ENVELOPE_SIGNATURES + 1];
    for (size_t i = 0; i < ENVELOPE_SIGNATURES + 1; i++)
        many[i] = keys[0];
    draft("a root", &sealed);
    assert_true(seal_add("root", "", buf_bytes(&sealed), many, ENVELOPE_SIGNATURES, &more, NULL));
    buf_clear(&more);
    assert_false(
        seal_add("root", "", buf_bytes(&sealed), many, ENVELOPE_SIGNATURES + 1, &more, NULL));
    assert_false(seal_add("root", "", bytes_of("no envelope", 11), many, 1, &more, NULL));
    draft("", &sealed);
    assert_false(seal_add("root", "", buf_bytes(&sealed), many, 1, &more, NULL));
    buf_done(&more);
    buf_done(&sealed);
}

/* ---- keys elsewhere ---- */

struct elsewhere {
    const struct sign_key *has; /* the private half that it really holds */
    size_t asked, closed;
    bool locked;
};

static bool sign_there(void *ctx, struct bytes text, uint8_t ret_signature[64], struct err *err)
{
    struct elsewhere *there = ctx;
    struct buf sealed = {0};
    struct envelope envelope;
    there->asked++;
    if (there->locked)
        return err_set(err, ERR_REFUSED, "locked");
    /* The covered bytes are "muster/v1/DOMAIN\0CONTEXT\0BODY": taken apart, to sign them again. */
    const char *domain = (const char *)text.data + strlen("muster/v1/");
    const char *context = domain + strlen(domain) + 1;
    const char *body = context + strlen(context) + 1;
    size_t length = text.length - (size_t)(body - (const char *)text.data);
    const struct sign_key *by[] = {there->has};
    assert_true(seal(domain, context, bytes_of(body, length), by, 1, true, &sealed, NULL));
    assert_true(envelope_read(buf_bytes(&sealed), &envelope, NULL));
    memcpy(ret_signature, envelope.signatures[0].signature.data, 64);
    buf_done(&sealed);
    return true;
}

static void close_there(void *ctx)
{
    ((struct elsewhere *)ctx)->closed++;
}

static void a_key_elsewhere_signs_what_its_public_half_says(void **state)
{
    (void)state;
    struct elsewhere there = {.has = keys[0]};
    struct signer signer = {.sign = sign_there, .close = close_there, .ctx = &there};
    struct sign_key *key = NULL;
    struct buf sealed = {0}, straight = {0};
    struct err err = {0};
    const struct sign_key *here[] = {keys[0]};
    assert_true(sign_key_of_signer(sign_key_spki(keys[0]), signer, &key, NULL));
    const struct sign_key *by[] = {key};
    assert_true(seal("root", "c", bytes_of("body", 4), by, 1, true, &sealed, NULL));
    assert_true(seal("root", "c", bytes_of("body", 4), here, 1, true, &straight, NULL));
    assert_true(bytes_equal(buf_bytes(&sealed), buf_bytes(&straight)));
    there.locked = true;
    assert_false(seal("root", "", bytes_of("body", 4), by, 1, true, &sealed, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    there.locked = false;
    there.has = keys[1];
    assert_false(seal("root", "", bytes_of("body", 4), by, 1, true, &sealed, &err));
    assert_non_null(strstr(err.text, "does not fit the public key"));
    assert_int_equal(there.asked, 3);
    sign_key_free(key);
    assert_int_equal(there.closed, 1);
    assert_false(sign_key_of_signer(bytes_of("no key", 6), signer, &key, NULL));
    assert_int_equal(there.closed, 1);
    buf_done(&straight);
    buf_done(&sealed);
}

static void a_public_half_goes_to_a_file_and_back(void **state)
{
    (void)state;
    char path[128];
    struct buf pem = {0};
    struct verify_key *key = NULL;
    struct sign_key *private = NULL;
    (void)snprintf(path, sizeof path, "%s/public", folder);
    assert_true(verify_key_pem(publics[0], &pem, NULL));
    assert_true(file_write(path, buf_bytes(&pem), 0600, NULL));
    assert_true(verify_key_read(path, &key, NULL));
    assert_true(bytes_equal(verify_key_spki(key), verify_key_spki(publics[0])));
    assert_false(sign_key_read(path, &private, NULL));
    verify_key_free(key);
    buf_done(&pem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_signs_after_the_other),
        cmocka_unit_test(a_bad_signature_is_made_anew),
        cmocka_unit_test(an_envelope_has_so_many_signatures_and_no_more),
        cmocka_unit_test(a_key_elsewhere_signs_what_its_public_half_says),
        cmocka_unit_test(a_public_half_goes_to_a_file_and_back),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
