/* SPDX-License-Identifier: Apache-2.0 */
/* What is sealed to one device: opened by another, put into another's hands, or changed. */
#include "tests/attack/strike.h"

#include <string.h>

static const struct secret *secret_of(const struct strike *strike, const char *device, size_t which)
{
    return &fleet_device(&strike->fleet, device)->secrets[which][0];
}

/* The other device's, under a header for this one. */
static void readdress(struct strike *strike, size_t document, size_t which)
{
    struct item *item = &strike->draft.items[document];
    strike->draft.forged = true;
    item->forged = true;
    item->document.version = 3;
    item->document.sealed = buf_bytes(&secret_of(strike, strike->other, which)->sealed);
}

static void wifi_of_another(struct strike *strike)
{
    readdress(strike, DOCUMENT_WIFI, SECRET_WIFI);
}

static void key_of_another(struct strike *strike)
{
    readdress(strike, DOCUMENT_PIN, SECRET_PIN);
}

/* As its signers signed it for the other device. */
static void for_another(struct strike *strike, size_t document, size_t which)
{
    struct item *item = &strike->draft.items[document];
    strike->draft.forged = true;
    item->document.device = strike->other;
    item->document.version = 1;
    item->document.sealed = buf_bytes(&secret_of(strike, strike->other, which)->sealed);
}

static void wifi_for_another(struct strike *strike)
{
    for_another(strike, DOCUMENT_WIFI, SECRET_WIFI);
}

static void key_for_another(struct strike *strike)
{
    for_another(strike, DOCUMENT_PIN, SECRET_PIN);
}

static void change(struct strike *strike, size_t at)
{
    struct item *item = &strike->draft.items[DOCUMENT_WIFI];
    const struct buf *sealed = &secret_of(strike, strike->device, SECRET_WIFI)->sealed;
    strike->draft.forged = true;
    item->forged = true;
    item->document.version = 3;
    buf_clear(&strike->scratch);
    must(buf_append(&strike->scratch, sealed->data, sealed->length, NULL), "memory", NULL);
    strike->scratch.data[at < sealed->length ? at : sealed->length - 1] ^= 1;
    item->document.sealed = buf_bytes(&strike->scratch);
}

static void change_key(struct strike *strike)
{
    change(strike, 130);
}

static void change_tag(struct strike *strike)
{
    change(strike, SIZE_MAX);
}

/* Sealed by name only: the bytes are in the clear. */
static void in_the_clear(struct strike *strike)
{
    struct item *item = &strike->draft.items[DOCUMENT_WIFI];
    strike->draft.forged = true;
    item->forged = true;
    item->document.version = 3;
    item->document.sealed = item->document.content;
}

static void for_nobody(struct strike *strike)
{
    struct item *item = &strike->draft.items[DOCUMENT_WIFI];
    strike->draft.forged = true;
    item->forged = true;
    item->document.device = NULL;
    item->document.version = 3;
}

/* An older secret of the same device and length. */
static void other_seal(struct strike *strike)
{
    struct item *item = &strike->draft.items[DOCUMENT_WIFI];
    strike->draft.forged = true;
    item->blob = buf_bytes(&secret_of(strike, strike->device, SECRET_WIFI)->sealed);
}

static void key_block_by_release(struct strike *strike)
{
    struct item *item = &strike->draft.items[DOCUMENT_PIN];
    strike->draft.forged = true;
    item->forged = true;
    item->role = MUSTER__ROLE__ROLE_RELEASE;
    item->document.version = 3;
}

/* Sealed to the device by who has its certificate, which is no secret: a thief of a custodian's key
 * can replace keys, and read none. */
static void new_key(struct strike *strike)
{
    struct item *item = &strike->draft.items[DOCUMENT_PIN];
    const struct secret *secret =
        &fleet_device(&strike->fleet, strike->device)->secrets[SECRET_PIN][1];
    strike->draft.forged = true;
    item->forged = true;
    item->document.version = 2;
    item->document.content = buf_bytes(&secret->plain);
    item->document.sealed = buf_bytes(&secret->sealed);
}

#define DIRECTOR .needs = NEED_DIRECTOR
#define RELEASE .needs = NEED_DIRECTOR | NEED_RELEASE
#define CUSTODIAN .needs = NEED_DIRECTOR | NEED_CUSTODIAN
#define WHY(reason_name) .reason = MUSTER__REFUSAL__REFUSAL_##reason_name

static const struct variant list[] = {
    {ATTACK_EAVESDROP, "read with another's key", MESSAGE_READ, WHY(CONTENT_SEALED)},
    {ATTACK_EAVESDROP, "another's secret readdressed", RELEASE, .mutate = wifi_of_another,
     .late = true, WHY(CONTENT_SEALED)},
    {ATTACK_EAVESDROP, "another's key readdressed", CUSTODIAN, .mutate = key_of_another,
     .late = true, WHY(CONTENT_SEALED)},
    {ATTACK_EAVESDROP, "in the clear", RELEASE, .mutate = in_the_clear, .late = true,
     WHY(CONTENT_SEALED)},
    {ATTACK_WRONG, "another's secret", DIRECTOR, .mutate = wifi_for_another, WHY(DOCUMENT_DEVICE)},
    {ATTACK_WRONG, "another's key", DIRECTOR, .mutate = key_for_another, WHY(DOCUMENT_DEVICE)},
    {ATTACK_WRONG, "a secret for nobody", RELEASE, .mutate = for_nobody, WHY(DOCUMENT_DEVICE)},
    {ATTACK_WRONG, "a key signed by release", RELEASE, .mutate = key_block_by_release,
     WHY(DOCUMENT_SIGNATURE)},
    {ATTACK_ARBITRARY, "a new key", CUSTODIAN, .mutate = new_key},
    {ATTACK_ARBITRARY, "sealed key changed", RELEASE, .mutate = change_key, .late = true,
     WHY(CONTENT_SEALED)},
    {ATTACK_ARBITRARY, "seal changed", RELEASE, .mutate = change_tag, .late = true,
     WHY(CONTENT_SEALED)},
    {ATTACK_MIX, "an older secret under the header", DIRECTOR, .mutate = other_seal, .late = true,
     WHY(CONTENT_HASH)},
};

const struct variants attacks_on_secrets = {list, sizeof list / sizeof list[0]};
