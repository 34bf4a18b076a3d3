/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_PUBLISH_H
#define FLEET_CTL_PUBLISH_H

#include "fleet/ctl.h"
#include "fleet/encodings.h"
#include "fleet/signers.h"
#include "proto/desired.pb-c.h"
#include "proto/trust.h"

/*
 * A document on its way to musterd, in steps that whoever signs one shares: what is there already,
 * the content as blobs, the signed header, and the two together. With `dry_run` nothing leaves
 * this process but questions: musterd judges a header that is good for nothing else.
 */
struct ctl_publish {
    const char *name;
    const char *device; /* sealed to it; "" for all */
    Muster__DocumentKind kind;
    int64_t version, minimum_version; /* -1: the next, and as before */
    bool irreversible, dry_run;
    const char *package_version, *model; /* of an application or firmware; "": none, any */
    struct trust *root;                  /* of --root; NULL: not given */
    uint64_t epoch;                      /* the root's, or musterd's word */
    uint64_t length; /* what the header says: of the content, of what is sealed as it is sent */
    bool dense;      /* the content is compressed already */
    uint8_t sha256[32];
    Muster__KeyPlacement *key; /* of a key block */
    struct fleetdb_encoding encodings[FLEETDB_ENCODINGS_MAX];
    size_t encoding_count;
    struct buf header; /* signed Envelope */
    json_t *there;     /* musterd's word: "epoch", and "documents" of the name, newest first */
};
void ctl_publish_done(struct ctl_publish *publish);

/* --version, --minimum-version, --package-version, --model, --irreversible and --dry-run, and the
 * name; see CTL_PUBLISH_OPTIONS. */
bool ctl_publish_args(struct ctl_publish *publish, const char *name, const struct ctl_args *args,
                      struct err *err) MUSTER_CHECK;
#define CTL_PUBLISH_OPTIONS                                                                        \
    {.name = "--root",                                                                             \
     .value = "ROOT.BIN",                                                                          \
     .help = "the root in force: its epoch is signed for, whatever musterd says [musterd's]"},     \
        {.name = "--version", .value = "N", .help = "[the newest + 1]"},                           \
        {.name = "--minimum-version",                                                              \
         .value = "N",                                                                             \
         .help = "terminals refuse older ones from now on; never goes down [as before]"},          \
        {.name = "--package-version",                                                              \
         .value = "TEXT",                                                                          \
         .help = "application, firmware: what the terminal reports once it runs"},                 \
        {.name = "--model",                                                                        \
         .value = "MODEL",                                                                         \
         .help = "application, firmware: for no other, as device.model names it [any]"},           \
        {.name = "--irreversible",                                                                 \
         .help = "terminals that took it never go back to an older one, nor without it"},          \
        CTL_DRY_RUN

/* Nobody gets there by publishing; dates are below it too. A higher number has to be given by who
 * signs: on musterd's word alone, whoever has its machine could have all numbers used up. */
#define CTL_PUBLISH_COUNTED (INT64_C(1) << 32)

/* Whether what a package's header says fits the kind. */
bool ctl_publish_check_package(const struct ctl_publish *publish, struct err *err) MUSTER_CHECK;
/* Asks musterd what there is of the name; fills in epoch, version and minimum version. */
bool ctl_publish_look(struct ctl *ctl, struct ctl_publish *publish, struct err *err) MUSTER_CHECK;
const json_t *ctl_publish_newest(const struct ctl_publish *publish); /* NULL: none */
/* The newest is what this would be: signed in this epoch, with the same content and terms. */
bool ctl_publish_is_there(const struct ctl_publish *publish);

/* For a parcel: sends a blob to musterd. `ctx` is a struct ctl_upload. */
struct ctl_upload {
    struct ctl *ctl;
    bool dry_run;
};
bool ctl_publish_put(void *ctx, const uint8_t sha256[32], struct bytes blob, struct err *err);
/* Sends what was sealed, which goes as it is, and adds its encoding. */
bool ctl_publish_put_sealed(struct ctl *ctl, struct ctl_publish *publish, struct bytes sealed,
                            struct err *err) MUSTER_CHECK;

/* Appends to publish->header, signed by all. */
bool ctl_publish_sign(struct ctl_publish *publish, const struct signers *signers,
                      struct err *err) MUSTER_CHECK;
/* Header and encodings; `*ret_document` is musterd's word, or what it would be. */
bool ctl_publish_post(struct ctl *ctl, const struct ctl_publish *publish, json_t **ret_document,
                      struct err *err) MUSTER_CHECK;
/* Tells of `document`, which is new or was there already. */
int ctl_publish_print(struct ctl *ctl, const struct ctl_publish *publish, const json_t *document,
                      bool is_new, struct err *err);

#endif
