/* SPDX-License-Identifier: Apache-2.0 */
/* What meets at an installer. The first byte chooses: what a version hook prints, or the book that
 * lies between two starts, its hash made right. */
#include "agent/packages_book.h"
#include "proto/seal.h"
#include "proto/topics.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

enum { OUTPUT_BYTES = 4096, DIGEST_CHARS = 64 };

static void judge(const struct package_row *row, Muster__AssignMode mode, const char *running)
{
    static const uint8_t boot_id[16] = {1};
    struct package_wanted wanted = {.kind = MUSTER__DOCUMENT_KIND__DOCUMENT_FIRMWARE, .mode = mode};
    const struct package_facts facts = {
        .running = running, .trouble = "", .model = "", .boot_id = boot_id, .limit_ms = 1};
    struct package_verdict verdict;
    memcpy(wanted.name, row->name, sizeof wanted.name);
    memcpy(wanted.package_version, row->package_version, sizeof wanted.package_version);
    package_judge(&wanted, row, &facts, &verdict);
    HOLDS(verdict.todo == PACKAGE_REST || mode == MUSTER__ASSIGN_MODE__MODE_REPAIR);
    HOLDS(verdict.todo != PACKAGE_HAND_OVER || running[0] != 0);
    HOLDS(verdict.todo != PACKAGE_HAND_OVER || row->handings < PACKAGE_HANDINGS ||
          row->step == PACKAGE_NEW || row->refusal == MUSTER__REFUSAL__REFUSAL_PACKAGE_MODEL);
    HOLDS(verdict.step == PACKAGE_DONE || strcmp(running, wanted.package_version) != 0);
    HOLDS(memchr(verdict.why, 0, sizeof verdict.why) != NULL);
}

static void judge_each_mode(const struct package_row *row, const char *running)
{
    judge(row, MUSTER__ASSIGN_MODE__MODE_OBSERVE, running);
    judge(row, MUSTER__ASSIGN_MODE__MODE_PROPOSE, running);
    judge(row, MUSTER__ASSIGN_MODE__MODE_REPAIR, running);
}

/* As base/child keeps it: a text that ends. */
static void try_output(struct bytes in)
{
    char text[OUTPUT_BYTES + 1], running[PACKAGE_VERSION_CHARS + 1];
    size_t length = in.length < OUTPUT_BYTES ? in.length : OUTPUT_BYTES;
    if (length > 0)
        memcpy(text, in.data, length);
    text[length] = 0;
    bool good = package_running(text, running);
    HOLDS(good == package_version_valid(running));
    HOLDS(good || running[0] == 0);
}

static void try_book(struct bytes in)
{
    struct packages_book book;
    struct buf file = {0};
    uint8_t digest[32];
    char hex[DIGEST_CHARS + 1];
    sha256(in, digest);
    hex_encode(digest, sizeof digest, hex);
    if (!buf_append(&file, in.data, in.length, NULL) ||
        !buf_append(&file, hex, DIGEST_CHARS, NULL) ||
        !packages_book_parse(buf_bytes(&file), &book)) {
        buf_done(&file);
        return;
    }
    buf_done(&file);
    HOLDS(book.count <= PACKAGES_ROWS);
    for (size_t i = 0; i < book.count; i++) {
        const struct package_row *row = &book.rows[i];
        HOLDS(document_name_valid(row->name) && package_version_valid(row->package_version));
        HOLDS(row->step >= PACKAGE_NEW && row->step <= PACKAGE_REFUSED);
        HOLDS(protobuf_c_enum_descriptor_get_value(&muster__refusal__descriptor,
                                                   (int)row->refusal) != NULL);
        judge_each_mode(row, "");
        judge_each_mode(row, "1");
        judge_each_mode(row, row->package_version);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 2 == 0)
        try_output(bytes_of(data + 1, size - 1));
    else
        try_book(bytes_of(data + 1, size - 1));
    return 0;
}
