/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/import_row.h"

#include "fleet/api_places.h"
#include "proto/seal.h"
#include "proto/topics.h"

#include <stdlib.h>
#include <string.h>

enum { LABELS_MAX = 64, NAME_CHARS = 64 };

static bool read_key(const json_t *object, struct import_row *row, struct err *err)
{
    const char *text = NULL;
    struct verify_key *key = NULL;
    if (!place_text(object, "agent_key", 2 * (size_t)FLEETDB_KEY_BYTES, &text, err))
        return false;
    if (text == NULL || text[0] == '\0')
        return true;
    if (!api_base64(object, "agent_key", FLEETDB_KEY_BYTES, &row->key, err))
        return false;
    row->enrolment.agent_key = buf_bytes(&row->key);
    if (!verify_key_of_spki(row->enrolment.agent_key, &key, err))
        return err_context(err, "agent_key");
    verify_key_free(key);
    return true;
}

static bool read_life(const json_t *object, struct import_row *row, struct err *err)
{
    const char *word = NULL;
    if (!place_text(object, "state", 16, &word, err))
        return false;
    row->has_life = word != NULL && word[0] != '\0';
    if (row->has_life && !fleetdb_life_find(word, &row->life))
        return err_set(err, ERR_INVALID,
                       "state \"%s\": expected in_service, spare, lab, repair, suspended or "
                       "retired",
                       word);
    /* Nothing is placed that is retired: one that is new retires afterwards. */
    row->enrolment.life = !row->has_life                 ? FLEETDB_IN_SERVICE
                          : row->life == FLEETDB_RETIRED ? FLEETDB_SPARE
                                                         : row->life;
    return true;
}

static bool read_labels(const json_t *object, struct import_row *row, struct err *err)
{
    const char *name = NULL;
    json_t *value = NULL, *labels = json_object_get(object, "labels");
    row->has_labels = labels != NULL;
    if (labels != NULL && (!json_is_object(labels) || json_object_size(labels) > LABELS_MAX))
        return err_set(err, ERR_INVALID, "labels: expected at most %d", LABELS_MAX);
    row->labels = calloc(json_object_size(labels) + 1, sizeof *row->labels);
    if (row->labels == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the labels");
    json_object_foreach(labels, name, value)
    {
        if (!place_check_label(name, json_string_value(value), err))
            return false;
        row->labels[row->label_count++] = (struct fleetdb_label){name, json_string_value(value)};
    }
    return true;
}

static bool read_terminals(const json_t *object, struct import_row *row, struct err *err)
{
    struct fleetdb_terminal terminals[PLACE_TERMINALS_MAX] = {{0}};
    struct fleetdb_enrolment *enrolment = &row->enrolment;
    const json_t *list = json_object_get(object, "terminals");
    enrolment->keep_terminals = list == NULL;
    if (list == NULL)
        return true;
    if (!place_read_terminals(list, terminals, &enrolment->terminal_count, err))
        return false;
    if (row->has_life && row->life == FLEETDB_RETIRED && enrolment->terminal_count > 0)
        return err_set(err, ERR_INVALID, "a retired device carries no logical terminals");
    row->terminals = calloc(enrolment->terminal_count + 1, sizeof *row->terminals);
    if (row->terminals == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the logical terminals");
    memcpy(row->terminals, terminals, enrolment->terminal_count * sizeof *terminals);
    enrolment->terminals = row->terminals;
    return true;
}

/* Nothing is said of a place whose codes are both empty. */
static bool read_place(const json_t *object, struct fleetdb_enrolment *enrolment, struct err *err)
{
    struct fleetdb_store store = {0};
    const char *merchant = NULL, *code = NULL;
    if (!place_text(json_object_get(object, "merchant"), "id", NAME_CHARS, &merchant, err) ||
        !place_text(json_object_get(object, "store"), "id", NAME_CHARS, &code, err))
        return false;
    bool said = (merchant != NULL && merchant[0] != '\0') || (code != NULL && code[0] != '\0');
    if (said && !place_read(object, &store, err))
        return false;
    place_enrol(&store, enrolment);
    return true;
}

static bool read_row(const json_t *object, struct import_row *row, struct err *err)
{
    struct fleetdb_enrolment *enrolment = &row->enrolment;
    if (!json_is_object(object))
        return err_set(err, ERR_INVALID, "expected an object for each device");
    if (!api_text(object, "id", 32, &enrolment->id, err) ||
        !api_text(object, "serial", NAME_CHARS, &enrolment->serial, err) ||
        !api_text(object, "model", NAME_CHARS, &enrolment->model, err) ||
        !read_key(object, row, err) || !read_life(object, row, err) ||
        !read_labels(object, row, err) || !read_terminals(object, row, err))
        return false;
    if (!device_id_valid(enrolment->id))
        return err_set(err, ERR_INVALID, "id \"%.40s\": expected 1 to 32 of a-z, 0-9 and '-'",
                       enrolment->id);
    return read_place(object, enrolment, err);
}

bool import_row_read(const json_t *object, struct import_row *ret_row, struct err *err)
{
    struct import_row row = {0};
    if (!read_row(object, &row, err)) {
        import_row_done(&row);
        return false;
    }
    *ret_row = row;
    return true;
}

void import_row_done(struct import_row *row)
{
    free(row->terminals);
    free(row->labels);
    buf_done(&row->key);
    *row = (struct import_row){0};
}
