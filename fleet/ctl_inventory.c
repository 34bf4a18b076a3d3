/* SPDX-License-Identifier: Apache-2.0 */
/* device export, device import: all that ops say of devices, as CSV. */
#include "base/file.h"
#include "base/utf8.h"
#include "fleet/base64.h"
#include "fleet/csv_text.h"
#include "fleet/ctl_choose.h"
#include "fleet/ctl_place.h"
#include "fleet/ctl_table.h"
#include "proto/seal.h"

#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES = 16 * 1024 * 1024 };

/* The columns, and where each stands in a device's JSON; those without a form are texts. */
enum form { TEXT, TERMINALS, LABELS, KEY };
static const struct column {
    const char *name;
    const char *object, *member; /* object NULL: of the device itself */
    enum form form;
} columns[] = {
    {"id", NULL, "id", TEXT},
    {"serial", NULL, "serial", TEXT},
    {"model", NULL, "model", TEXT},
    {"state", NULL, "state", TEXT},
    {"merchant", "merchant", "id", TEXT},
    {"merchant_name", "merchant", "name", TEXT},
    {"store", "store", "id", TEXT},
    {"store_name", "store", "name", TEXT},
    {"region", "store", "region", TEXT},
    {"time_zone", "store", "time_zone", TEXT},
    {"opening_hours", "store", "opening_hours", TEXT},
    {"address", "store", "address", TEXT},
    {"terminals", NULL, "terminals", TERMINALS},
    {"labels", NULL, "labels", LABELS},
    {"agent_key", NULL, "agent_key", KEY},
};
enum { COLUMNS = sizeof columns / sizeof *columns };

/* ---- device export ---- */

/* No text of a device holds what a terminal would obey; where one does all the same, it is not
 * passed on. */
static bool append(struct buf *out, const char *text, struct err *err)
{
    uint32_t code = 0;
    for (size_t at = 0, length = strlen(text), step; at < length; at += step) {
        step = utf8_next(bytes_of(text + at, length - at), &code);
        bool good = step > 0 && !utf8_obeyed(code);
        if (!buf_append(out, good ? text + at : "?", good ? step : 1, err))
            return false;
        step = step > 0 ? step : 1;
    }
    return true;
}

/* "0:unionpay:12345678:123456789012345;1:..." */
static bool terminals_text(const json_t *list, struct buf *out, struct err *err)
{
    size_t i;
    json_t *terminal;
    json_array_foreach(list, i, terminal)
    {
        char text[160];
        (void)snprintf(text, sizeof text, "%s%" PRId64 ":%.64s:%.16s:%.32s", i > 0 ? ";" : "",
                       ctl_number(terminal, "index"), ctl_text(terminal, "acquirer"),
                       ctl_text(terminal, "tid"), ctl_text(terminal, "mid"));
        if (!append(out, text, err))
            return false;
    }
    return true;
}

/* "lane=express;floor=2" */
static bool labels_text(const json_t *labels, struct buf *out, struct err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)labels, name, value)
    {
        const char *text = json_string_value(value);
        if ((out->length > 0 && !append(out, ";", err)) || !append(out, name, err) ||
            !append(out, "=", err) || !append(out, text != NULL ? text : "", err))
            return false;
    }
    return true;
}

static bool cell_text(const struct column *column, const json_t *device, struct buf *out,
                      struct err *err)
{
    const json_t *object =
        column->object != NULL ? json_object_get(device, column->object) : device;
    const json_t *value = json_object_get(object, column->member);
    bool done = column->form == TERMINALS ? terminals_text(value, out, err)
                : column->form == LABELS  ? labels_text(value, out, err)
                                          : append(out, ctl_text(object, column->member), err);
    return done && buf_append(out, "", 1, err);
}

static bool write_device(FILE *out, const json_t *device, struct err *err)
{
    struct buf texts[COLUMNS] = {0};
    const char *cells[COLUMNS];
    bool done = true;
    for (size_t i = 0; i < COLUMNS; i++) {
        done = done && cell_text(&columns[i], device, &texts[i], err);
        cells[i] = (const char *)texts[i].data;
    }
    if (done)
        csv_write_row(out, cells, COLUMNS);
    for (size_t i = 0; i < COLUMNS; i++)
        buf_done(&texts[i]);
    return done;
}

