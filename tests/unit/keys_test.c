/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/keys_book.h"
#include "agent/keys_say.h"
#include "base/file.h"

#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OK MUSTER__KEY_SLOT_STATE__KEY_SLOT_OK
#define EMPTY MUSTER__KEY_SLOT_STATE__KEY_SLOT_EMPTY
#define DIFFERS MUSTER__KEY_SLOT_STATE__KEY_SLOT_DIFFERS
#define OWN MUSTER__KEY_SLOT_STATE__KEY_SLOT_OWN
#define STALE MUSTER__KEY_SLOT_STATE__KEY_SLOT_STALE

static struct key_placement placement(unsigned version, uint8_t kcv)
{
    return (struct key_placement){.slot = "tmk",
                                  .usage = "K0",
                                  .algorithm = 'A',
                                  .mode = 'B',
                                  .key_version = version,
                                  .kcv_method = MUSTER__KCV_METHOD__KCV_AES_CMAC,
                                  .kcv = {kcv, 2, 3},
                                  .kcv_length = 3};
}

/* What the slot holds, what was placed before, what is wanted: to what follows. 0: none. */
enum { NOT_SAID = 1000 };
static const struct row {
    const char *what;
    bool is_there;
    unsigned held_version;
    uint8_t held_kcv;
    unsigned floor_version;
    uint8_t floor_kcv;
    unsigned version;
    uint8_t kcv;
    Muster__KeySlotState state;
    bool place;
} rows[] = {
    {"as placed", true, 2, 7, 2, 7, 2, 7, OK, false},
    {"as placed, by a loader that says no version", true, NOT_SAID, 7, 2, 7, 2, 7, OK, false},
    {"the next key, by a loader that says no version", true, NOT_SAID, 7, 1, 7, 2, 8, DIFFERS,
     true},
    {"the same, and the book is lost", true, NOT_SAID, 7, 0, 0, 2, 8, DIFFERS, false},
    {"the first over a key that has none", true, 0, 9, 0, 0, 2, 7, DIFFERS, true},
    {"the right check value without a version", true, 0, 7, 0, 0, 2, 7, DIFFERS, true},
    {"as placed, and the book is lost", true, 2, 7, 0, 0, 2, 7, OK, false},
    {"the first key", false, 0, 0, 0, 0, 1, 7, EMPTY, true},
    {"the next key", true, 1, 7, 1, 7, 2, 8, DIFFERS, true},
    {"versions may be left out", true, 1, 7, 1, 7, 99, 8, DIFFERS, true},
    {"another key in its place", true, 2, 9, 2, 7, 2, 7, DIFFERS, true},
    {"gone", false, 0, 0, 2, 7, 2, 7, EMPTY, true},
    {"an older key was put in its place", true, 1, 9, 2, 7, 2, 7, DIFFERS, true},
    {"no version", false, 0, 0, 0, 0, 0, 7, EMPTY, false},
    {"below what was placed", true, 2, 7, 2, 7, 1, 8, DIFFERS, false},
    {"below what was placed, in an empty slot", false, 0, 0, 2, 7, 1, 8, EMPTY, false},
    {"the same version, another key", true, 2, 7, 2, 7, 2, 8, DIFFERS, false},
    {"the same version, another key, in an empty slot", false, 0, 0, 2, 7, 2, 8, EMPTY, false},
    {"below what the slot says", true, 3, 7, 0, 0, 2, 8, DIFFERS, false},
    {"below what somebody else placed", true, 3, 9, 2, 7, 2, 7, DIFFERS, false},
    {"the same version as somebody else's", true, 2, 9, 0, 0, 2, 7, DIFFERS, false},
    {"the right check value under a higher version", true, 3, 7, 2, 7, 2, 7, DIFFERS, false},
};

static void slots_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        struct key_inventory inventory = {0};
        struct key_floors floors = {0};
        struct key_verdict verdict;
        const struct key_placement wanted = placement(row->version, row->kcv);
        if (row->is_there) {
            inventory.count = 1;
            inventory.slots[0] = (struct key_held){.slot = "tmk",
                                                   .versioned = row->held_version != NOT_SAID,
                                                   .key_version = row->held_version % NOT_SAID,
                                                   .kcv_method = wanted.kcv_method,
                                                   .kcv = {row->held_kcv, 2, 3, 4, 5},
                                                   .kcv_length = 5};
        }
        if (row->floor_version > 0) {
            const struct key_placement before = placement(row->floor_version, row->floor_kcv);
            assert_true(keys_floor_raise(&floors, &before));
        }
        keys_judge(&wanted, &inventory, &floors, &verdict);
        if (verdict.state != row->state || verdict.place != row->place)
            fail_msg("%s: state %d, place %d: %s", row->what, (int)verdict.state, verdict.place,
                     verdict.why);
        const bool refused = verdict.refusal == MUSTER__REFUSAL__REFUSAL_KEY_VERSION;
        assert_int_equal(refused, row->state != OK && !row->place);
        assert_int_equal(verdict.why[0] == '\0', row->state == OK);
    }
}

