/* SPDX-License-Identifier: Apache-2.0 */
/* Cells of B-tree pages, and the rows in them. */
#include "storage/pages_state.h"

#include <string.h>

enum { VARINT_MAX = 9, POINTER_BYTES = 4 };

/* SQLite's varint: big-endian, the ninth byte whole. 0: there is none. */
static size_t varint(struct bytes in, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < in.length && i < VARINT_MAX; i++) {
        if (i == VARINT_MAX - 1) {
            *ret_value = value << 8 | in.data[i];
            return VARINT_MAX;
        }
        value = value << 7 | (in.data[i] & 0x7f);
        if ((in.data[i] & 0x80) == 0) {
            *ret_value = value;
            return i + 1;
        }
    }
    return 0;
}

/* ---- a cell ---- */

struct cell {
    int64_t rowid;
    uint64_t length;   /* of the whole row */
    struct bytes here; /* what of it is in this page */
    uint32_t next;     /* where the rest begins; 0: that is all */
};

static bool holds_rows(uint8_t flag)
{
    return flag == PAGES_TABLE_LEAF || flag == PAGES_INDEX_LEAF || flag == PAGES_INDEX_INTERIOR;
}

static uint64_t local_bytes(const struct pages *pages, uint8_t flag, uint64_t length)
{
    uint64_t usable = pages->page_bytes;
    uint64_t most = flag == PAGES_TABLE_LEAF ? usable - 35 : (usable - 12) * 64 / 255 - 23;
    uint64_t least = (usable - 12) * 32 / 255 - 23;
    if (length <= most)
        return length;
    uint64_t kept = least + (length - least) % (usable - POINTER_BYTES);
    return kept <= most ? kept : least;
}

static bool take_varint(struct bytes *rest, uint64_t *ret_value)
{
    size_t head = varint(*rest, ret_value);
    *rest = bytes_of(rest->data + head, rest->length - head);
    return head > 0;
}

static bool cell_at(const struct pages *pages, uint32_t index, struct cell *ret_cell)
{
    const uint8_t *page = pages->page;
    uint8_t flag = page[0];
    uint32_t begin = flag == PAGES_INDEX_INTERIOR ? 12 : 8;
    if (index >= pages_u16(page + 3) || begin + 2 * index + 2 > pages->page_bytes)
        return false;
    uint32_t at = pages_u16(page + begin + 2 * index);
    at += flag == PAGES_INDEX_INTERIOR ? POINTER_BYTES : 0;
    if (at < begin || at >= pages->page_bytes)
        return false;
    struct bytes rest = bytes_of(page + at, pages->page_bytes - at);
    uint64_t rowid = 0;
    struct cell cell = {0};
    if (!take_varint(&rest, &cell.length) ||
        (flag == PAGES_TABLE_LEAF && !take_varint(&rest, &rowid)))
        return false;
    uint64_t local = local_bytes(pages, flag, cell.length);
    uint64_t pointer = local < cell.length ? POINTER_BYTES : 0;
    if (local > rest.length || pointer > rest.length - local)
        return false;
    cell.rowid = (int64_t)rowid;
    cell.here = bytes_of(rest.data, (size_t)local);
    cell.next = pointer > 0 ? pages_u32(rest.data + local) : 0;
    *ret_cell = cell;
    return true;
}

/* ---- a row that goes on in other pages ---- */

/* The page that the pointer map says goes on where `before` ends. */
static uint32_t search_next(struct pages *pages, uint32_t before, uint8_t kind)
{
    if (pages->searches_left == 0)
        return 0;
    pages->searches_left--;
    for (uint32_t number = 3; number <= pages->count; number++) {
        if (pages->kind[number] == kind && pages->parent[number] == before)
            return number;
    }
    return 0;
}

/* Where the row goes on: as the page says, unless the pointer map knows better. A page of whose
 * first row that is asked may have several rows that go on: there the map is no help. */
static uint32_t next_page(struct pages *pages, uint32_t before, uint32_t said, uint8_t kind)
{
    bool there = said >= 3 && said <= pages->count;
    if (there && pages->kind[said] == kind && pages->parent[said] == before)
        return said;
    uint32_t found = kind == PAGES_OVERFLOW_NEXT ? search_next(pages, before, kind) : 0;
    if (found != 0)
        return found;
    bool contradicted =
        there && (pages->kind[said] == PAGES_ROOT || pages->kind[said] == PAGES_FREE ||
                  pages->kind[said] == PAGES_TREE);
    return there && !contradicted ? said : 0;
}

