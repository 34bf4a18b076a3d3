/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/suspect.h"

#include "base/file.h"
#include "tests/unit/testing.h"

#include <string.h>

static struct suspect_profile unionpay(void)
{
    struct suspect_profile profile = {0};
    struct buf table = {.limit = 1 << 20};
    struct err err = {0};
    if (!file_read(MUSTER_CODES_TABLE, 1 << 20, &table, &err) ||
        !suspect_profile_add(&profile, buf_bytes(&table), &err))
        fail_msg("%s", err.text);
    buf_done(&table);
    return profile;
}

struct sample {
    enum suspect why;
    const char *code;
    Muster__CodeSource source;
    Muster__Outcome outcome;
    Muster__FallbackReason fallback;
    uint32_t host_hint;
    bool table_miss, default_route, issuer_unknown, no_common_aid, key_missing;
};

#define HOST .source = MUSTER__CODE_SOURCE__CODE_SOURCE_HOST
static const struct sample samples[] = {
    {SUSPECT_NOT, "00", HOST},
    {SUSPECT_NOT, "51", HOST},
    {SUSPECT_NOT, "91", HOST},
    {SUSPECT_NOT, "ZZ", HOST},
    {SUSPECT_NOT, "", HOST},
    {SUSPECT_REGISTRATION, "03", HOST},
    {SUSPECT_REGISTRATION, "97", HOST},
    {SUSPECT_REGISTRATION, "60", HOST},
    {SUSPECT_SESSION, "77", HOST},
    {SUSPECT_CRYPTO, "A0", HOST},
    {SUSPECT_POLICY, "57", HOST},
    {SUSPECT_POLICY, "57", .source = MUSTER__CODE_SOURCE__CODE_SOURCE_NONE},
    {SUSPECT_NOT, "57", .source = MUSTER__CODE_SOURCE__CODE_SOURCE_OFFLINE},
    {SUSPECT_NOT, "00", HOST, .host_hint = 1},
    {SUSPECT_HOST_HINT, "00", HOST, .host_hint = 3},
    {SUSPECT_HOST_HINT, "57", HOST, .host_hint = 7},
    {SUSPECT_NOT, "00", HOST, .host_hint = 8},
    {SUSPECT_TABLE_MISS, "00", HOST, .table_miss = true, .default_route = true},
    {SUSPECT_DEFAULT_ROUTE, "00", HOST, .default_route = true},
    {SUSPECT_NOT, "00", HOST, .issuer_unknown = true},
    {SUSPECT_NO_COMMON_AID, "", .no_common_aid = true},
    {SUSPECT_NO_COMMON_AID, "00", HOST,
     .fallback = MUSTER__FALLBACK_REASON__FALLBACK_NO_COMMON_AID},
    {SUSPECT_KEY_MISSING, "00", HOST, .key_missing = true},
    {SUSPECT_READER, "", .outcome = MUSTER__OUTCOME__OUTCOME_READ_FAILED},
    {SUSPECT_READER, "00", HOST, .fallback = MUSTER__FALLBACK_REASON__FALLBACK_NO_ATR},
    {SUSPECT_NOT, "00", HOST, .fallback = MUSTER__FALLBACK_REASON__FALLBACK_CARD_REMOVED},
    {SUSPECT_NOT, "", .outcome = MUSTER__OUTCOME__OUTCOME_CANCELLED},
    {SUSPECT_NOT, "", .outcome = MUSTER__OUTCOME__OUTCOME_NO_ANSWER},
};

static Muster__TxnResult result_of(const struct sample *sample)
{
    Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
    txn.code = (char *)(uintptr_t)sample->code;
    txn.code_source = sample->source;
    txn.outcome = sample->outcome;
    txn.fallback = sample->fallback;
    txn.host_hint = sample->host_hint;
    txn.table_miss = sample->table_miss;
    txn.default_route = sample->default_route;
    txn.issuer_unknown = sample->issuer_unknown;
    txn.no_common_aid = sample->no_common_aid;
    txn.key_missing = sample->key_missing;
    return txn;
}

static void test_what_speaks_of_the_terminal(void **state)
{
    (void)state;
    struct suspect_profile profile = unionpay();
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        Muster__TxnResult txn = result_of(&samples[i]);
        enum suspect why = suspect_of(&profile, &txn);
        if (why != samples[i].why)
            fail_msg("sample %zu: %s, expected %s", i, suspect_words(why),
                     suspect_words(samples[i].why));
    }
}

static void test_without_a_profile_no_code_means_anything(void **state)
{
    (void)state;
    const struct suspect_profile none = {0};
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        Muster__TxnResult txn = result_of(&samples[i]);
        enum suspect why = suspect_of(&none, &txn);
        assert_int_equal(why, samples[i].why < SUSPECT_REGISTRATION ? samples[i].why : SUSPECT_NOT);
    }
}

static bool add(struct suspect_profile *profile, const char *table, struct err *err)
{
    return suspect_profile_add(profile, bytes_of(table, strlen(table)), err);
}

static void test_an_acquirer_has_codes_of_its_own(void **state)
{
    (void)state;
    struct suspect_profile profile = {0};
    struct err err = {0};
    assert_true(add(&profile, "acquirer\tgroup\tcode\r\n2\tsession\t58\r\n\tcrypto\t99\r\n", &err));
    Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
    txn.code_source = MUSTER__CODE_SOURCE__CODE_SOURCE_HOST;
    txn.code = (char *)(uintptr_t) "58";
    assert_int_equal(suspect_of(&profile, &txn), SUSPECT_NOT);
    txn.acquirer = 2;
    assert_int_equal(suspect_of(&profile, &txn), SUSPECT_SESSION);
    txn.code = (char *)(uintptr_t) "99";
    txn.acquirer = 1;
    assert_int_equal(suspect_of(&profile, &txn), SUSPECT_CRYPTO);
}

static void test_what_is_no_profile_says_so(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "code\tmeaning\n57\tx\n",
        "code\tgroup\n57\n",
        "code\tgroup\n57000\tpolicy\n",
        "code\tgroup\n\tpolicy\n",
        "code\tgroup\tacquirer\n57\tpolicy\tx\n",
        "code\tgroup\tacquirer\n57\tpolicy\t99999999999999\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct suspect_profile profile = {0};
        struct err err = {0};
        assert_false(add(&profile, bad[i], &err));
        assert_int_equal(err.code, ERR_INVALID);
    }
    struct suspect_profile profile = {.count = SUSPECT_CODES};
    struct err err = {0};
    assert_false(add(&profile, "code\tgroup\n57\tpolicy\n", &err));
    assert_int_equal(err.code, ERR_FULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_speaks_of_the_terminal),
        cmocka_unit_test(test_without_a_profile_no_code_means_anything),
        cmocka_unit_test(test_an_acquirer_has_codes_of_its_own),
        cmocka_unit_test(test_what_is_no_profile_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
