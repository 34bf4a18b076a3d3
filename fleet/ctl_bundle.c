/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"

#include "base/file.h"
#include "fleet/base64.h"
#include "fleet/ctl_fetch.h"
#include "fleet/ctl_order.h"
#include "fleet/ctl_table.h"
#include "proto/bundle.h"
#include "proto/desired.pb-c.h"
#include "proto/limits.h"
#include "proto/unpack.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 1024 };

struct bundling {
    struct ctl *ctl;
    const char *path;
    struct buf pinned;          /* --root */
    char part_path[PATH_BYTES]; /* written here, and renamed when it is whole */
    struct bundle_writer writer;
    struct ctl_roots roots;
    uint64_t root_version; /* the newest that a manifest was made under */
    json_t *manifests;     /* {device: envelope as base64} in the devices' order */
    json_t *blobs;         /* {hash: true}: already in the file, or on the list below */
    json_t *wanted;        /* [hash]: what is to be written; grows while lists of pieces are read */
    json_t *without;       /* [device] without a manifest */
    json_t *waiting;       /* [{"id", "why"}] whose manifest musterd has yet to sign anew */
    bool all;              /* who has none, or waits, is left out and told */
    size_t written;
    uint64_t bytes;
};

static void bundling_done(struct bundling *run)
{
    ctl_roots_done(&run->roots);
    buf_done(&run->pinned);
    json_decref(run->manifests);
    json_decref(run->blobs);
    json_decref(run->wanted);
    json_decref(run->without);
    json_decref(run->waiting);
}

static bool want(struct bundling *run, const uint8_t *sha256, struct err *err)
{
    char hex[65];
    hex_encode(sha256, 32, hex);
    if (json_object_get(run->blobs, hex) != NULL)
        return true;
    return (json_object_set_new(run->blobs, hex, json_true()) == 0 &&
            json_array_append_new(run->wanted, json_string(hex)) == 0) ||
           err_set(err, ERR_NO_MEMORY, "no memory for the list of blobs");
}

/* ---- manifests ---- */

static bool fetch_manifest(struct bundling *run, const char *device, bool required, struct err *err)
{
    char path[96];
    json_t *reply;
    struct err why = {0};
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/manifest", device);
    if (client_get(run->ctl->client, path, &reply, &why)) {
        uint64_t version = (uint64_t)ctl_number(reply, "root_version");
        if (version > run->root_version)
            run->root_version = version;
        json_object_set(run->manifests, device, json_object_get(reply, "envelope"));
        json_decref(reply);
        return true;
    }
    if (why.code == ERR_NOT_FOUND && !required)
        return json_array_append_new(run->without, json_string(device)) == 0 ||
               err_set(err, ERR_NO_MEMORY, "no memory for the list of devices");
    return err_set(err, why.code, "%s", why.text);
}

static bool want_encoding(struct bundling *run, const Muster__Encoding *encoding, struct err *err)
{
    if (encoding->data.len > 0)
        return true;
    if (encoding->blob.len != 32)
        return err_set(err, ERR_REFUSED, "an encoding without a blob");
    if (!want(run, encoding->blob.data, err))
        return false;
    if (encoding->piece_bytes == 0)
        return true;
    struct buf list = {.limit = LIMIT_BLOB_BYTES};
    bool ok = ctl_fetch_blob(run->ctl, encoding->blob.data, &list, err);
    for (size_t at = 0; ok && at + 32 <= list.length; at += 32)
        ok = want(run, list.data + at, err);
    buf_done(&list);
    return ok;
}

static bool want_items(struct bundling *run, const Muster__Manifest *manifest, struct err *err)
{
    for (size_t i = 0; i < manifest->n_items; i++)
        for (size_t j = 0; j < manifest->items[i]->n_encodings; j++)
            if (!want_encoding(run, manifest->items[i]->encodings[j], err))
                return false;
    return true;
}

static bool unseal_newest(const struct bundling *run, const char *device, struct bytes envelope,
                          struct bytes *ret_body, struct err *err)
{
    const struct key_set *keys = trust_keys(run->roots.trust, MUSTER__ROLE__ROLE_DIRECTOR);
    return unseal("manifest", device, envelope, keys, ret_body, err) ||
           err_context(err,
                       "not by a director key of root %" PRIu64
                       ", the newest; until musterd has signed it anew under that, a terminal "
                       "would refuse it, and musterctl get roots tells what musterd waits for",
                       trust_version(run->roots.trust));
}

