/* SPDX-License-Identifier: Apache-2.0 */
/* A key block on its way from the sealed document to the loader: the one place where it is open. */
#include "agent/keyring_internal.h"
#include "base/log.h"
#include "base/private.h"
#include "proto/limits.h"
#include "proto/refusal.h"
#include "proto/sealed.h"

#include <stdio.h>
#include <string.h>

enum { FACTS = 5, FACT_BYTES = 48 };

/* Pages of their own, and nothing of the block anywhere else. */
struct block {
    void *pages;
    size_t length;
};

static void block_done(struct block *block)
{
    private_done(block->pages, CHILD_INPUT_BYTES);
    *block = (struct block){0};
}

static bool open_sealed(const struct keyring *keyring, struct bytes sealed, struct block *block,
                        struct err *err)
{
    struct sealing_key *key = NULL;
    struct buf content = {0};
    if (!sealing_key_read(keyring->sealing_key, &key, err)) {
        if (err->code != ERR_NO_MEMORY)
            err->code = ERR_UNAVAILABLE; /* says nothing of the block: tried again */
        return err_context(err, "the key that opens what is sealed cannot be used");
    }
    bool ok = sealed_open(key, sealed, &content, err);
    sealing_key_free(key);
    if (ok && content.length > CHILD_INPUT_BYTES)
        ok = refuse(err, MUSTER__REFUSAL__REFUSAL_CONTENT_CHECK, ERR_REFUSED,
                    "a key block of %zu bytes", content.length);
    ok = ok && private_pages(CHILD_INPUT_BYTES, false, &block->pages, err);
    if (ok) {
        memcpy(block->pages, content.data, content.length);
        block->length = content.length;
    }
    secret_done(&content);
    return ok;
}

/* What the header of the block says is what its custodian signed. */
static bool open_block(const struct keyring *keyring, const struct key_wanted *wanted,
                       struct block *block, struct err *err)
{
    struct buf sealed = {.limit = LIMIT_SEALED_BYTES};
    struct key_block_header header = {0};
    bool ok = keyring->events.document(keyring->ctx, wanted->name, &sealed, err) &&
              open_sealed(keyring, buf_bytes(&sealed), block, err);
    buf_done(&sealed);
    ok = ok && (key_block_read(bytes_of(block->pages, block->length), &header, err) ||
                refuse_as(err, MUSTER__REFUSAL__REFUSAL_CONTENT_CHECK));
    return ok && key_placement_check(&wanted->placement, &header, err);
}

static void take_answer(struct keyring *keyring, const struct key_wanted *wanted,
                        const struct child_result *result)
{
    struct key_loaded loaded;
    struct err err = {0};
    char why[KEYS_WHY_CHARS + 1];
    keys_say_why(result->output, why);
    if (result->exit_status == KEYS_EXIT_REFUSED && !result->timed_out) {
        keyring_refused(keyring, wanted, MUSTER__REFUSAL__REFUSAL_KEY_LOADER,
                        why[0] != '\0' ? why : "the loader said no and gave no reason");
    } else if (result->timed_out || result->exit_status != 0 || result->truncated) {
        keyring_hindered(keyring, wanted, "the key loader",
                         result->timed_out   ? "it did not end in time and was killed"
                         : result->truncated ? "it says more than is read"
                         : why[0] != '\0'    ? why
                                             : "it could not load the key and gave no reason");
    } else if (!keys_say_loaded(result->output, &loaded, &err) || !loaded.has_kcv) {
        keyring_refused(keyring, wanted, MUSTER__REFUSAL__REFUSAL_KEY_KCV,
                        "the loader gave no key check value");
    } else if (!key_kcv_equal(&wanted->placement, loaded.key.kcv_method,
                              bytes_of(loaded.key.kcv, loaded.key.kcv_length))) {
        keyring_refused(keyring, wanted, MUSTER__REFUSAL__REFUSAL_KEY_KCV,
                        "the loader answered another check value than was signed: a person should "
                        "look at this slot");
    } else {
        keyring->placing = *wanted; /* the next inventory confirms it */
    }
}

/* Whatever was said, the slots are asked what is in them now, and then the next one has its turn.
 */
static void on_loaded(void *ctx, const struct child_result *result)
{
    struct keyring *keyring = ctx;
    const struct key_wanted wanted = keyring->placing;
    keyring->placing.name[0] = '\0';
    keyring->loading = false;
    if (keyring->closing) {
        keyring_ran(keyring);
        return;
    }
    keyring->running = false;
    if (keyring->events.placed != NULL)
        keyring->events.placed(keyring->ctx);
    take_answer(keyring, &wanted, result);
    keyring_ask(keyring);
}

static void fill_facts(const struct key_placement *placement, char facts[FACTS][FACT_BYTES])
{
    char kcv[2 * KEY_KCV_BYTES + 1];
    hex_encode(placement->kcv, placement->kcv_length, kcv);
    (void)snprintf(facts[0], FACT_BYTES, "MUSTER_KEY_USAGE=%s", placement->usage);
    (void)snprintf(facts[1], FACT_BYTES, "MUSTER_KEY_ALGORITHM=%c", placement->algorithm);
    (void)snprintf(facts[2], FACT_BYTES, "MUSTER_KEY_MODE=%c", placement->mode);
    (void)snprintf(facts[3], FACT_BYTES, "MUSTER_KEY_VERSION=%u", placement->key_version);
    (void)snprintf(facts[4], FACT_BYTES, "MUSTER_KEY_KCV=%s:%s",
                   key_kcv_word(placement->kcv_method), kcv);
}

static bool load(struct keyring *keyring, const struct key_wanted *wanted,
                 const struct block *block, struct err *err)
{
    static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", lang[] = "LANG=C", verb[] = "load";
    char slot[KEY_SLOT_CHARS + 1], facts[FACTS][FACT_BYTES];
    char *const argv[] = {keyring->loader, verb, slot, NULL};
    char *const env[] = {path, lang, facts[0], facts[1], facts[2], facts[3], facts[4], NULL};
    memcpy(slot, wanted->placement.slot, sizeof slot);
    fill_facts(&wanted->placement, facts);
    keyring->placing = *wanted;
    keyring->loading =
        keyring_run(keyring, argv, env, bytes_of(block->pages, block->length), on_loaded, err);
    if (keyring->loading)
        return true;
    keyring->placing.name[0] = '\0';
    return false;
}

bool keyring_place(struct keyring *keyring, const struct key_wanted *wanted)
{
    struct block block = {0};
    struct err err = {0};
    bool ok = open_block(keyring, wanted, &block, &err) && load(keyring, wanted, &block, &err);
    block_done(&block);
    if (ok) {
        log_info("%s: key version %u goes to slot %s", wanted->name, wanted->placement.key_version,
                 wanted->placement.slot);
        return true;
    }
    if (err.code == ERR_REFUSED || err.code == ERR_INVALID) {
        keyring_refused(keyring, wanted,
                        refusal_of(&err) != MUSTER__REFUSAL__REFUSAL_NONE
                            ? refusal_of(&err)
                            : MUSTER__REFUSAL__REFUSAL_CONTENT_CHECK,
                        err.text);
    } else {
        keyring_hindered(keyring, wanted, "it cannot be handed over", err.text);
    }
    return false;
}
