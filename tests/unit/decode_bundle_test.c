/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/decode.h"

#include "proto/bundle.h"
#include "proto/unpack.h"
#include "tests/unit/temp_roots.h"
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

/* Each is kept by the key that its number names, and has a director of its own. */
static const struct temp_root chain[] = {
    {.version = 1, .root_keys = "0", .signers = "0"},
    {.version = 2, .root_keys = "1", .signers = "01", .director = 1},
    {.version = 3, .root_keys = "2", .signers = "12", .director = 2},
};
enum { CHAIN = sizeof chain / sizeof *chain };

struct bundle {
    char *data;
    size_t length;
    struct bundle_writer writer;
};

static void begin(struct bundle *bundle)
{
    FILE *file = open_memstream(&bundle->data, &bundle->length);
    assert_non_null(file);
    assert_true(bundle_begin(&bundle->writer, file, 1795351139123, NULL));
}

static void add(struct bundle *bundle, enum bundle_what what, const char *device,
                struct bytes content)
{
    const struct bundle_part part = {.what = what, .device = device, .content = content};
    assert_true(bundle_add(&bundle->writer, &part, NULL));
}

static void add_root(struct bundle *bundle, const struct temp_roots *keys,
                     const struct temp_root *root)
{
    struct buf envelope = {0};
    temp_root_seal(keys, root, &envelope);
    add(bundle, BUNDLE_ROOT, "", buf_bytes(&envelope));
    buf_done(&envelope);
}

static void add_manifest(struct bundle *bundle, const struct temp_roots *keys, const char *device,
                         int director)
{
    Muster__Manifest manifest = MUSTER__MANIFEST__INIT;
    struct buf body = {0}, envelope = {0};
    const struct sign_key *key = keys->keys[MUSTER__ROLE__ROLE_DIRECTOR][director];
    manifest.device = (char *)(uintptr_t)device;
    manifest.version = 7;
    assert_true(pack(&manifest.base, &body, NULL));
    assert_true(seal("manifest", device, buf_bytes(&body), &key, 1, true, &envelope, NULL));
    add(bundle, BUNDLE_MANIFEST, device, buf_bytes(&envelope));
    buf_done(&body);
    buf_done(&envelope);
}

static void end(struct bundle *bundle)
{
    assert_true(bundle_finish(&bundle->writer, NULL));
    assert_int_equal(fclose(bundle->writer.file), 0);
}

/* The whole chain, two devices, of which one has a manifest by a director before, and two blobs. */
static struct bundle usual(const struct temp_roots *keys)
{
    struct bundle bundle = {0};
    begin(&bundle);
    for (size_t i = 0; i < CHAIN; i++)
        add_root(&bundle, keys, &chain[i]);
    add_manifest(&bundle, keys, "t-01", 2);
    add_manifest(&bundle, keys, "t-02", 1);
    add(&bundle, BUNDLE_BLOB, "", bytes_of("first", 5));
    add(&bundle, BUNDLE_BLOB, "", bytes_of("second", 6));
    end(&bundle);
    return bundle;
}

static struct decoded decode(const struct bundle *bundle, const struct trust *trust)
{
    const struct decode_options options = {.trust = trust};
    struct decoded decoded = {0};
    struct buf tried = {0};
    struct err err = {0};
    if (!decode_bytes(bytes_of(bundle->data, bundle->length), &options, &decoded, &tried, &err))
        fail_msg("%s", err.text);
    buf_done(&tried);
    assert_string_equal(json_string_value(json_object_get(decoded.root, "what")), "bundle");
    return decoded;
}

static const json_t *part_of(const struct decoded *decoded, const char *list, size_t n)
{
    const json_t *part = json_array_get(json_object_get(decoded->root, list), n);
    assert_non_null(part);
    const json_t *manifest = json_object_get(part, "manifest");
    return manifest != NULL ? manifest : part;
}

/* That the signature of the n-th of a list is told to be so. */
static void assert_told(const struct decoded *decoded, const char *list, size_t n, const char *told)
{
    const char *text = json_string_value(json_object_get(part_of(decoded, list, n), "signature"));
    assert_non_null(text);
    if (strncmp(text, told, strlen(told)) != 0)
        fail_msg("%s %zu: %s", list, n, text);
}

static void a_bundle_is_shown_part_by_part(void **state)
{
    struct bundle bundle = usual(*state);
    struct decoded decoded = decode(&bundle, NULL);
    const json_t *root = decoded.root;
    assert_int_equal(json_integer_value(json_object_get(root, "bytes")), bundle.length);
    assert_string_equal(json_string_value(json_object_get(root, "made_ms_iso")),
                        "2026-11-22T12:38:59.123Z");
    assert_int_equal(json_array_size(json_object_get(root, "roots")), CHAIN);
    assert_int_equal(json_array_size(json_object_get(root, "manifests")), 2);
    assert_told(&decoded, "roots", 1, "not checked: give the trust root");
    assert_told(&decoded, "manifests", 0, "not checked: give the trust root");
    const json_t *body = json_object_get(part_of(&decoded, "manifests", 0), "body");
    assert_int_equal(json_integer_value(json_object_get(body, "version")), 7);
    const json_t *blob = part_of(&decoded, "blobs", 1);
    assert_int_equal(json_integer_value(json_object_get(blob, "bytes")), 6);
    assert_string_equal(json_string_value(json_object_get(blob, "sha256")),
                        "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4");
    assert_false(decoded.refused);
    json_decref(decoded.root);
    free(bundle.data);
}

