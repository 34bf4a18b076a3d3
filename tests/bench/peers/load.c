/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/peers/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_AT = 2 }; /* behind the tag and length of field 1 */

/* As random to a compressor as a real one. Letters in its hex keep it from spelling a card number,
 * which Muster would replace by a hash; peers.py checks that no two are the same. */
static uint64_t key_of(uint64_t index)
{
    uint64_t key = index + UINT64_C(0x9e3779b97f4a7c15);
    key = (key ^ (key >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    key = (key ^ (key >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (key ^ (key >> 31)) | UINT64_C(0x0000a00000a00000);
}

static bool map(const char *path, size_t bytes, int flags, int protection, void **ret_at,
                size_t *ret_bytes, struct err *err)
{
    struct stat file;
    int descriptor = open(path, flags | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return err_errno(err, errno, "%s", path);
    bool done = (bytes == 0 || ftruncate(descriptor, (off_t)bytes) == 0) &&
                fstat(descriptor, &file) == 0 && file.st_size > 0;
    void *at = MAP_FAILED;
    if (done)
        at = mmap(NULL, (size_t)file.st_size, protection, MAP_SHARED, descriptor, 0);
    int why = errno;
    (void)close(descriptor);
    if (at == MAP_FAILED)
        return err_errno(err, why, "%s", path);
    *ret_at = at;
    *ret_bytes = (size_t)file.st_size;
    return true;
}

/* The file is a sequence of records, each behind its length in four bytes, lowest first. */
static bool index_records(struct load *load, const char *path, struct err *err)
{
    load->starts =
        calloc(load->records_bytes / (KEY_AT + LOAD_KEY_BYTES) + 1, sizeof *load->starts);
    if (load->starts == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the records of %s", path);
    for (size_t at = 0; at < load->records_bytes;) {
        uint32_t length;
        if (load->records_bytes - at < sizeof length)
            return err_set(err, ERR_INVALID, "%s: cut off", path);
        memcpy(&length, load->records + at, sizeof length);
        if (length > LOAD_RECORD_MAX || length > load->records_bytes - at - sizeof length ||
            length < KEY_AT + LOAD_KEY_BYTES ||
            load->records[at + sizeof length + 1] != LOAD_KEY_BYTES)
            return err_set(err, ERR_INVALID, "%s: no record at %zu", path, at);
        load->starts[load->record_count++] = (uint32_t)at;
        at += sizeof length + length;
    }
    return true;
}

bool load_open(const char *records_path, const char *marks_path, uint64_t count,
               struct load *ret_load, struct err *err)
{
    void *records = NULL, *marks = NULL;
    size_t marks_bytes = 0;
    *ret_load = (struct load){.count = count};
    if (count == 0)
        return err_set(err, ERR_INVALID, "no records wanted");
    if (!map(records_path, 0, O_RDONLY, PROT_READ, &records, &ret_load->records_bytes, err) ||
        !map(marks_path, count, O_RDWR | O_CREAT, PROT_READ | PROT_WRITE, &marks, &marks_bytes,
             err))
        return false;
    ret_load->records = records;
    ret_load->marks = marks;
    for (uint64_t i = 0; i < count; i++)
        ret_load->accepted += ret_load->marks[i];
    return index_records(ret_load, records_path, err);
}

void load_close(struct load *load)
{
    if (load->records != NULL)
        (void)munmap((void *)(uintptr_t)load->records, load->records_bytes);
    if (load->marks != NULL)
        (void)munmap((void *)(uintptr_t)load->marks, load->count);
    free(load->starts);
    *load = (struct load){0};
}

void load_get(const struct load *load, uint64_t index, struct load_record *ret_record)
{
    const uint8_t *at = load->records + load->starts[index % load->record_count];
    uint32_t length;
    uint64_t key = key_of(index);
    memcpy(&length, at, sizeof length);
    ret_record->index = index;
    ret_record->length = length;
    memcpy(ret_record->body, at + sizeof length, length);
    for (size_t i = 0; i < LOAD_KEY_BYTES; i++)
        ret_record->body[KEY_AT + i] = (uint8_t)(key >> (56 - 8 * i));
}

bool load_next(struct load *load, struct load_record *ret_record)
{
    for (uint64_t index; (index = atomic_fetch_add(&load->next, 1)) < load->count;) {
        if (load->marks[index] == 0) {
            load_get(load, index, ret_record);
            return true;
        }
    }
    return false;
}

void load_accepted(struct load *load, uint64_t index)
{
    load->marks[index] = 1;
    atomic_fetch_add(&load->accepted, 1);
}
