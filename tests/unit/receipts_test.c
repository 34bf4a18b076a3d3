/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/receipts.h"

#include "base/file.h"
#include "proto/hello.pb-c.h"
#include "proto/unpack.h"
#include "tests/unit/temp_spool.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world {
    struct temp_spool temp;
    struct sign_key *root, *receipt, *director;
    struct trust *trust;
};

static struct sign_key *make_key(const char *dir, const char *name)
{
    char path[128];
    struct sign_key *key = NULL;
    struct err err = {0};
    snprintf(path, sizeof path, "%s/%s.pem", dir, name);
    if (!sign_key_make(path, &key, &err))
        fail_msg("%s", err.text);
    return key;
}

static struct trust *make_trust(const struct world *world)
{
    const struct sign_key *keys[] = {world->root, world->receipt, world->director};
    const Muster__Role names[] = {MUSTER__ROLE__ROLE_ROOT, MUSTER__ROLE__ROLE_RECEIPT,
                                  MUSTER__ROLE__ROLE_DIRECTOR};
    Muster__PublicKey publics[3];
    Muster__PublicKey *one[3];
    Muster__RoleKeys roles[3];
    Muster__RoleKeys *list[3];
    Muster__Root root = MUSTER__ROOT__INIT;
    struct buf body = {0};
    struct buf envelope = {0};
    struct err err = {0};
    struct trust *trust = NULL;
    for (size_t i = 0; i < 3; i++) {
        struct bytes spki = sign_key_spki(keys[i]);
        publics[i] = (Muster__PublicKey)MUSTER__PUBLIC_KEY__INIT;
        publics[i].algorithm = MUSTER__KEY_ALGORITHM__KEY_ALGORITHM_ED25519;
        publics[i].spki =
            (ProtobufCBinaryData){.len = spki.length, .data = (uint8_t *)(uintptr_t)spki.data};
        one[i] = &publics[i];
        roles[i] = (Muster__RoleKeys)MUSTER__ROLE_KEYS__INIT;
        roles[i].role = names[i];
        roles[i].threshold = 1;
        roles[i].keys = &one[i];
        roles[i].n_keys = 1;
        list[i] = &roles[i];
    }
    root.version = 1;
    root.roles = list;
    root.n_roles = 3;
    assert_true(pack(&root.base, &body, &err));
    assert_true(seal("root", "", buf_bytes(&body), &keys[0], 1, true, &envelope, &err));
    if (!trust_open(buf_bytes(&envelope), &trust, &err))
        fail_msg("%s", err.text);
    buf_done(&body);
    buf_done(&envelope);
    return trust;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct err err = {0};
    temp_spool_open(&world->temp);
    world->root = make_key(world->temp.dir, "root");
    world->receipt = make_key(world->temp.dir, "receipt");
    world->director = make_key(world->temp.dir, "director");
    world->trust = make_trust(world);
    struct spool_record records[5];
    for (size_t i = 0; i < 5; i++)
        records[i] = (struct spool_record){.lane = 1, .body = bytes_of("body", 4)};
    assert_true(spool_push(world->temp.spool, records, 5, &err));
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    trust_free(world->trust);
    sign_key_free(world->root);
    sign_key_free(world->receipt);
    sign_key_free(world->director);
    temp_spool_close(&world->temp);
    free(world);
    return 0;
}

struct claim {
    const char *domain, *context, *device;
    const struct sign_key *key;
    uint64_t cumulative;
    Muster__SeqRange range; /* first 0: none */
    Muster__Lane lane;
};

static struct claim honest(const struct world *world, uint64_t cumulative)
{
    return (struct claim){
        .domain = "receipt",
        .context = "term-0001",
        .device = "term-0001",
        .key = world->receipt,
        .cumulative = cumulative,
        .range = MUSTER__SEQ_RANGE__INIT,
        .lane = MUSTER__LANE__LANE_TXN,
    };
}