/* What is missing stays zero: what stands before and behind it can still be told. */
static bool load(struct pages *pages, uint32_t number, const struct cell *cell, size_t max_bytes)
{
    size_t length = (size_t)cell->length;
    if (cell->length > max_bytes)
        return false;
    buf_clear(&pages->row);
    uint8_t *out = buf_reserve(&pages->row, length > 0 ? length : 1, NULL);
    if (out == NULL)
        return false;
    memset(out, 0, length);
    memcpy(out, cell->here.data, cell->here.length);
    size_t at = cell->here.length, most = pages->page_bytes - POINTER_BYTES;
    uint8_t kind = PAGES_OVERFLOW_FIRST;
    uint32_t next = cell->next;
    while (at < length) {
        next = next_page(pages, number, next, kind);
        if (next == 0 || !pages_read(pages, next, pages->overflow))
            break;
        size_t part = length - at < most ? length - at : most;
        memcpy(out + at, pages->overflow + POINTER_BYTES, part);
        at += part;
        number = next;
        next = pages_u32(pages->overflow);
        kind = PAGES_OVERFLOW_NEXT;
    }
    pages->row.length = length;
    return true;
}

/* ---- the columns of a row ---- */

static const uint8_t integer_bytes[] = {0, 1, 2, 3, 4, 6, 8, 0, 0, 0};
enum { SERIAL_REAL = 7, SERIAL_ZERO = 8, SERIAL_ONE = 9, SERIAL_DATA = 12 };

static int64_t integer_of(const uint8_t *in, size_t length)
{
    uint64_t value = length > 0 && (in[0] & 0x80) != 0 ? UINT64_MAX : 0;
    for (size_t i = 0; i < length; i++)
        value = value << 8 | in[i];
    return (int64_t)value;
}

static bool column_of(uint64_t serial, struct bytes *body, struct pages_value *ret_value)
{
    struct pages_value value = {.is_null = serial == 0, .is_data = serial >= SERIAL_DATA};
    uint64_t length = value.is_data                   ? (serial - SERIAL_DATA) / 2
                      : serial < sizeof integer_bytes ? integer_bytes[serial]
                                                      : UINT64_MAX;
    if (serial == SERIAL_REAL || length > body->length)
        return false;
    if (value.is_data)
        value.data = bytes_of(body->data, (size_t)length);
    else
        value.integer = serial == SERIAL_ONE ? 1 : integer_of(body->data, (size_t)length);
    *body = bytes_of(body->data + length, body->length - (size_t)length);
    *ret_value = value;
    return true;
}

static bool columns_of(struct bytes row, struct pages_row *ret_row)
{
    uint64_t head_length = 0;
    size_t head = varint(row, &head_length);
    if (head == 0 || head_length < head || head_length > row.length)
        return false;
    struct bytes serials = bytes_of(row.data + head, (size_t)head_length - head);
    struct bytes body = bytes_of(row.data + head_length, row.length - (size_t)head_length);
    ret_row->count = 0;
    while (serials.length > 0) {
        uint64_t serial = 0;
        if (ret_row->count == PAGES_COLUMNS || !take_varint(&serials, &serial) ||
            !column_of(serial, &body, &ret_row->columns[ret_row->count]))
            return false;
        ret_row->count++;
    }
    return true;
}

static bool row_in_page(struct pages *pages, struct pages_place place, size_t max_bytes,
                        struct pages_row *ret_row)
{
    struct cell cell;
    if (!cell_at(pages, place.index, &cell) || !load(pages, place.page, &cell, max_bytes))
        return false;
    ret_row->rowid = cell.rowid;
    return columns_of(buf_bytes(&pages->row), ret_row);
}

bool pages_row(struct pages *pages, struct pages_place place, size_t max_bytes,
               struct pages_row *ret_row)
{
    return pages_read(pages, place.page, pages->page) && holds_rows(pages->page[0]) &&
           row_in_page(pages, place, max_bytes, ret_row);
}

bool pages_rows(struct pages *pages, uint32_t root, size_t max_bytes,
                bool (*each)(void *ctx, struct pages_place place, const struct pages_row *row,
                             struct err *err),
                void *ctx, struct err *err)
{
    if (root >= 3 && root <= pages->count && pages->kind[root] != PAGES_ROOT) {
        pages->kind[root] = PAGES_ROOT; /* a table keeps its root: the map is what is wrong */
        pages_repair_map(pages);
    }
    for (uint32_t number = 3; number <= pages->count; number++) {
        bool mine = number == root || pages_owner(pages, number) == root;
        if (!mine || !pages_read(pages, number, pages->page) || !holds_rows(pages->page[0]))
            continue;
        uint32_t cells = pages_u16(pages->page + 3);
        cells = cells < pages->page_bytes / 4 ? cells : pages->page_bytes / 4;
        for (uint32_t i = 0; i < cells; i++) {
            struct pages_place place = {number, (uint16_t)i};
            struct pages_row row;
            if (row_in_page(pages, place, max_bytes, &row) && !each(ctx, place, &row, err))
                return false;
        }
    }
    return true;
}
