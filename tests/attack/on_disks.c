/* SPDX-License-Identifier: Apache-2.0 */
/* The disk put back: what was accepted is replaced by what was good once, while the terminal is
 * off. Nobody's key is needed for it. */
#include "tests/attack/strike.h"

#include "base/file.h"

static void put(const struct strike *strike, const char *name, struct bytes content)
{
    char path[TERMINAL_PATH + 64];
    struct err err = {0};
    must(path_join(path, sizeof path, strike->terminal.registry, name, &err) && file_exists(path) &&
             file_write(path, content, 0600, &err),
         name, &err);
}

static void lose(const struct strike *strike, const char *name)
{
    char path[TERMINAL_PATH + 64];
    struct err err = {0};
    must(path_join(path, sizeof path, strike->terminal.registry, name, &err) && file_exists(path) &&
             file_remove(path, &err),
         name, &err);
}

static void manifest_back(struct strike *strike, struct buf *old)
{
    put(strike, "desired", buf_bytes(old));
}

static void first_floors_lost(struct strike *strike, struct buf *old)
{
    manifest_back(strike, old);
    lose(strike, "floors");
}

static void second_floors_lost(struct strike *strike, struct buf *old)
{
    manifest_back(strike, old);
    lose(strike, "../floors");
}

static void all_floors_lost(struct strike *strike, struct buf *old)
{
    first_floors_lost(strike, old);
    lose(strike, "../floors");
}

static void floors_damaged(struct strike *strike, struct buf *old)
{
    manifest_back(strike, old);
    put(strike, "floors", bytes_of("floors\t1\t1\t1\n", 13));
    put(strike, "../floors", bytes_of("", 0));
}

/* And what the generation in force keeps of its manifest. */
static void copies_back(struct strike *strike, struct buf *old)
{
    first_floors_lost(strike, old);
    put(strike, "current/.manifest", buf_bytes(old));
}

static void only_the_copy_left(struct strike *strike, struct buf *old)
{
    lose(strike, "desired");
    put(strike, "current/.manifest", buf_bytes(old));
}

#define WHY .late = true, .reason = MUSTER__REFUSAL__REFUSAL_MANIFEST_OLD

static const struct variant list[] = {
    {ATTACK_ROLLBACK, "manifest on the disk", MESSAGE_DISK, .spoil = manifest_back, WHY},
    {ATTACK_ROLLBACK, "disk without first floors", MESSAGE_DISK, .spoil = first_floors_lost, WHY},
    {ATTACK_ROLLBACK, "disk without second floors", MESSAGE_DISK, .spoil = second_floors_lost, WHY},
    {ATTACK_ROLLBACK, "disk without floors", MESSAGE_DISK, .spoil = all_floors_lost, WHY},
    {ATTACK_ROLLBACK, "disk with damaged floors", MESSAGE_DISK, .spoil = floors_damaged, WHY},
    {ATTACK_ROLLBACK, "every manifest on the disk", MESSAGE_DISK, .spoil = copies_back, WHY},
    {ATTACK_ROLLBACK, "copy on the disk", MESSAGE_DISK, .spoil = only_the_copy_left, WHY},
};

const struct variants attacks_on_disks = {list, sizeof list / sizeof list[0]};
