/* SPDX-License-Identifier: Apache-2.0 */
/* A spool's files after a disk has changed them: bits flipped at any place of the database or of
 * its chain, and the end cut off. The spool must open, at the latest at the second try; what it
 * gives was pushed; and it takes new records, which are there after the
 * next start. */
#include "base/file.h"
#include "tests/fuzz/spool_world.h"

#include <stdio.h>
#include <string.h>

enum { TRIES = 3 };

/* A database of another program, or of a version that is yet to be written, is not touched: two
 * numbers of SQLite's header say so, and nothing else. */
static bool seems_foreign(struct bytes database)
{
    enum { USER_VERSION = 60, APPLICATION_ID = 68, HEADER = 100 };
    struct bytes was = spool_world_files()[0].content;
    return database.length >= HEADER &&
           (memcmp(database.data + USER_VERSION, was.data + USER_VERSION, 4) != 0 ||
            memcmp(database.data + APPLICATION_ID, was.data + APPLICATION_ID, 4) != 0);
}

/* [file, 3 bytes of offset, bits] ..., and what is left over is the file to be cut and where. True:
 * the database may seem to be another program's. */
static bool damage(struct bytes in)
{
    const struct spool_world_file *files = spool_world_files();
    struct buf contents[SPOOL_WORLD_FILES] = {{0}};
    for (int i = 0; i < SPOOL_WORLD_FILES; i++)
        HOLDS(buf_append(&contents[i], files[i].content.data, files[i].content.length, NULL));
    while (in.length >= 5) {
        struct buf *file = &contents[fuzz_byte(&in) % SPOOL_WORLD_FILES];
        size_t at = (size_t)fuzz_number(&in, 3) % file->length;
        file->data[at] ^= fuzz_byte(&in);
    }
    if (in.length >= 3) {
        struct buf *file = &contents[fuzz_byte(&in) % SPOOL_WORLD_FILES];
        file->length = (size_t)fuzz_number(&in, 3) % file->length;
    }
    bool foreign = seems_foreign(buf_bytes(&contents[0]));
    (void)fuzz_dir();
    for (int i = 0; i < SPOOL_WORLD_FILES; i++) {
        char path[FUZZ_PATH_BYTES];
        fuzz_path(files[i].name, path);
        HOLDS(file_write(path, buf_bytes(&contents[i]), 0600, NULL));
        buf_done(&contents[i]);
    }
    return foreign;
}

/* One life of an agent: all is read, one more is pushed. */
static bool live(struct spool *spool, uint64_t *ret_seen, struct err *err)
{
    size_t removed = 0;
    return spool_world_check(spool, true, ret_seen, err) && spool_world_push(spool, 1, err) &&
           spool_forget(spool, &removed, err) && spool_world_check(spool, true, ret_seen, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct spool *spool = NULL;
    struct err err = {0};
    uint64_t seen = 0, again = 0, incarnation = 0;
    bool lived = false;
    bool foreign = damage(bytes_of(data, size));
    for (int i = 0; i < TRIES && !lived; i++) {
        if (!spool_world_open(&spool, &err)) {
            (void)fprintf(stderr, "open: %s\n", err.text);
            HOLDS(foreign && (err.code == ERR_REFUSED || err.code == ERR_CONFLICT));
            return 0;
        }
        incarnation = spool_incarnation(spool);
        lived = live(spool, &seen, &err);
        spool_close(spool);
    }
    if (!lived) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    HOLDS(spool_world_open(&spool, NULL) && spool_incarnation(spool) != incarnation);
    HOLDS(spool_world_check(spool, true, &again, NULL) && again == seen);
    spool_close(spool);
    return 0;
}
