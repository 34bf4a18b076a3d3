/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/keyloader.h"

#include "agent/keytoken.h"
#include "agent/tr31.h"
#include "base/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK_BYTES = 16 * 1024 };

/* All that is secret while a key is loaded: on pages that are neither swapped nor dumped. */
struct secrets {
    struct tr31_keys keys;
    struct tr31_plain plain;
    size_t block_length;
    uint8_t block[BLOCK_BYTES];
};

/* ---- names ---- */

static bool list_has(const char *list, const char *name)
{
    for (const char *at = list; *at != '\0';) {
        at += strspn(at, ", ");
        size_t length = strcspn(at, ", ");
        if (length > 0 && strlen(name) == length && memcmp(at, name, length) == 0)
            return true;
        at += length;
    }
    return false;
}

static bool open_token(const struct keyloader_settings *settings, struct keytoken *token,
                       struct err *err)
{
    return keytoken_open(token, settings->module, settings->label, settings->pin_file, err);
}

/* ---- inventory ---- */

static bool same_key(const struct key_held *a, const struct key_held *b)
{
    return a->kcv_length > 0 && a->kcv_length == b->kcv_length &&
           memcmp(a->kcv, b->kcv, a->kcv_length) == 0 && a->kcv_method == b->kcv_method &&
           a->key_version == b->key_version && strcmp(a->usage, b->usage) == 0 &&
           a->algorithm == b->algorithm && a->mode == b->mode;
}

/* Two keys in a slot, which a power cut may leave: which one counts is not said, so it is placed
 * again. The same key twice is that key. */
static bool list_add(struct key_inventory *list, const struct key_held *held, struct err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        struct key_held *before = &list->slots[i];
        if (strcmp(before->slot, held->slot) != 0)
            continue;
        if (same_key(before, held))
            return true;
        before->kcv_length = 0;
        if (held->key_version < before->key_version)
            before->key_version = held->key_version;
        return true;
    }
    if (list->count == KEYS_SLOTS)
        return err_set(err, ERR_FULL, "the token has keys in more than %d slots", KEYS_SLOTS);
    list->slots[list->count++] = *held;
    return true;
}

static void say_slot(FILE *out, const struct key_held *held)
{
    char kcv[2 * KEY_KCV_BYTES + 1];
    fprintf(out, "slot %s%s", held->slot, held->own ? " own" : "");
    if (!held->own)
        fprintf(out, " usage %s algorithm %c mode %c version %u", held->usage, held->algorithm,
                held->mode, held->key_version);
    if (held->kcv_length > 0) {
        hex_encode(held->kcv, held->kcv_length, kcv);
        fprintf(out, " kcv %s:%s", key_kcv_word(held->kcv_method), kcv);
    }
    fputc('\n', out);
}

static bool list_fill(struct keytoken *token, const struct keyloader_settings *settings,
                      struct key_inventory *list, struct err *err)
{
    struct keytoken_found found;
    if (!keytoken_find(token, NULL, &found, err))
        return false;
    for (size_t i = 0; i < found.count; i++) {
        struct key_held held;
        bool placed = false;
        if (!keytoken_describe(token, found.objects[i], &held, &placed, err))
            return false;
        held.own = !placed && list_has(settings->own, held.slot);
        if ((placed || held.own) && strcmp(held.slot, settings->protection) != 0 &&
            !list_add(list, &held, err))
            return false;
    }
    return true;
}

bool keyloader_inventory(const struct keyloader_settings *settings, FILE *out, struct err *err)
{
    struct keytoken token;
    struct key_inventory list = {0};
    if (!open_token(settings, &token, err))
        return false;
    bool ok = list_fill(&token, settings, &list, err);
    keytoken_close(&token);
    for (size_t i = 0; ok && i < list.count; i++)
        say_slot(out, &list.slots[i]);
    if (ok)
        fputs("end\n", out);
    return ok;
}

/* ---- load ---- */

static bool read_block(int in, struct secrets *secrets, struct err *err)
{
    while (secrets->block_length < sizeof secrets->block) {
        ssize_t n = read(in, secrets->block + secrets->block_length,
                         sizeof secrets->block - secrets->block_length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "the block cannot be read from stdin");
        if (n == 0)
            break;
        secrets->block_length += (size_t)n;
    }
    while (secrets->block_length > 0 && (secrets->block[secrets->block_length - 1] == '\n' ||
                                         secrets->block[secrets->block_length - 1] == '\r'))
        secrets->block_length--;
    return true;
}

