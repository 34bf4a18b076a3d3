/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/webhook_sign.h"

#include "fleet/base64.h"
#include "tests/unit/testing.h"

#include <string.h>

/* The example of the Standard Webhooks specification's own libraries. */
static void it_signs_as_the_specification_does(void **state)
{
    static const char secret_text[] = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    static const char body[] = "{\"test\": 2432232314}";
    char signature[WEBHOOK_SIGNATURE_CHARS];
    struct buf secret = {0};
    uint8_t padded[32] = {0};
    (void)state;
    assert_true(base64_decode(secret_text, strlen(secret_text), &secret, NULL));
    assert_int_equal(secret.length, 24); /* HMAC fills up with zeros what is shorter than a block */
    memcpy(padded, secret.data, secret.length);
    assert_true(webhook_sign(padded, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
                             bytes_of(body, strlen(body)), signature, NULL));
    assert_string_equal(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    buf_done(&secret);
}

static void all_of_it_is_signed(void **state)
{
    static const struct {
        const char *id, *body;
        int64_t at_s;
        uint8_t key;
    } rows[] = {{"a-1-2", "{}", 5, 1},
                {"a-1-3", "{}", 5, 1},
                {"a-1-2", "{ }", 5, 1},
                {"a-1-2", "{}", 6, 1},
                {"a-1-2", "{}", 5, 2}};
    char first[WEBHOOK_SIGNATURE_CHARS], other[WEBHOOK_SIGNATURE_CHARS];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t secret[32];
        memset(secret, rows[i].key, sizeof secret);
        assert_true(webhook_sign(secret, rows[i].id, rows[i].at_s,
                                 bytes_of(rows[i].body, strlen(rows[i].body)), other, NULL));
        if (i == 0)
            memcpy(first, other, sizeof first);
        else
            assert_string_not_equal(first, other);
    }
}

static void the_secret_is_told_as_libraries_want_it(void **state)
{
    uint8_t secret[32] = {0};
    char text[WEBHOOK_SECRET_TEXT_CHARS];
    (void)state;
    assert_true(webhook_secret_text(secret, text, NULL));
    assert_string_equal(text, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_signs_as_the_specification_does),
        cmocka_unit_test(all_of_it_is_signed),
        cmocka_unit_test(the_secret_is_told_as_libraries_want_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
