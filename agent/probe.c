/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/probe.h"

#include "base/disk.h"
#include "base/file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PROC_BYTES = 64 * 1024 };

/* A file of /proc or /sys as NUL-ended text; empty when it is not there. */
static bool read_text(const char *path, struct buf *ret_text)
{
    ret_text->limit = PROC_BYTES;
    if (!file_read(path, PROC_BYTES - 1, ret_text, NULL))
        return false;
    return buf_append(ret_text, "", 1, NULL);
}

static bool read_number(const char *path, long long *ret_value)
{
    struct buf text = {0};
    char *end = NULL;
    bool ok = read_text(path, &text);
    if (ok)
        *ret_value = strtoll((const char *)text.data, &end, 10);
    ok = ok && end != (const char *)text.data;
    buf_done(&text);
    return ok;
}

static void probe_disk(const char *dir, Muster__Health *health)
{
    struct disk disk;
    if (!disk_look(dir, &disk, NULL))
        return;
    health->disk_free_bytes = disk.free_bytes;
    health->disk_total_bytes = disk.bytes;
    health->inodes_free = disk.free_inodes;
}

static uint64_t meminfo_bytes(const char *text, const char *name)
{
    const char *line = strstr(text, name);
    return line == NULL ? 0 : strtoull(line + strlen(name), NULL, 10) * 1024;
}

static void probe_memory(Muster__Health *health)
{
    struct buf text = {0};
    if (read_text("/proc/meminfo", &text)) {
        health->memory_total_bytes = meminfo_bytes((const char *)text.data, "MemTotal:");
        health->memory_available_bytes = meminfo_bytes((const char *)text.data, "MemAvailable:");
    }
    buf_done(&text);
}

static void probe_load(Muster__Health *health)
{
    struct buf text = {0};
    if (read_text("/proc/loadavg", &text))
        health->load_permille = (uint32_t)(strtod((const char *)text.data, NULL) * 1000);
    buf_done(&text);
    if (read_text("/proc/uptime", &text))
        health->uptime_s = strtoull((const char *)text.data, NULL, 10);
    buf_done(&text);
}

static bool hottest(void *ctx, const char *name)
{
    Muster__Health *health = ctx;
    char path[PATH_MAX];
    long long value = 0;
    if (strncmp(name, "thermal_zone", 12) != 0)
        return true;
    snprintf(path, sizeof path, "/sys/class/thermal/%s/temp", name);
    if (read_number(path, &value) && value > health->temperature_mc && value < INT32_MAX)
        health->temperature_mc = (int32_t)value;
    return true;
}

static bool battery(void *ctx, const char *name)
{
    Muster__Health *health = ctx;
    char path[PATH_MAX];
    long long value = 0;
    snprintf(path, sizeof path, "/sys/class/power_supply/%s/capacity", name);
    if (read_number(path, &value) && value >= 0 && value <= 100)
        health->battery_percent = (uint32_t)value;
    snprintf(path, sizeof path, "/sys/class/power_supply/%s/voltage_now", name);
    if (read_number(path, &value) && value > 0)
        health->battery_mv = (int32_t)(value / 1000);
    return true;
}

/* proc(5): "  eth0: rx_bytes packets errs drop fifo frame compressed multicast tx_bytes ...". */
static void probe_network(Muster__Health *health)
{
    struct buf text = {0};
    if (!read_text("/proc/net/dev", &text)) {
        buf_done(&text);
        return;
    }
    char *rest = NULL;
    for (char *line = strtok_r((char *)text.data, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char name[32] = "";
        unsigned long long rx = 0;
        unsigned long long tx = 0;
        if (sscanf(line, " %31[^:]: %llu %*u %*u %*u %*u %*u %*u %*u %llu", name, &rx, &tx) != 3 ||
            strcmp(name, "lo") == 0)
            continue;
        health->net_rx_bytes += rx;
        health->net_tx_bytes += tx;
    }
    buf_done(&text);
}

static uint64_t milliseconds(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000 + (uint64_t)time->tv_usec / 1000;
}

static void probe_self(Muster__Health *health)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        health->agent_cpu_ms = milliseconds(&usage.ru_utime) + milliseconds(&usage.ru_stime);
    struct buf text = {0};
    unsigned long long pages = 0;
    if (read_text("/proc/self/statm", &text) &&
        sscanf((const char *)text.data, "%*u %llu", &pages) == 1)
        health->agent_rss_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    buf_done(&text);
}

/* Many machines have neither; then there is nothing to tell. */
static void each_of(const char *dir, bool (*each)(void *ctx, const char *name),
                    Muster__Health *health)
{
    struct err err;
    if (!file_list(dir, each, health, &err))
        return;
}

void probe_host(const char *state_dir, Muster__Health *health)
{
    probe_disk(state_dir, health);
    probe_memory(health);
    probe_load(health);
    probe_network(health);
    probe_self(health);
    each_of("/sys/class/thermal", hottest, health);
    each_of("/sys/class/power_supply", battery, health);
}
