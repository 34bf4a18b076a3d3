/* SPDX-License-Identifier: Apache-2.0 */
/* The application's own keys, which nobody but it knows: judged by its sign-ons. */
#include "agent/keyring_internal.h"

#include <string.h>

enum { KEEP_EVERY_MS = 5 * 60000 };

void keyring_signed_on(struct keyring *keyring, const struct keyring_sign_on *sign_on)
{
    const int64_t now_ms = clock_boot_ms(keyring->clock);
    if (sign_on->boot_ms <= 0 || keyring->closing)
        return;
    keys_book_age(&keyring->book, keyring->boot_id, now_ms);
    keys_book_signed_on(&keyring->book, sign_on->acquirer, sign_on->approved,
                        now_ms > sign_on->boot_ms ? now_ms - sign_on->boot_ms : 0);
    keyring_keep(keyring);
    keyring_tell(keyring);
    if (!uv_is_active((uv_handle_t *)&keyring->timer))
        keyring_plan(keyring);
}

void keyring_keep_age(struct keyring *keyring)
{
    const struct keys_book *book = &keyring->book;
    if (book->sign_on_count > 0 &&
        (memcmp(book->boot_id, keyring->boot_id, sizeof keyring->boot_id) != 0 ||
         clock_boot_ms(keyring->clock) - book->kept_ms >= KEEP_EVERY_MS))
        keyring_keep(keyring);
}

struct key_verdict keyring_judge_own(const struct keyring *keyring, const struct key_held *held)
{
    struct keys_book book = keyring->book;
    struct key_sign_on sign_on = {0};
    struct key_verdict verdict;
    keys_book_age(&book, keyring->boot_id, clock_boot_ms(keyring->clock));
    (void)keys_book_sign_on(&book, held, keyring->sign_on_limit_ms, &sign_on);
    keys_judge_own(&sign_on, &verdict);
    return verdict;
}

void keyring_say_sign_on(const struct keyring *keyring, Muster__KeyInventory *inventory)
{
    struct keys_book book = keyring->book;
    keys_book_age(&book, keyring->boot_id, clock_boot_ms(keyring->clock));
    for (size_t i = 0; i < book.sign_on_count; i++) {
        const struct keys_sign_on *row = &book.sign_ons[i];
        if (row->known &&
            (!inventory->sign_on_known || (uint64_t)row->age_ms < inventory->sign_on_age_ms))
            inventory->sign_on_age_ms = (uint64_t)row->age_ms;
        inventory->sign_on_known = inventory->sign_on_known || row->known;
    }
}