static int write_devices(struct ctl *ctl, const json_t *devices, struct err *err)
{
    size_t i;
    json_t *device;
    const char *names[COLUMNS];
    FILE *out = ctl->csv != NULL ? ctl->csv : ctl->out;
    ctl->csv_begun = true;
    for (size_t c = 0; c < COLUMNS; c++)
        names[c] = columns[c].name;
    csv_write_row(out, names, COLUMNS);
    json_array_foreach(devices, i, device)
    {
        if (!write_device(out, device, err))
            return exit_code_of(err);
    }
    return EXIT_OK;
}

static int device_export(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    json_t *reply = NULL, *ids = json_array();
    int code = ctl_choose(ctl, args, ids, err);
    if (code == EXIT_OK && !client_get(ctl->client, "/api/v1/inventory", &reply, err))
        code = exit_code_of(err);
    json_t *devices = ctl_keep_chosen(json_object_get(reply, "devices"), "id", ids);
    if (code == EXIT_OK && ctl->json) {
        json_t *shown = json_pack("{s:O}", "devices", devices);
        code = ctl_print_json(ctl, shown, err);
        json_decref(shown);
    } else if (code == EXIT_OK) {
        code = write_devices(ctl, devices, err);
    }
    json_decref(devices);
    json_decref(reply);
    json_decref(ids);
    return code;
}

static const struct ctl_option export_options[] = {CTL_CHOOSE_DEVICES, {0}};

const struct ctl_command ctl_device_export = {
    .words = "device export",
    .arguments = "",
    .summary = "Print devices as CSV (RFC 4180), as device import takes them.",
    .options = export_options,
    .has_csv = true,
    .run = device_export,
};

/* ---- device import ---- */

struct import {
    const char *path;
    bool from_stdin;
    char folder[4096]; /* of the file: keys are named from there */
    const struct column *order[CSV_CELLS_MAX];
    size_t columns;
    bool headed;
    json_t *devices;
    json_t *lines; /* on which each begins */
    int64_t wrong; /* rows that could not be read */
};

static void complain(struct import *import, size_t line, const char *text)
{
    import->wrong++;
    fprintf(stderr, "%s:%zu: %s\n", import->path, line, text);
}

static bool read_header(struct import *import, const char *const *cells, size_t count,
                        struct err *err)
{
    bool named[COLUMNS] = {0};
    for (size_t i = 0; i < count; i++) {
        size_t c = 0;
        while (c < COLUMNS && strcmp(cells[i], columns[c].name) != 0)
            c++;
        if (c == COLUMNS)
            return err_set(err, ERR_INVALID,
                           "%s:1: \"%.40s\" is no column of device export; its first line names "
                           "them all",
                           import->path, cells[i]);
        if (named[c])
            return err_set(err, ERR_INVALID, "%s:1: two columns \"%s\"", import->path, cells[i]);
        named[c] = true;
        import->order[i] = &columns[c];
    }
    for (size_t c = 0; c < 3; c++) {
        if (!named[c])
            return err_set(err, ERR_INVALID, "%s:1: no column \"%s\": id, serial and model must be",
                           import->path, columns[c].name);
    }
    import->columns = count;
    import->headed = true;
    return true;
}

/* "@FILE" is a key in a file beside the CSV. */
static bool read_key(const struct import *import, const char *text, json_t *object, struct err *err)
{
    char path[8192];
    struct verify_key *key = NULL;
    struct buf encoded = {0};
    if (text[0] != '@')
        return json_object_set_new(object, "agent_key", json_string(text)) == 0;
    (void)snprintf(path, sizeof path, "%s%s%s", text[1] == '/' ? "" : import->folder,
                   text[1] == '/' ? "" : "/", text + 1);
    if (!verify_key_read(path, &key, err))
        return err_context(err, "agent_key");
    bool done = base64_encode(verify_key_spki(key), &encoded, err);
    if (done)
        (void)json_object_set_new(object, "agent_key", json_string((const char *)encoded.data));
    buf_done(&encoded);
    verify_key_free(key);
    return done;
}

static bool read_terminals(const char *text, json_t *object, struct err *err)
{
    json_t *list = json_array();
    (void)json_object_set_new(object, "terminals", list);
    char *copy = strdup(text), *rest = copy;
    bool done = copy != NULL || err_set(err, ERR_NO_MEMORY, "no memory for a row");
    for (const char *one; done && text[0] != '\0' && (one = strsep(&rest, ";")) != NULL;) {
        json_t *terminal = ctl_terminal(one, err);
        done = terminal != NULL && json_array_append_new(list, terminal) == 0;
    }
    free(copy);
    return done;
}