static struct buf sealed(const struct world *world, struct claim *claim)
{
    Muster__SeqRange *ranges[] = {&claim->range};
    Muster__StreamReceipt stream = MUSTER__STREAM_RECEIPT__INIT;
    Muster__StreamReceipt *streams[] = {&stream};
    Muster__Receipt receipt = MUSTER__RECEIPT__INIT;
    struct buf body = {0};
    struct buf envelope = {0};
    struct err err = {0};
    stream.incarnation = spool_incarnation(world->temp.spool);
    stream.lane = claim->lane;
    stream.cumulative = claim->cumulative;
    stream.ranges = ranges;
    stream.n_ranges = claim->range.first == 0 ? 0 : 1;
    receipt.device = (char *)(uintptr_t)claim->device;
    receipt.streams = streams;
    receipt.n_streams = 1;
    assert_true(pack(&receipt.base, &body, &err));
    assert_true(seal(claim->domain, claim->context, buf_bytes(&body), &claim->key, 1, true,
                     &envelope, &err));
    buf_done(&body);
    return envelope;
}

static bool take(struct world *world, struct bytes envelope, struct err *err)
{
    struct arena arena = {0};
    bool ok = receipts_take(world->temp.spool, world->trust, "term-0001", envelope, &arena, err);
    arena_done(&arena);
    return ok;
}

static uint64_t unreceipted(const struct world *world)
{
    struct spool_stats stats;
    spool_stats(world->temp.spool, &stats);
    return stats.records;
}

static void test_an_honest_receipt_counts_and_repeats_are_harmless(void **state)
{
    struct world *world = *state;
    struct claim claim = honest(world, 3);
    struct buf envelope = sealed(world, &claim);
    struct err err = {0};
    assert_true(take(world, buf_bytes(&envelope), &err));
    assert_int_equal(unreceipted(world), 2);
    assert_true(take(world, buf_bytes(&envelope), &err));
    assert_int_equal(unreceipted(world), 2);
    buf_done(&envelope);
}

static void test_a_range_beyond_a_hole_counts(void **state)
{
    struct world *world = *state;
    struct claim claim = honest(world, 0);
    struct err err = {0};
    claim.range.first = 2;
    claim.range.last = 4;
    struct buf envelope = sealed(world, &claim);
    assert_true(take(world, buf_bytes(&envelope), &err));
    assert_int_equal(unreceipted(world), 2);
    buf_done(&envelope);
}

static void assert_refused(struct world *world, struct claim claim, enum err_code code)
{
    struct buf envelope = sealed(world, &claim);
    struct err err = {0};
    assert_false(take(world, buf_bytes(&envelope), &err));
    assert_int_equal(err.code, code);
    assert_int_equal(unreceipted(world), 5);
    buf_done(&envelope);
}

static void test_what_is_not_an_honest_receipt_frees_nothing(void **state)
{
    struct world *world = *state;
    struct claim claim = honest(world, 5);
    claim.key = world->director;
    assert_refused(world, claim, ERR_REFUSED);
    claim = honest(world, 5);
    claim.domain = "welcome";
    assert_refused(world, claim, ERR_REFUSED);
    claim = honest(world, 5);
    claim.context = "term-0002";
    assert_refused(world, claim, ERR_REFUSED);
    claim = honest(world, 5);
    claim.device = "term-0002";
    assert_refused(world, claim, ERR_REFUSED);
    assert_refused(world, honest(world, 6), ERR_REFUSED); /* more than was ever given */
    claim = honest(world, 2);
    claim.range.first = 1;
    claim.range.last = 5;
    assert_refused(world, claim, ERR_INVALID);
    claim = honest(world, 5);
    claim.lane = (Muster__Lane)4;
    assert_refused(world, claim, ERR_INVALID);
}

static void test_no_single_flipped_bit_frees_anything(void **state)
{
    struct world *world = *state;
    struct claim claim = honest(world, 5);
    struct buf envelope = sealed(world, &claim);
    /* The key id before the signature is a hint that nothing rests on: without it the key is
     * found all the same, and what is then taken is what was signed. */
    size_t signature = envelope.length - 64;
    size_t hint = signature - 2 - (2 + KEY_ID_BYTES);
    for (size_t bit = 0; bit < envelope.length * 8; bit++) {
        struct err err = {0};
        if (bit / 8 >= hint && bit / 8 < signature - 2)
            continue;
        envelope.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (take(world, buf_bytes(&envelope), &err))
            fail_msg("bit %zu flipped and still taken", bit);
        envelope.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    assert_int_equal(unreceipted(world), 5);
    buf_done(&envelope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_honest_receipt_counts_and_repeats_are_harmless,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_range_beyond_a_hole_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_not_an_honest_receipt_frees_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_no_single_flipped_bit_frees_anything, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
