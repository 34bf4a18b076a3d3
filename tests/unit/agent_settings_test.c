/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/settings.h"

#include "base/file.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };

static bool load(const char *uplink, struct agent_settings *settings, struct err *err)
{
    char path[] = "/tmp/muster-settings-XXXXXX", text[512];
    int fd = mkstemp(path);
    snprintf(text, sizeof text, "[device]\nid = till-01\nserial = 1\nmodel = M\n[uplink]\n%s\n",
             uplink);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    bool ok = agent_settings_load(path, settings, err);
    unlink(path);
    return ok;
}

static struct agent_settings loaded(const char *uplink)
{
    struct agent_settings settings;
    struct err err = {0};
    if (!load(uplink, &settings, &err))
        fail_msg("%s", err.text);
    return settings;
}

/* As many as there may be, each as long as it may be. */
static void test_all_owned_files_have_room(void **state)
{
    static struct agent_settings settings;
    char path[] = "/tmp/muster-settings-XXXXXX";
    struct err err = {0};
    FILE *file = fdopen(mkstemp(path), "w");
    (void)state;
    assert_non_null(file);
    fprintf(file, "[device]\nid = till-01\nserial = 1\nmodel = M\n[owned]\n");
    for (int i = 0; i < OWNED_FILES; i++)
        fprintf(file, "%0*d = /%0*d\n", LIMIT_DOCUMENT_NAME_CHARS, i, OWNED_PATH_BYTES - 2, i);
    assert_int_equal(fclose(file), 0);
    bool ok = agent_settings_load(path, &settings, &err);
    (void)unlink(path);
    if (!ok)
        fail_msg("%s", err.text);
    assert_int_equal(settings.owned.count, OWNED_FILES);
}

static void test_the_policy_says_what_is_not_said(void **state)
{
    (void)state;
    struct agent_settings wired = loaded("");
    assert_int_equal(wired.uplink_linger_ms, 5 * SECOND);
    assert_int_equal(wired.uplink_quiet_ms, MINUTE);
    assert_int_equal(wired.uplink_receipts_ms, 0);
    assert_int_equal(wired.uplink_resend_ms, 30 * SECOND);
    assert_int_equal(wired.probe_record_ms, 0);
    assert_int_equal(wired.probe_alone_ms, 5 * SECOND);
    struct agent_settings metered = loaded("policy = metered");
    assert_int_equal(metered.uplink_linger_ms, 15 * MINUTE);
    assert_int_equal(metered.uplink_quiet_ms, MINUTE);
    assert_int_equal(metered.uplink_receipts_ms, HOUR);
    assert_int_equal(metered.uplink_resend_ms, 90 * MINUTE);
    assert_int_equal(metered.probe_record_ms, HOUR);
    assert_int_equal(metered.probe_alone_ms, 6 * HOUR);
}

static void test_what_is_said_overrides_the_policy(void **state)
{
    (void)state;
    struct agent_settings settings =
        loaded("policy = metered\nlinger = 2m\nreceipts = 2h\n[probe]\nrecord = auto\nalone = 1h");
    assert_int_equal(settings.uplink_linger_ms, 2 * MINUTE);
    assert_int_equal(settings.uplink_resend_ms, 3 * HOUR);
    assert_int_equal(settings.probe_record_ms, HOUR);
    assert_int_equal(settings.probe_alone_ms, HOUR);
}

static void test_the_gate(void **state)
{
    (void)state;
    struct agent_settings settings = loaded("");
    assert_int_equal(settings.gate_alone_ms, 10 * MINUTE);
    assert_int_equal(settings.gate_patience_ms, 12 * HOUR);
    assert_int_equal(settings.gate_hook_limit_ms, 10 * SECOND);
    assert_int_equal(settings.gate_every_ms, 10 * SECOND);
    assert_string_equal(settings.gate_hook, "");
    settings = loaded("[gate]\nalone = 0s\npatience = 1h\nhook = /opt/busy");
    assert_int_equal(settings.gate_alone_ms, 0);
    assert_int_equal(settings.gate_patience_ms, HOUR);
    assert_string_equal(settings.gate_hook, "/opt/busy");
    struct err err = {0};
    assert_false(load("[gate]\npatience = 0s", &settings, &err)); /* somebody is asked */
}

static void test_a_quota_without_room_for_the_keys_is_refused(void **state)
{
    (void)state;
    struct agent_settings settings;
    struct err err = {0};
    assert_false(load("[spool]\nquota = 4M\nkey_window = 100000", &settings, &err));
    assert_non_null(strstr(err.text, "spool.key_window"));
    (void)loaded("[spool]\nquota = 16M\nkey_window = 100000");
}

static void test_a_resend_before_the_receipt_can_come_is_refused(void **state)
{
    (void)state;
    struct agent_settings settings;
    struct err err = {0};
    assert_false(load("policy = metered\nresend = 30m", &settings, &err));
    assert_non_null(strstr(err.text, "uplink.resend is shorter than uplink.receipts"));
    assert_false(load("resend = 10ms", &settings, &err));
    assert_non_null(strstr(err.text, "uplink.resend is shorter than 1s"));
    assert_false(load("linger = soon", &settings, &err));
    assert_non_null(strstr(err.text, "expected a duration from 0ms to 1d, or auto"));
    assert_false(load("quiet = auto", &settings, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_owned_files_have_room),
        cmocka_unit_test(test_the_policy_says_what_is_not_said),
        cmocka_unit_test(test_what_is_said_overrides_the_policy),
        cmocka_unit_test(test_the_gate),
        cmocka_unit_test(test_a_quota_without_room_for_the_keys_is_refused),
        cmocka_unit_test(test_a_resend_before_the_receipt_can_come_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