/* What a terminal would refuse does not go into a file for it: `*ret_waits`, it would. */
static bool check_manifest(struct bundling *run, const char *device, struct bytes envelope,
                           bool *ret_waits, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_MANIFEST_BYTES,
                                                .max_elements = 16384};
    struct arena arena = {0};
    struct bytes body;
    ProtobufCMessage *message = NULL;
    bool ok = unseal_newest(run, device, envelope, &body, err) &&
              unpack(&muster__manifest__descriptor, body, &limits, &arena, &message, err) &&
              message != NULL;
    const Muster__Manifest *manifest = (const Muster__Manifest *)message;
    if (ok && manifest->epoch != trust_epoch(run->roots.trust))
        ok = err_set(err, ERR_REFUSED,
                     "it is of epoch %" PRIu64 ", the newest root of epoch %" PRIu64
                     "; musterctl get roots tells what musterd waits for to sign it anew",
                     manifest->epoch, trust_epoch(run->roots.trust));
    *ret_waits = !ok && err->code == ERR_REFUSED;
    ok = ok && want_items(run, manifest, err);
    arena_done(&arena);
    return ok || err_context(err, "the manifest of %s", device);
}

/* ---- the file ---- */

static bool write_part(struct bundling *run, enum bundle_what what, const char *device,
                       struct bytes content, struct err *err)
{
    const struct bundle_part part = {.what = what, .device = device, .content = content};
    run->bytes += content.length;
    return bundle_add(&run->writer, &part, err);
}

static bool leave_out(struct bundling *run, const char *device, const struct err *why,
                      struct err *err)
{
    return json_array_append_new(run->waiting,
                                 json_pack("{s:s, s:s}", "id", device, "why", why->text)) == 0 ||
           err_set(err, ERR_NO_MEMORY, "no memory for the list of devices");
}

static bool write_manifest(struct bundling *run, const char *device, const json_t *text,
                           struct err *err)
{
    struct buf envelope = {.limit = LIMIT_MANIFEST_BYTES};
    struct err why = {0};
    bool waits = false;
    bool ok = base64_decode(json_string_value(text), json_string_length(text), &envelope, &why) &&
              check_manifest(run, device, buf_bytes(&envelope), &waits, &why) &&
              write_part(run, BUNDLE_MANIFEST, device, buf_bytes(&envelope), &why);
    buf_done(&envelope);
    if (!ok && waits && run->all)
        return leave_out(run, device, &why, err);
    return ok || err_set(err, why.code, "%s", why.text);
}

static bool write_manifests(struct bundling *run, struct err *err)
{
    const char *device;
    json_t *text;
    json_object_foreach(run->manifests, device, text)
    {
        if (!write_manifest(run, device, text, err))
            return false;
    }
    if (json_array_size(run->waiting) < json_object_size(run->manifests))
        return true;
    return err_set(err, ERR_REFUSED, "no device has a manifest that its terminal would take: %s",
                   ctl_text(json_array_get(run->waiting, 0), "why"));
}

static bool write_blobs(struct bundling *run, struct err *err)
{
    for (; run->written < json_array_size(run->wanted); run->written++) {
        const char *hex = json_string_value(json_array_get(run->wanted, run->written));
        struct buf blob = {.limit = LIMIT_BLOB_BYTES};
        uint8_t sha256[32];
        bool ok = hex_decode(hex, strlen(hex), sha256, sizeof sha256) &&
                  ctl_fetch_blob(run->ctl, sha256, &blob, err) &&
                  write_part(run, BUNDLE_BLOB, "", buf_bytes(&blob), err);
        buf_done(&blob);
        if (!ok)
            return false;
    }
    return true;
}

static bool write_roots(struct bundling *run, struct err *err)
{
    for (size_t i = 0; i < run->roots.count; i++)
        if (!write_part(run, BUNDLE_ROOT, "", buf_bytes(&run->roots.envelopes[i]), err))
            return false;
    return true;
}

static bool write_file(struct bundling *run, FILE *file, struct err *err)
{
    return bundle_begin(&run->writer, file, clock_wall_ms(run->ctl->clock), err) &&
           write_roots(run, err) && write_manifests(run, err) && write_blobs(run, err) &&
           bundle_finish(&run->writer, err) &&
           (fsync(fileno(file)) == 0 ||
            err_set(err, ERR_IO, "%s: %s", run->part_path, strerror(errno)));
}

/* Whole under its name, or not there. */
static bool write_bundle(struct bundling *run, struct err *err)
{
    if (snprintf(run->part_path, sizeof run->part_path, "%s.part", run->path) >= PATH_BYTES)
        return err_set(err, ERR_INVALID, "%.60s...: the path is too long", run->path);
    FILE *file = fopen(run->part_path, "wbe");
    if (file == NULL)
        return err_set(err, ERR_IO, "cannot write %s: %s", run->part_path, strerror(errno));
    bool ok = write_file(run, file, err);
    if (fclose(file) != 0 && ok)
        ok = err_set(err, ERR_IO, "%s: %s", run->part_path, strerror(errno));
    ok = ok && file_rename(run->part_path, run->path, err);
    if (!ok)
        (void)unlink(run->part_path);
    return ok;
}