static bool read_labels(const char *text, json_t *object, struct err *err)
{
    json_t *labels = json_object();
    (void)json_object_set_new(object, "labels", labels);
    char *copy = strdup(text), *rest = copy;
    bool done = copy != NULL || err_set(err, ERR_NO_MEMORY, "no memory for a row");
    for (char *one; done && text[0] != '\0' && (one = strsep(&rest, ";")) != NULL;) {
        char *value = strchr(one, '=');
        if (value == NULL || value == one) {
            done =
                err_set(err, ERR_INVALID, "labels: \"%.60s\": expected NAME=VALUE;NAME=VALUE", one);
            break;
        }
        *value++ = '\0';
        if (json_object_get(labels, one) != NULL)
            done = err_set(err, ERR_INVALID, "labels: %s is there twice", one);
        else
            (void)json_object_set_new(labels, one, json_string(value));
    }
    free(copy);
    return done;
}

static bool read_cell(const struct import *import, const struct column *column, const char *text,
                      json_t *device, struct err *err)
{
    json_t *object = device;
    if (column->form == TERMINALS)
        return read_terminals(text, device, err);
    if (column->form == LABELS)
        return read_labels(text, device, err);
    if (column->form == KEY)
        return read_key(import, text, device, err);
    if (column->object != NULL) {
        object = json_object_get(device, column->object);
        if (object == NULL) {
            object = json_object();
            (void)json_object_set_new(device, column->object, object);
        }
    }
    (void)json_object_set_new(object, column->member, json_string(text));
    return true;
}

/* A row that is wrong is told, and the next one read: all that is wrong is to be seen at once. */
static bool read_row(void *ctx, size_t line, const char *const *cells, size_t count,
                     struct err *err)
{
    struct import *import = ctx;
    struct err why = {0};
    char text[96];
    if (!import->headed)
        return read_header(import, cells, count, err);
    if (count != import->columns) {
        (void)snprintf(text, sizeof text, "%zu cells, the first line has %zu", count,
                       import->columns);
        complain(import, line, text);
        return true;
    }
    json_t *device = json_object();
    bool done = true;
    for (size_t i = 0; done && i < count; i++)
        done = read_cell(import, import->order[i], cells[i], device, &why);
    if (done) {
        (void)json_array_append_new(import->devices, device);
        (void)json_array_append_new(import->lines, json_integer((json_int_t)line));
        return true;
    }
    json_decref(device);
    if (why.code == ERR_NO_MEMORY)
        return err_set(err, why.code, "%s", why.text);
    complain(import, line, why.text);
    return true;
}

static bool read_stdin(struct buf *text, struct err *err)
{
    char part[65536];
    size_t length = 0;
    while ((length = fread(part, 1, sizeof part, stdin)) > 0)
        if (!buf_append(text, part, length, err))
            return err_context(err, "stdin");
    return ferror(stdin) == 0 || err_set(err, ERR_IO, "stdin cannot be read");
}

static bool read_csv(struct import *import, struct err *err)
{
    struct buf text = {.limit = FILE_BYTES};
    bool done = import->from_stdin ? read_stdin(&text, err)
                                   : file_read(import->path, FILE_BYTES, &text, err);
    if (done && !csv_read(buf_bytes(&text), read_row, import, err)) {
        char where[4352];
        (void)snprintf(where, sizeof where, "%s:", import->path);
        done = strncmp(err->text, where, strlen(where)) == 0 ? false
                                                             : err_context(err, "%s", import->path);
    }
    buf_done(&text);
    if (done && json_array_size(import->devices) == 0 && import->wrong == 0)
        return err_set(err, ERR_INVALID, "%s: no device in it", import->path);
    return done;
}

static size_t line_of(const struct import *import, const json_t *named)
{
    return (size_t)json_integer_value(
        json_array_get(import->lines, (size_t)ctl_number(named, "row")));
}

/* What is wrong, and which other lines it is held against. */
static void complain_refused(struct import *import, const json_t *refused)
{
    size_t i;
    json_t *other;
    import->wrong++;
    fprintf(stderr, "%s:%zu: %s", import->path, line_of(import, refused),
            ctl_text(refused, "text"));
    json_array_foreach(json_object_get(refused, "others"), i, other)
        fprintf(stderr, "%s%s:%zu: %s", i == 0 ? " (see " : "; ", import->path,
                line_of(import, other), ctl_text(other, "what"));
    fprintf(stderr, "%s\n", i > 0 ? ")" : "");
}