static struct key_verdict judged(const struct key_held *held)
{
    const struct key_placement wanted = placement(1, 7);
    struct key_inventory inventory = {.count = 1, .slots = {*held}};
    struct key_floors floors = {0};
    struct key_verdict verdict;
    assert_true(keys_floor_raise(&floors, &wanted));
    keys_judge(&wanted, &inventory, &floors, &verdict);
    return verdict;
}

/* Somebody else's: told how it differs, and never to be placed. */
static void a_slot_is_observed(void **state)
{
    static const struct key_held right = {.slot = "tmk",
                                          .usage = "K0",
                                          .algorithm = 'A',
                                          .mode = 'B',
                                          .versioned = true,
                                          .key_version = 1,
                                          .kcv_method = MUSTER__KCV_METHOD__KCV_AES_CMAC,
                                          .kcv = {7, 2, 3},
                                          .kcv_length = 3};
    struct key_wanted wanted = {.placement = placement(1, 7),
                                .mode = MUSTER__ASSIGN_MODE__MODE_OBSERVE};
    struct key_inventory inventory = {.count = 1};
    struct key_verdict verdict;
    const struct {
        struct key_held held;
        Muster__KeySlotState state;
        const char *why;
    } cases[] = {
        {{.slot = "other"}, EMPTY, "nothing is in it"},
        {{.slot = "tmk", .empty = true}, EMPTY, "nothing is in it"},
        {{.slot = "tmk", .own = true}, DIFFERS, "the application's own key"},
        {{.slot = "tmk", .versioned = true, .key_version = 1}, DIFFERS, "another check value"},
        {{.slot = "tmk",
          .versioned = true,
          .key_version = 2,
          .kcv = {7, 2, 3},
          .kcv_length = 3,
          .kcv_method = MUSTER__KCV_METHOD__KCV_AES_CMAC},
         DIFFERS,
         "another version"},
        {{.slot = "tmk",
          .usage = "P0",
          .kcv = {7, 2, 3},
          .kcv_length = 3,
          .kcv_method = MUSTER__KCV_METHOD__KCV_AES_CMAC},
         DIFFERS,
         "for another use"},
        {right, OK, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        inventory.slots[0] = cases[i].held;
        keys_judge_observed(&wanted, &inventory, &verdict);
        assert_int_equal(verdict.state, cases[i].state);
        assert_false(verdict.place);
        assert_int_equal(verdict.refusal, MUSTER__REFUSAL__REFUSAL_NONE);
        if (strstr(verdict.why, cases[i].why) == NULL)
            fail_msg("%s: %s", cases[i].why, verdict.why);
        assert_int_equal(verdict.why[0] == '\0', cases[i].state == OK);
    }
    inventory.count = 0;
    keys_judge_observed(&wanted, &inventory, &verdict);
    assert_string_equal(verdict.why, "nothing is in it; observed only, not placed here");
    wanted.mode = MUSTER__ASSIGN_MODE__MODE_PROPOSE;
    keys_judge_observed(&wanted, &inventory, &verdict);
    assert_string_equal(verdict.why, "nothing is in it; proposed to ops, not placed here");
}

static void a_key_is_more_than_its_check_value(void **state)
{
    (void)state;
    struct key_held held = {.slot = "tmk",
                            .usage = "K0",
                            .algorithm = 'A',
                            .mode = 'B',
                            .versioned = true,
                            .key_version = 1,
                            .kcv_method = MUSTER__KCV_METHOD__KCV_AES_CMAC,
                            .kcv = {7, 2, 3},
                            .kcv_length = 3};
    assert_int_equal(judged(&held).state, OK);
    memcpy(held.usage, "P0", 3);
    assert_int_equal(judged(&held).state, DIFFERS);
    assert_true(judged(&held).place);
    memcpy(held.usage, "K0", 3);
    held.algorithm = 'T';
    assert_int_equal(judged(&held).state, DIFFERS);
    held.algorithm = 'A';
    held.mode = 'N';
    assert_int_equal(judged(&held).state, DIFFERS);
    assert_true(judged(&held).place);
    held.mode = 'B';
    held.own = true; /* not the fleet's to fill, whatever is in it */
    assert_int_equal(judged(&held).state, DIFFERS);
    assert_false(judged(&held).place);
    assert_int_equal(judged(&held).refusal, MUSTER__REFUSAL__REFUSAL_KEY_LOADER);
    assert_non_null(strstr(judged(&held).why, "which only it changes"));
}

static void floors_only_rise(void **state)
{
    (void)state;
    struct key_floors floors = {0};
    struct key_placement key = placement(3, 7);
    assert_true(keys_floor_raise(&floors, &key));
    assert_false(keys_floor_raise(&floors, &key));
    key.key_version = 2;
    assert_false(keys_floor_raise(&floors, &key));
    assert_int_equal(keys_floor_of(&floors, "tmk")->key_version, 3);
    key.key_version = 4;
    assert_true(keys_floor_raise(&floors, &key));
    for (int i = 0; i < KEYS_SLOTS + 2; i++) {
        (void)snprintf(key.slot, sizeof key.slot, "s%d", i);
        assert_int_equal(keys_floor_raise(&floors, &key), i < KEYS_SLOTS - 1);
    }
    assert_int_equal(floors.count, KEYS_SLOTS);
}

static void own_keys_go_by_the_sign_on(void **state)
{
    (void)state;
    static const struct {
        struct key_sign_on sign_on;
        Muster__KeySlotState state;
    } cases[] = {
        {{.known = false, .age_ms = 99999999, .limit_ms = 60000}, OWN},
        {{.known = false, .failed = true, .limit_ms = 60000}, STALE},
        {{.known = true, .age_ms = 60000, .limit_ms = 60000}, OWN},
        {{.known = true, .age_ms = 60001, .limit_ms = 60000}, STALE},
        {{.known = true, .failed = true, .age_ms = 1, .limit_ms = 60000}, STALE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct key_verdict verdict;
        keys_judge_own(&cases[i].sign_on, &verdict);
        assert_int_equal(verdict.state, cases[i].state);
        assert_false(verdict.place);
    }
}

/* ---- what a loader says ---- */

static void an_inventory_is_read(void **state)
{
    (void)state;
    struct key_inventory inventory;
    struct err err = {0};
    assert_true(keys_say_inventory("hello from the maker\n"
                                   "slot tmk usage K0 algorithm A mode B version 12 kcv "
                                   "aes-cmac:08793E\n"
                                   "slot pik own acquirer 2 usage P0 algorithm T\r\n"
                                   "slot ipek empty\nend\n",
                                   &inventory, &err));
    assert_int_equal(inventory.count, 3);
    const struct key_held *tmk = keys_held_in(&inventory, "tmk");
    assert_string_equal(tmk->usage, "K0");
    assert_int_equal(tmk->algorithm, 'A');
    assert_int_equal(tmk->mode, 'B');
    assert_true(tmk->versioned);
    assert_int_equal(tmk->key_version, 12);
    assert_int_equal(tmk->kcv_length, 3);
    assert_int_equal(tmk->kcv[0], 8);
    assert_true(keys_held_in(&inventory, "pik")->own);
    assert_true(keys_held_in(&inventory, "pik")->of_acquirer);
    assert_int_equal(keys_held_in(&inventory, "pik")->acquirer, 2);
    assert_false(keys_held_in(&inventory, "pik")->versioned);
    assert_true(keys_held_in(&inventory, "ipek")->empty);
    assert_null(keys_held_in(&inventory, "mak"));
    static const char *const wrong[] = {
        "slot TMK",
        "slot",
        "slot tmk version",
        "slot tmk version 100",
        "slot tmk kcv 0879",
        "slot tmk kcv aes-cmac:0879",
        "slot tmk kcv des:08793E",
        "slot tmk kcv aes-cmac:08793E11223344",
        "slot tmk colour red",
        "slot tmk usage K",
        "slot tmk\nslot tmk",
        "slot tmk kcv aes-cmac:08793G",
        "slot tmk acquirer x",
        "slot tmk mode BB",
    };
    /* What was cut is not the whole of it. */
    static const char *const cut[] = {"", "slot tmk version 1", "end\nslot tmk version 1\n", "en"};
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        assert_false(keys_say_inventory(cut[i], &inventory, &err));
        assert_non_null(strstr(err.text, "does not end"));
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "%s\nend\n", wrong[i]);
        if (keys_say_inventory(text, &inventory, &err))
            fail_msg("%s", wrong[i]);
        assert_int_equal(err.code, ERR_INVALID);
    }
}