/* As a terminal would that knows the root given: along the chain, to the director of its end. */
static void its_chain_of_roots_is_followed(void **state)
{
    const struct temp_roots *keys = *state;
    struct bundle bundle = usual(keys);
    for (size_t known = 0; known < CHAIN; known++) {
        struct trust *trust = temp_root_trust(keys, &chain[known]);
        struct decoded decoded = decode(&bundle, trust);
        for (size_t i = 0; i < CHAIN; i++)
            assert_told(&decoded, "roots", i, i < known ? "not checked: older" : "good");
        assert_told(&decoded, "manifests", 0, "good");
        assert_told(&decoded, "manifests", 1, "BAD: ");
        assert_true(decoded.refused);
        assert_int_equal(trust_version(trust), chain[known].version);
        json_decref(decoded.root);
        trust_free(trust);
    }
    free(bundle.data);
}

static void a_root_that_does_not_follow_is_told(void **state)
{
    const struct temp_roots *keys = *state;
    const struct temp_root stolen = {.version = 2, .root_keys = "3", .signers = "3", .director = 3};
    struct bundle bundle = {0};
    struct trust *trust = temp_root_trust(keys, &chain[0]);
    begin(&bundle);
    add_root(&bundle, keys, &chain[0]);
    add_root(&bundle, keys, &stolen);
    add_manifest(&bundle, keys, "t-01", 3);
    end(&bundle);
    struct decoded decoded = decode(&bundle, trust);
    assert_told(&decoded, "roots", 0, "good");
    assert_told(&decoded, "roots", 1, "BAD: ");
    assert_told(&decoded, "manifests", 0, "BAD: ");
    assert_true(decoded.refused);
    json_decref(decoded.root);
    trust_free(trust);
    free(bundle.data);
}

static void what_is_no_message_is_said_in_its_place(void **state)
{
    struct bundle bundle = {0};
    begin(&bundle);
    add_root(&bundle, *state, &chain[0]);
    add(&bundle, BUNDLE_MANIFEST, "t-01", bytes_of("\xff\xff", 2));
    add(&bundle, BUNDLE_BLOB, "", bytes_of("first", 5));
    end(&bundle);
    struct decoded decoded = decode(&bundle, NULL);
    assert_non_null(json_object_get(part_of(&decoded, "manifests", 0), "undecodable"));
    assert_non_null(part_of(&decoded, "blobs", 0));
    json_decref(decoded.root);
    free(bundle.data);
}

static void a_damaged_bundle_says_where(void **state)
{
    struct bundle bundle = usual(*state);
    const struct decode_options none = {0}, told = {.as = "bundle"};
    const struct {
        struct bytes in;
        const struct decode_options *options;
        const char *text;
    } rows[] = {{bytes_of(bundle.data, bundle.length - 3), &none, "copy it again"},
                {bytes_of(bundle.data, 40), &none, "copy it again"},
                {bytes_of("hello", 5), &told, "it is not a bundle"},
                {bytes_of("\x13\x0a\x11\x0a\x0fmuster-bundle/9", 20), &none, "its format is"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct decoded decoded = {0};
        struct buf tried = {0};
        struct err err = {0};
        assert_false(decode_bytes(rows[i].in, rows[i].options, &decoded, &tried, &err));
        assert_int_equal(err.code, ERR_INVALID);
        if (strstr(err.text, rows[i].text) == NULL)
            fail_msg("row %zu: %s", i, err.text);
        assert_null(decoded.root);
        buf_done(&tried);
    }
    free(bundle.data);
}

static void a_file_need_not_fit_in_memory(void **state)
{
    struct bundle bundle = usual(*state);
    const struct decode_options none = {0};
    struct decoded whole = decode(&bundle, NULL), parts = {0};
    FILE *file = fmemopen(bundle.data, bundle.length, "rb");
    assert_non_null(file);
    assert_true(decode_bundle_file(file, &none, &parts, NULL));
    assert_true(json_equal(whole.root, parts.root));
    (void)fclose(file);
    json_decref(whole.root);
    json_decref(parts.root);
    free(bundle.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bundle_is_shown_part_by_part),
        cmocka_unit_test(its_chain_of_roots_is_followed),
        cmocka_unit_test(a_root_that_does_not_follow_is_told),
        cmocka_unit_test(what_is_no_message_is_said_in_its_place),
        cmocka_unit_test(a_damaged_bundle_says_where),
        cmocka_unit_test(a_file_need_not_fit_in_memory),
    };
    return cmocka_run_group_tests(tests, temp_roots_open, temp_roots_close);
}