/* "aes-cmac:08793E" from the agent; by hand, by the algorithm and without a value. */
static bool expect_kcv(struct key_placement *facts, struct err *err)
{
    const char *given = getenv("MUSTER_KEY_KCV");
    char word[16] = "";
    if (given == NULL) {
        facts->kcv_method = facts->algorithm == 'A' ? MUSTER__KCV_METHOD__KCV_AES_CMAC
                                                    : MUSTER__KCV_METHOD__KCV_TDES_ECB;
        return true;
    }
    const char *colon = strchr(given, ':');
    if (colon != NULL)
        (void)snprintf(word, sizeof word, "%.*s", (int)(colon - given), given);
    facts->kcv_length = colon != NULL ? strlen(colon + 1) / 2 : 0;
    return (colon != NULL && facts->kcv_length <= sizeof facts->kcv &&
            key_kcv_method(word, &facts->kcv_method) &&
            hex_decode(colon + 1, strlen(colon + 1), facts->kcv, facts->kcv_length) &&
            key_kcv_fits(facts, err)) ||
           err_set(err, ERR_REFUSED, "MUSTER_KEY_KCV is not of the form METHOD:HEX of this key");
}

static bool expect(const char *variable, const char *said, struct err *err)
{
    const char *given = getenv(variable);
    return given == NULL || strcmp(given, said) == 0 ||
           err_set(err, ERR_REFUSED, "the block's header says otherwise than %s", variable);
}

static bool facts_of(const struct secrets *secrets, struct key_placement *facts, struct err *err)
{
    struct key_block_header header = {0};
    char algorithm[2] = "", mode[2] = "", version[4] = "";
    if (!key_block_read(bytes_of(secrets->block, secrets->block_length), &header, err))
        return false;
    *facts = (struct key_placement){
        .algorithm = header.algorithm, .mode = header.mode, .key_version = header.key_version};
    memcpy(facts->usage, header.usage, sizeof facts->usage);
    algorithm[0] = header.algorithm;
    mode[0] = header.mode;
    (void)snprintf(version, sizeof version, "%u", header.key_version);
    if (header.algorithm != 'T' && header.algorithm != 'A')
        return err_set(err, ERR_REFUSED, "keys of algorithm %c are not placed here", *algorithm);
    if (strchr("BCDEGNVX", header.mode) == NULL) /* S, T, Y: of pairs, and for variants */
        return err_set(err, ERR_REFUSED, "keys of mode of use %c are not placed here", *mode);
    return expect("MUSTER_KEY_USAGE", header.usage, err) &&
           expect("MUSTER_KEY_ALGORITHM", algorithm, err) && expect("MUSTER_KEY_MODE", mode, err) &&
           expect("MUSTER_KEY_VERSION", version, err) && expect_kcv(facts, err);
}

struct loading {
    const struct keyloader_settings *settings;
    struct keytoken token;
    struct keytoken_order order;
    struct secrets *secrets;
    CK_OBJECT_HANDLE protection;
    CK_MECHANISM_TYPE mechanism; /* 0: unwrapped here */
};

static bool by_token(void *ctx, struct bytes input, uint8_t ret_mac[16], struct err *err)
{
    struct loading *loading = ctx;
    return keytoken_cmac(&loading->token, loading->protection, loading->secrets->keys.version,
                         input, ret_mac, err);
}

/* The clear key is on the locked pages only, and only between here and the token. */
static bool unwrap_here(struct loading *loading, struct err *err)
{
    struct secrets *secrets = loading->secrets;
    const char version = (char)secrets->block[0];
    size_t length = 0;
    return keytoken_protection(&loading->token, loading->settings->protection, version,
                               &loading->protection, &length, err) &&
           tr31_derive(version, length, (struct tr31_cmac){by_token, loading}, &secrets->keys,
                       err) &&
           tr31_unwrap(bytes_of(secrets->block, secrets->block_length), &secrets->keys,
                       &secrets->plain, err);
}

static bool prepare(struct loading *loading, struct err *err)
{
    struct keytoken_found found;
    loading->mechanism = strtoul(loading->settings->mechanism, NULL, 0);
    if (loading->mechanism == 0) {
        const char version = (char)loading->secrets->block[0];
        if (version != 'B' && version != 'D')
            return tr31_derive(version, 0, (struct tr31_cmac){0}, &loading->secrets->keys, err);
        return unwrap_here(loading, err);
    }
    if (!keytoken_find(&loading->token, loading->settings->protection, &found, err))
        return false;
    if (found.count != 1)
        return err_set(err, ERR_UNAVAILABLE,
                       "the token has %zu protection keys of that label, and exactly one is needed",
                       found.count);
    loading->protection = found.objects[0];
    return true;
}