/* ---- the command ---- */

static bool fetch_manifests(struct bundling *run, const json_t *devices, struct err *err)
{
    size_t i;
    json_t *device;
    json_array_foreach(devices, i, device)
    {
        if (!fetch_manifest(run, json_string_value(device), !run->all, err))
            return false;
    }
    return json_object_size(run->manifests) > 0 ||
           err_set(err, ERR_NOT_FOUND, "none of the devices has a manifest; assign a document");
}

static const char *s_of(size_t count)
{
    return count == 1 ? "" : "s";
}

/* Some of those that were asked for are not in it. */
static int end_bundle(const struct bundling *run, struct err *err)
{
    const size_t waiting = json_array_size(run->waiting);
    if (waiting == 0)
        return EXIT_OK;
    const json_t *first = json_array_get(run->waiting, 0);
    err_set(err, ERR_REFUSED, "%zu device%s left out, beginning with %s: %s", waiting,
            waiting == 1 ? " is" : "s are", ctl_text(first, "id"), ctl_text(first, "why"));
    return EXIT_NO;
}

static int print_bundle(const struct bundling *run, struct err *err)
{
    size_t devices = json_object_size(run->manifests) - json_array_size(run->waiting);
    size_t missing = json_array_size(run->without);
    uint64_t last = trust_version(run->roots.trust);
    struct ctl *ctl = run->ctl;
    char bytes[CTL_TEXT_BYTES];
    if (ctl->json) {
        json_t *shown = json_pack("{s:s, s:I, s:O, s:O, s:I, s:I, s:I, s:I}", "file", run->path,
                                  "devices", (json_int_t)devices, "without_manifest", run->without,
                                  "waiting", run->waiting, "roots", (json_int_t)run->roots.count,
                                  "newest_root", (json_int_t)last, "blobs",
                                  (json_int_t)run->written, "bytes", (json_int_t)run->bytes);
        int code = ctl_print_json(ctl, shown, err);
        json_decref(shown);
        return code == EXIT_OK ? end_bundle(run, err) : code;
    }
    ctl_count_text((int64_t)run->bytes, bytes);
    fprintf(ctl->out,
            "%s is written: %zu device%s, %zu root%s up to version %" PRIu64 ", %zu blob%s, %s "
            "bytes.\nOn the terminal: muster import FILE\n",
            run->path, devices, s_of(devices), run->roots.count, s_of(run->roots.count), last,
            run->written, s_of(run->written), bytes);
    if (missing > 0)
        fprintf(ctl->out,
                "%zu device%s without a manifest %s not in it: nothing is assigned there.\n",
                missing, s_of(missing), missing == 1 ? "is" : "are");
    return end_bundle(run, err);
}

static int bundle(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    struct bundling run = {.ctl = ctl,
                           .path = args->arguments[0],
                           .manifests = json_object(),
                           .blobs = json_object(),
                           .wanted = json_array(),
                           .without = json_array(),
                           .waiting = json_array(),
                           .all = ctl_arg(args, "--all", NULL) != NULL};
    json_t *request = json_object();
    const char *root = ctl_arg(args, "--root", NULL);
    int code =
        root == NULL || file_read(root, LIMIT_ROOT_BYTES, &run.pinned, err) ? EXIT_OK : EXIT_USAGE;
    if (code == EXIT_OK)
        code = ctl_order_devices(ctl, args, request, err);
    const json_t *devices = json_object_get(request, "devices");
    if (code == EXIT_OK) {
        bool ok = fetch_manifests(&run, devices, err) &&
                  ctl_fetch_roots(ctl, run.root_version, buf_bytes(&run.pinned), &run.roots, err) &&
                  write_bundle(&run, err);
        code = ok ? print_bundle(&run, err) : exit_code_of(err);
    }
    json_decref(request);
    bundling_done(&run);
    return code;
}

static const struct ctl_option options[] = {
    CTL_ORDER_DEVICES,
    {.name = "--root",
     .value = "FILE",
     .help = "the root.bin of the terminals: musterd's roots must follow it [its first one]"},
    {0},
};

const struct ctl_command ctl_bundle = {
    .words = "bundle",
    .arguments = "FILE",
    .summary = "Write the signed state of devices to a file, for terminals without a line.",
    .notes =
        "The file holds the chain of roots, each device's manifest and the blobs they name: "
        "what a\nbroker is given to keep. `muster import FILE` on the terminal applies it "
        "after the same\nchecks. What is sealed stays sealed to its device. With --all, devices "
        "whose manifest waits\nto be signed under the newest root are left out and named, and "
        "the exit code is 1.",
    .options = options,
    .argument_count = 1,
    .run = bundle,
};
