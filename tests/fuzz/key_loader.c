/* SPDX-License-Identifier: Apache-2.0 */
/* What meets at a key loader. The first byte chooses: what a loader says to the agent, a block that
 * the loader is given, the book that lies between two starts. */
#include "agent/keys_blot.h"
#include "agent/keys_book.h"
#include "agent/keys_say.h"
#include "agent/tr31.h"
#include "base/file.h"
#include "tests/fuzz/world.h"

#include <ctype.h>
#include <string.h>

enum { OUTPUT_BYTES = 8192 };

/* No key is quoted: neither in a row nor in groups that no word parts. */
static void hold_reason(const char *why)
{
    size_t digits = 0;
    for (const char *at = why; *at != '\0';) {
        const size_t length = strcspn(at, " \t");
        size_t hex = 0, other = 0;
        for (size_t i = 0; i < length; i++) {
            const unsigned char c = (unsigned char)at[i];
            hex += isxdigit(c) != 0;
            other += isalnum(c) && !isxdigit(c);
        }
        digits = other > 0 ? 0 : digits + hex;
        HOLDS(digits < KEYS_BLOT_RUN);
        at += length + (at[length] != '\0');
    }
}

/* As base/child keeps it: a text that ends. */
static void try_output(struct bytes in)
{
    char text[OUTPUT_BYTES + 1], why[KEYS_WHY_CHARS + 1];
    struct key_inventory inventory;
    struct key_loaded loaded;
    struct err err = {0};
    size_t length = in.length < OUTPUT_BYTES ? in.length : OUTPUT_BYTES;
    if (length > 0)
        memcpy(text, in.data, length);
    text[length] = '\0';
    if (keys_say_inventory(text, &inventory, &err)) {
        HOLDS(inventory.count <= KEYS_SLOTS);
        for (size_t i = 0; i < inventory.count; i++) {
            const struct key_held *held = &inventory.slots[i];
            HOLDS(key_slot_valid(held->slot) && held->kcv_length <= KEY_KCV_BYTES);
            HOLDS(keys_held_in(&inventory, held->slot) == held);
        }
    } else {
        HOLDS(err.code == ERR_INVALID);
    }
    if (keys_say_loaded(text, &loaded, NULL))
        HOLDS(loaded.key.kcv_length <= KEY_KCV_BYTES && loaded.key.key_version <= KEY_VERSION_MAX);
    keys_say_why(text, why);
    hold_reason(why);
    HOLDS(strlen(why) <= KEYS_WHY_CHARS);
}

static bool no_cmac(void *ctx, struct bytes input, uint8_t ret_mac[16], struct err *err)
{
    (void)ctx, (void)err;
    memset(ret_mac, (int)input.length, 16);
    return true;
}

/* Nobody finds a MAC by chance: what is not a block, and what is none of ours, leaves no key. */
static void try_block(struct bytes in)
{
    static const struct tr31_plain none;
    static struct tr31_plain plain;
    struct err err = {0};
    const char version = in.length > 0 ? (char)in.data[0] : 'D';
    struct tr31_keys keys = {0};
    plain = none;
    if (!tr31_derive(version, 16, (struct tr31_cmac){no_cmac, NULL}, &keys, &err)) {
        HOLDS(err.code == ERR_REFUSED && version != 'B' && version != 'D');
        return;
    }
    HOLDS(!tr31_unwrap(in, &keys, &plain, &err));
    HOLDS(memcmp(plain.key, none.key, sizeof plain.key) == 0);
    HOLDS(memcmp(plain.room, none.room, sizeof plain.room) == 0);
}

static void try_book(struct bytes in)
{
    struct keys_book book;
    bool lost = false;
    const char *path = fuzz_file(in);
    if (!keys_book_read(path, &book, &lost, NULL))
        return;
    HOLDS(book.floors.count <= KEYS_SLOTS && book.sign_on_count <= KEYS_SIGN_ONS);
    HOLDS(!lost || book.floors.count == 0);
    for (size_t i = 0; i < book.floors.count; i++)
        HOLDS(key_slot_valid(book.floors.rows[i].slot) &&
              book.floors.rows[i].kcv_length <= KEY_KCV_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    if (size == 0)
        return 0;
    switch (fuzz_byte(&in) % 3) {
    case 0:
        try_output(in);
        break;
    case 1:
        try_block(in);
        break;
    default:
        try_book(in);
        break;
    }
    return 0;
}
