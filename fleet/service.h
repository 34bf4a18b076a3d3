/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_SERVICE_H
#define FLEET_SERVICE_H

#include "base/clock.h"
#include "fleet/settings.h"

#include <stdio.h>
#include <uv.h>

/* musterd's parts on one loop: database, collector, publisher, broker session, HTTP. */
struct service;

/* For a fleet whose root keys are gone, with no musterd running: the root of the settings begins
 * another chain in the database. Says on `out` what was done. */
bool service_begin_roots(const struct fleet_settings *settings, const struct clock *clock,
                         FILE *out, struct err *err) MUSTER_CHECK;

/* `failed` is called once when it cannot go on (the database is not to be trusted any more); the
 * caller then closes it. */
bool service_open(uv_loop_t *loop, const struct clock *clock, const struct fleet_settings *settings,
                  void (*failed)(void *ctx, const struct err *why), void *ctx,
                  struct service **ret_service, struct err *err) MUSTER_CHECK;
/* Commits what waits and closes all handles; the loop then ends. Safe to call twice. */
void service_close(struct service *service);
/* After the loop has ended. */
void service_free(struct service *service);

#endif
