/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_ROOT_VIEW_H
#define FLEET_ROOT_VIEW_H

#include "fleet/ctl.h"
#include "fleet/root_draft.h"

/* A root's file as it stands among its keepers, beside the root that it follows: what `musterctl
 * keys` shows, checks and signs. */
struct root_view {
    struct buf envelope;
    struct root_draft draft;
    bool has_previous;
    struct buf previous_envelope;
    struct root_draft previous;
    const char *keys_dir; /* where to look for private halves; NULL: nowhere */
};

/* `previous` may be NULL. What is read is checked against all that can be said before everybody has
 * signed: form, order, and that nothing was changed since the first one did. */
bool root_view_read(struct root_view *view, const char *path, const char *previous,
                    struct err *err) MUSTER_CHECK;
/* The root after the one at `path`, as it is, to be changed. */
bool root_view_next(struct root_view *view, const char *path, int64_t now_ms,
                    struct err *err) MUSTER_CHECK;
/* Replaces the envelope by the draft's, without signatures. */
bool root_view_pack(struct root_view *view, struct err *err) MUSTER_CHECK;
/* Takes over the signatures of a copy, which must be of the same bytes. */
bool root_view_merge(struct root_view *view, const struct root_view *copy,
                     struct err *err) MUSTER_CHECK;
void root_view_done(struct root_view *view);

/* Whether terminals would take it, by their own check (proto/trust.h). */
bool root_view_complete(const struct root_view *view, struct err *err) MUSTER_CHECK;
bool root_view_signed_by(const struct root_view *view, const struct verify_key *key);

json_t *root_view_json(const struct root_view *view);
/* As a table with what is missing and what follows from it, or as JSON.
 * EXIT_OK, or why it could not. */
int root_view_print(struct ctl *ctl, const struct root_view *view, struct err *err);

/* DIR/release.pem; where a role has more than one key, DIR/release-2.pem ... */
enum { ROOT_PATH_BYTES = 1024 };
bool root_key_path(char path[ROOT_PATH_BYTES], const char *dir, size_t role, size_t index,
                   struct err *err) MUSTER_CHECK;

#endif
