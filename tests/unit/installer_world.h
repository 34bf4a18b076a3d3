/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_INSTALLER_WORLD_H
#define TESTS_UNIT_INSTALLER_WORLD_H

#include "agent/installer_internal.h"
#include "base/file.h"

/*
 * An installer on a real loop, beside hooks that are scripts. They keep in <dir> what they were
 * asked ("calls") and which version runs ("running"); the agent's own files are in <dir>/state.
 */
struct install_world {
    char dir[64], state[96], book[128], folder[128], hook[96], version_hook[96], gate_hook[96];
    char file[128]; /* of the package in force */
    uv_loop_t loop;
    struct clock clock;
    int64_t boot_ms; /* what its clock says; the rest of it is the real one */
    uint8_t boots;
    struct package_wanted wanted;
    bool none;     /* no package is in force */
    bool proving;  /* it is on probation */
    size_t before; /* so many others are in force before it; they run */
    struct gate_lease lease;
    bool restarting; /* the terminal, or its application */
    unsigned ended;  /* so often the installer has */
    struct installer_settings settings;
    struct gate_hook_program *gate; /* NULL until install_gate */
    struct installer *installer;
    unsigned events, changes;
    char text[480]; /* of the last event, as are the next two */
    Muster__Refusal refusal;
    char running[72];
};

int install_set_up(void **state);
int install_tear_down(void **state);
void install_open(struct install_world *world);
void install_close(struct install_world *world);
/* Opens it again, beside a gate hook that does this. */
void install_gate(struct install_world *world, const char *text);
/* Writes an executable sh script, which begins in <dir>. */
void install_script(const struct install_world *world, const char *path, const char *text);
/* Looks, and turns the loop until nothing runs. */
void install_look(struct install_world *world);
void install_settle(struct install_world *world);
/* A file of <dir>; "": there is none. Valid until the next call. */
const char *install_text(const struct install_world *world, const char *name);
void install_write(const struct install_world *world, const char *name, const char *text);
/* Lines of "calls" that begin so. */
size_t install_calls(const struct install_world *world, const char *word);

struct install_said {
    Muster__ItemState state;
    Muster__Refusal refusal;
    bool converged;
    char reason[360];
};
struct install_said install_said(const struct install_world *world);
/* Not refused, and not converged, for this reason. */
void install_assert_placing(const struct install_world *world, const char *why);
/* As after a restart of the terminal. */
void install_reboot(struct install_world *world);

#endif