static void an_answer_is_read(void **state)
{
    (void)state;
    struct key_loaded loaded;
    assert_true(keys_say_loaded("kcv aes-cmac:08793E25AB\nversion 3\n", &loaded, NULL));
    assert_true(loaded.has_kcv);
    assert_int_equal(loaded.key.kcv_length, 5);
    assert_int_equal(loaded.key.key_version, 3);
    assert_true(keys_say_loaded("done\n", &loaded, NULL));
    assert_false(loaded.has_kcv);
    assert_false(keys_say_loaded("kcv\n", &loaded, NULL));
    assert_false(keys_say_loaded("version x\n", &loaded, NULL));
}

/* A loader that repeats what it was given must not have it told. */
static void a_reason_holds_no_key(void **state)
{
    (void)state;
    char why[KEYS_WHY_CHARS + 1], much[1000];
    static const struct {
        const char *said, *told;
    } reasons[] = {
        {"noise\nwhy slot 12 is in use, 08793E\nwhy not\n", "slot 12 is in use, 08793E"},
        {"why token: no session: CKR_DEVICE_ERROR (PKCS#11 error 0x30)",
         "token: no session: CKR_DEVICE_ERROR (PKCS#11 error 0x30)"},
        {"why /usr/lib/libsofthsm2.so is a bad add-on", "/usr/lib/libsofthsm2.so is a bad add-on"},
        {"why slot tmk holds key version 12, above 11: MUSTER_KEY_USAGE",
         "slot tmk holds key version 12, above 11: MUSTER_KEY_USAGE"},
        /* PUBLISHED: the key of TR-31:2018, A.7.2.1, as libraries print one */
        {"why F039121BEC83D26B169BDCD5B22AAF8F is no key",
         "******************************** is no key"},
        {"why F0 39 12 1B EC 83 D2 6B 16 9B DC D5 B2 2A AF 8F, bad",
         "** ** ** ** ** ** ** ** ** ** ** ** ** ** ** **, ***"},
        {"why F0:39:12:1B:EC:83:D2:6B", "**:**:**:**:**:**:**:**"},
        {"why 0xF0, 0x39, 0x12, 0x1b of it", "0x**, 0x**, 0x**, 0x** of it"},
        {"why F039121BEC-83D26B169B-DCD5B22AAF-8F", "**********-**********-**********-**"},
        {"why not f0391 21bec 83d26", "not ***** ***** *****"},
        {"why not 8DkSG+yD0msWm9zVsiqvjw==", "not *****+****************=="},
        {"why not qwjKs/abcd", "not *****/****"},
        {"why 240 57 18 27 236 131", "*** ** ** ** *** ***"},
        {"why k[0]=F0 k[1]=39 k[2]=12 k[3]=1B k[4]=EC k[5]=83",
         "k[*]=** k[*]=** k[*]=** k[*]=** k[*]=** k[*]=**"},
        {"why abcdefghijklmnopq", "*****************"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        keys_say_why(reasons[i].said, why);
        assert_string_equal(why, reasons[i].told);
    }
    keys_say_why("0123456789ABCDEF\n", why);
    assert_string_equal(why, "");
    memset(much, 'x', sizeof much);
    memcpy(much, "why ", 4);
    much[sizeof much - 1] = '\0';
    keys_say_why(much, why);
    assert_true(strlen(why) <= KEYS_WHY_CHARS);
}

/* ---- the book ---- */

static void the_book_is_kept(void **state)
{
    (void)state;
    char dir[] = "/tmp/muster-keys-XXXXXX", path[64];
    struct keys_book book = {.kept_ms = 1000};
    static const uint8_t other_boot[16] = {8};
    struct keys_book again;
    bool lost = true;
    const struct key_placement key = placement(12, 7);
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/keys", dir);
    assert_true(keys_book_read(path, &again, &lost, NULL));
    assert_false(lost);
    assert_true(keys_floor_raise(&book.floors, &key));
    book.boot_id[3] = 9;
    keys_book_signed_on(&book, 2, true, 5000);
    keys_book_signed_on(&book, 3, false, 10);
    assert_true(keys_book_write(path, &book, NULL));
    assert_true(keys_book_read(path, &again, &lost, NULL));
    assert_false(lost);
    assert_int_equal(keys_floor_of(&again.floors, "tmk")->key_version, 12);
    assert_false(keys_floor_raise(&again.floors, &key));
    assert_int_equal(again.sign_on_count, 2);
    assert_int_equal(again.sign_ons[0].acquirer, 2);
    assert_true(again.sign_ons[0].known && !again.sign_ons[0].failed);
    assert_true(!again.sign_ons[1].known && again.sign_ons[1].failed);
    keys_book_age(&again, book.boot_id, 1500);
    assert_int_equal(again.sign_ons[0].age_ms, 5500);
    keys_book_age(&again, other_boot, 700);
    assert_int_equal(again.sign_ons[0].age_ms, 6200);
    keys_book_age(&again, other_boot, 800);
    assert_int_equal(again.sign_ons[0].age_ms, 6300);
    /* each byte changed is noticed */
    struct buf file = {0};
    assert_true(file_read(path, 8192, &file, NULL));
    for (size_t i = 0; i < file.length; i++) {
        file.data[i] ^= 1;
        assert_true(file_write(path, buf_bytes(&file), 0640, NULL));
        assert_true(keys_book_read(path, &again, &lost, NULL));
        assert_true(lost);
        assert_int_equal(again.floors.count, 0);
        file.data[i] ^= 1;
    }
    buf_done(&file);
    assert_int_equal(unlink(path), 0); /* nor is it read where the medium does not give it */
    assert_int_equal(symlink(path, path), 0);
    assert_true(keys_book_read(path, &again, &lost, NULL));
    assert_true(lost && again.floors.count == 0);
    assert_true(file_remove_tree(dir, NULL));
}

/* What is handed over late says what it can know of, and not more. */
static void sign_ons_count_by_when_they_were(void **state)
{
    (void)state;
    struct keys_book book = {0};
    const struct key_held unnamed = {.own = true};
    const struct key_held of_1 = {.own = true, .of_acquirer = true, .acquirer = 1};
    const struct key_held of_2 = {.own = true, .of_acquirer = true, .acquirer = 2};
    struct key_sign_on by = {0};
    assert_false(keys_book_sign_on(&book, &unnamed, 100, &by));
    keys_book_signed_on(&book, 1, true, 50);
    keys_book_signed_on(&book, 1, false, 60); /* of before */
    assert_true(keys_book_sign_on(&book, &of_1, 100, &by));
    assert_true(by.known && !by.failed && by.age_ms == 50 && by.limit_ms == 100);
    keys_book_signed_on(&book, 1, true, 70); /* makes nothing younger, nor older */
    keys_book_signed_on(&book, 1, false, 20);
    keys_book_signed_on(&book, 1, true, 30); /* approved since, and the newest was not */
    assert_true(keys_book_sign_on(&book, &of_1, 100, &by));
    assert_true(by.failed && by.age_ms == 30);
    /* another acquirer's yes says nothing of this one's */
    keys_book_signed_on(&book, 2, true, 1);
    assert_true(keys_book_sign_on(&book, &of_1, 100, &by) && by.failed);
    assert_true(keys_book_sign_on(&book, &of_2, 100, &by) && !by.failed && by.age_ms == 1);
    assert_true(keys_book_sign_on(&book, &unnamed, 100, &by) && by.failed && by.acquirer == 1);
    keys_book_signed_on(&book, 1, true, 5);
    assert_true(keys_book_sign_on(&book, &unnamed, 100, &by) && !by.failed && by.age_ms == 5);
    /* who is heard of no more makes room */
    for (unsigned i = 0; i < KEYS_SIGN_ONS; i++)
        keys_book_signed_on(&book, 100 + i, true, 0);
    assert_int_equal(book.sign_on_count, KEYS_SIGN_ONS);
    assert_false(keys_book_sign_on(&book, &of_1, 100, &by));
    assert_false(keys_book_sign_on(&book, &of_2, 100, &by));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_judged),
        cmocka_unit_test(a_slot_is_observed),
        cmocka_unit_test(a_key_is_more_than_its_check_value),
        cmocka_unit_test(floors_only_rise),
        cmocka_unit_test(own_keys_go_by_the_sign_on),
        cmocka_unit_test(an_inventory_is_read),
        cmocka_unit_test(an_answer_is_read),
        cmocka_unit_test(a_reason_holds_no_key),
        cmocka_unit_test(the_book_is_kept),
        cmocka_unit_test(sign_ons_count_by_when_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
