/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CHECK_H
#define FLEET_CHECK_H

#include "fleet/settings.h"

/*
 * Whether musterd could work with what its settings name. Every finding is told, not only the
 * first, and nothing is written, made or connected to.
 */
struct check_sink {
    void (*wrong)(void *ctx, const struct err *why); /* what must be mended */
    void (*note)(void *ctx, const char *text);       /* what is good to know; NULL: nobody asks */
    void *ctx;
};

/* Before each start: keys, root, certificates. Whether the keys are those that the newest root
 * names is asked here only where there is no database yet: opening it tells. */
bool check_start(const struct fleet_settings *settings, const struct check_sink *sink);
/* When somebody asks: beyond that the keys' roles by the newest root of the database, beside a
 * musterd that runs too, who may replace the root, and the folders. */
bool check_all(const struct fleet_settings *settings, const struct check_sink *sink);

#endif