static int print_imported(struct ctl *ctl, struct import *import, const json_t *reply,
                          struct err *err)
{
    size_t i;
    json_t *refused;
    json_array_foreach(json_object_get(reply, "refused"), i, refused)
        complain_refused(import, refused);
    if (ctl->json && ctl_print_json(ctl, reply, err) != EXIT_OK)
        return EXIT_SYSTEM;
    int64_t count = ctl_number(reply, "refused_count");
    if (count > 0) {
        const size_t told = json_array_size(json_object_get(reply, "refused"));
        char which[64] = "";
        if (told < (size_t)count)
            (void)snprintf(which, sizeof which, " (told are the first %zu)", told);
        err_set(err, ERR_REFUSED, "%" PRId64 " of %zu devices are refused%s: nothing is kept",
                count, json_array_size(import->devices), which);
        return EXIT_INPUT;
    }
    if (ctl->json)
        return EXIT_OK;
    fprintf(ctl->out, "Devices: %" PRId64 " new, %" PRId64 " changed, %" PRId64 " as before.\n",
            ctl_number(reply, "new"), ctl_number(reply, "changed"), ctl_number(reply, "same"));
    if (ctl_number(reply, "keyless") > 0)
        fprintf(ctl->out,
                "%" PRId64 " of them have no agent key yet: nothing they send is taken.\n",
                ctl_number(reply, "keyless"));
    const json_t *duties = json_object_get(reply, "duties");
    const bool told = ctl_print_duties(ctl, duties, CTL_DUTIES_FIRST);
    const int64_t more = ctl_number(reply, "duty_count") - (int64_t)json_array_size(duties);
    if (more > 0)
        fprintf(ctl->out, "And %" PRId64 " more: musterctl get duties.\n", more);
    if (json_is_true(json_object_get(reply, "dry_run")))
        ctl_say_dry_run(ctl);
    return told ? EXIT_OK : EXIT_SYSTEM;
}

static int post_import(struct ctl *ctl, const struct ctl_args *args, struct import *import,
                       struct err *err)
{
    json_t *reply = NULL;
    json_t *request =
        json_pack("{s:O, s:b, s:s}", "devices", import->devices, "dry_run",
                  (int)ctl_is_dry_run(args), "why", ctl_arg(args, "--why", "imported"));
    int code = EXIT_USAGE;
    if (request == NULL)
        err_set(err, ERR_INVALID, "--why: not UTF-8");
    else if (client_post(ctl->client, "/api/v1/inventory", request, &reply, err))
        code = print_imported(ctl, import, reply, err);
    else
        code = exit_code_of(err);
    json_decref(request);
    json_decref(reply);
    return code;
}

static int device_import(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    struct import import = {.path = args->arguments[0]};
    char copy[4096];
    (void)snprintf(copy, sizeof copy, "%s", import.path);
    (void)snprintf(import.folder, sizeof import.folder, "%s", dirname(copy));
    import.from_stdin = strcmp(import.path, "-") == 0;
    if (import.from_stdin)
        import.path = "stdin";
    import.devices = json_array();
    import.lines = json_array();
    int code = EXIT_OK;
    if (!read_csv(&import, err))
        code = exit_code_of(err);
    else if (import.wrong > 0)
        code = EXIT_INPUT;
    if (code == EXIT_INPUT && import.wrong > 0)
        err_set(err, ERR_INVALID, "%" PRId64 " lines could not be read: nothing is sent",
                import.wrong);
    if (code == EXIT_OK)
        code = post_import(ctl, args, &import, err);
    json_decref(import.devices);
    json_decref(import.lines);
    return code;
}

static const struct ctl_option import_options[] = {
    {.name = "--why", .value = "TEXT", .help = "for the devices' history [imported]"},
    CTL_DRY_RUN,
    {0},
};

const struct ctl_command ctl_device_import = {
    .words = "device import",
    .arguments = "FILE|-",
    .summary = "Enrol devices from CSV, or bring them up to date: all of them or none.",
    .notes =
        "- is stdin; keys are named from the working directory then.\n"
        "The first line names the columns, in any order: those of device export, of which id,\n"
        "serial and model must be there. Of a column that is not there nothing is said: what is\n"
        "known stays. An empty cell says \"none\", but for state, merchant, store, their names "
        "and\n"
        "agent_key, where it says nothing. terminals: INDEX:ACQUIRER:TID:MID;..., labels:\n"
        "NAME=VALUE;..., agent_key: base64 of its SPKI, or @FILE, PEM, from the CSV's folder.\n"
        "A logical terminal that another device carries is taken over where that one's line no\n"
        "longer names it. Each line that is wrong is told; where one is, nothing is kept.",
    .options = import_options,
    .argument_count = 1,
    .run = device_import,
};
