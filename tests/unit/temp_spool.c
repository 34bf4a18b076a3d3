/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/temp_spool.h"

#include "base/file.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>

static void open_in(struct temp_spool *temp)
{
    char path[96];
    struct err err = {0};
    snprintf(path, sizeof path, "%s/spool.db", temp->dir);
    const struct spool_settings settings = {
        .path = path,
        .device = "term-0001",
        .quota_bytes = 4 << 20,
        .grace_ms = 0,
        .key_window = 1000,
    };
    if (!spool_open(&settings, &clock_real, &temp->spool, &err))
        fail_msg("%s", err.text);
}

void temp_spool_open(struct temp_spool *temp)
{
    snprintf(temp->dir, sizeof temp->dir, "/tmp/muster-test-XXXXXX");
    assert_non_null(mkdtemp(temp->dir));
    open_in(temp);
}

void temp_spool_reopen(struct temp_spool *temp)
{
    spool_close(temp->spool);
    open_in(temp);
}

void temp_spool_close(struct temp_spool *temp)
{
    struct err err = {0};
    spool_close(temp->spool);
    assert_true(file_remove_tree(temp->dir, &err));
}