static bool make(struct loading *loading, bool lasting, CK_OBJECT_HANDLE *ret_key, struct err *err)
{
    const struct secrets *secrets = loading->secrets;
    if (loading->mechanism == 0)
        return keytoken_create(&loading->token, &loading->order,
                               bytes_of(secrets->plain.key, secrets->plain.length), lasting,
                               ret_key, err);
    return keytoken_unwrap(&loading->token, &loading->order, loading->mechanism,
                           loading->protection, bytes_of(secrets->block, secrets->block_length),
                           lasting, ret_key, err);
}

/* First as a key that is gone with the session, so that a wrong one replaces nothing. */
static bool try_key(struct loading *loading, uint8_t kcv[KEY_KCV_BYTES], size_t *length,
                    struct err *err)
{
    const struct key_placement *facts = &loading->order.facts;
    CK_OBJECT_HANDLE key = 0;
    if (!make(loading, false, &key, err))
        return false;
    bool ok = keytoken_kcv(&loading->token, key, facts->kcv_method, kcv, length, err);
    ok = keytoken_destroy(&loading->token, key, ok ? err : NULL) && ok;
    return ok && (facts->kcv_length == 0 ||
                  key_kcv_equal(facts, facts->kcv_method, bytes_of(kcv, *length)) ||
                  err_set(err, ERR_REFUSED,
                          "the block holds a key of another check value than was signed"));
}

static bool check_there(struct loading *loading, const struct keytoken_found *there,
                        struct err *err)
{
    for (size_t i = 0; i < there->count; i++) {
        struct key_held held;
        bool placed = false;
        if (!keytoken_describe(&loading->token, there->objects[i], &held, &placed, err))
            return false;
        if (!placed)
            return err_set(err, ERR_REFUSED,
                           "the token has a key of that name which the fleet did not place");
        if (held.key_version > loading->order.facts.key_version)
            return err_set(err, ERR_REFUSED, "the slot holds key version %u, above %u",
                           held.key_version, loading->order.facts.key_version);
    }
    return true;
}

/* The new one is there before the old one goes: a power cut leaves one of them, or both. */
static bool replace(struct loading *loading, FILE *out, struct err *err)
{
    struct keytoken_found there;
    uint8_t kcv[KEY_KCV_BYTES];
    char hex[2 * KEY_KCV_BYTES + 1];
    size_t length = 0;
    CK_OBJECT_HANDLE key = 0;
    if (!keytoken_find(&loading->token, loading->order.slot, &there, err) ||
        !check_there(loading, &there, err) || !try_key(loading, kcv, &length, err) ||
        !make(loading, true, &key, err))
        return false;
    for (size_t i = 0; i < there.count; i++)
        if (!keytoken_destroy(&loading->token, there.objects[i], err))
            return false;
    hex_encode(kcv, length, hex);
    fprintf(out, "kcv %s:%s\nversion %u\n", key_kcv_word(loading->order.facts.kcv_method), hex,
            loading->order.facts.key_version);
    return true;
}

static bool check_slot(const struct keyloader_settings *settings, const char *slot, struct err *err)
{
    if (!key_slot_valid(slot))
        return err_set(err, ERR_REFUSED, "a slot is of [a-z0-9-]{1,16}");
    return (strcmp(slot, settings->protection) != 0 && !list_has(settings->own, slot)) ||
           err_set(err, ERR_REFUSED, "slot %s is not the fleet's to fill", slot);
}

bool keyloader_load(const struct keyloader_settings *settings, const char *slot, int in, FILE *out,
                    struct err *err)
{
    struct loading loading = {.settings = settings, .order = {.slot = slot}};
    void *pages = NULL;
    if (!check_slot(settings, slot, err) ||
        !private_pages(sizeof *loading.secrets, true, &pages, err))
        return false;
    loading.secrets = pages;
    bool ok = read_block(in, loading.secrets, err) &&
              facts_of(loading.secrets, &loading.order.facts, err);
    if (ok && open_token(settings, &loading.token, err)) {
        ok = prepare(&loading, err) && replace(&loading, out, err);
        keytoken_close(&loading.token);
    } else {
        ok = false;
    }
    private_done(pages, sizeof *loading.secrets);
    return ok;
}
