/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static int64_t read_clock_ms(clockid_t id)
{
    struct timespec now = {0};
    if (clock_gettime(id, &now) != 0)
        abort(); /* both clocks exist on every Linux that runs this */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t real_wall_ms(void *ctx)
{
    (void)ctx;
    return read_clock_ms(CLOCK_REALTIME);
}

static int64_t real_boot_ms(void *ctx)
{
    (void)ctx;
    return read_clock_ms(CLOCK_BOOTTIME);
}

const struct clock clock_real = {.wall_ms = real_wall_ms, .boot_ms = real_boot_ms};

bool clock_boot_id(uint8_t ret_id[16], struct err *err)
{
    static const char path[] = "/proc/sys/kernel/random/boot_id";
    struct buf text = {0};
    if (!file_read(path, 64, &text, err))
        return false;
    char digits[33];
    size_t n = 0;
    for (size_t i = 0; i < text.length && n < sizeof digits; i++)
        if (text.data[i] != '-' && text.data[i] != '\n')
            digits[n++] = (char)text.data[i];
    bool ok = hex_decode(digits, n, ret_id, 16);
    buf_done(&text);
    if (!ok)
        return err_set(err, ERR_INVALID, "%s: expected a UUID", path);
    return true;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days since 1970-01-01 to a date of the proleptic Gregorian calendar. Done here because gmtime
 * takes a time_t. The year is taken to begin in March, so that the leap day comes last. */
static void date_of_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
    int64_t since_0000_03_01 = days + 719468;
    int64_t era = floor_div(since_0000_03_01, 146097);
    int64_t day_of_era = since_0000_03_01 - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    *ret_day = (int)(day_of_year - (153 * month_from_march + 2) / 5) + 1;
    *ret_month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

void clock_format(int64_t wall_ms, char text[32])
{
    int64_t days = floor_div(wall_ms, 86400000);
    int ms = (int)((wall_ms % 86400000 + 86400000) % 86400000);
    int64_t year = 0;
    int month = 0, day = 0;
    date_of_days(days, &year, &month, &day);
    char wide[64];
    (void)snprintf(wide, sizeof wide, "%04" PRId64 "-%02d-%02dT%02d:%02d:%02d.%03dZ", year, month,
                   day, ms / 3600000, ms / 60000 % 60, ms / 1000 % 60, ms % 1000);
    wide[31] = '\0'; /* never cut: the widest int64_t takes 31 */
    memcpy(text, wide, 32);
}

void random_bytes(void *data, size_t length)
{
    uint8_t *to = data;
    while (length > 0) {
        ssize_t n = getrandom(to, length, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            abort();
        to += n;
        length -= (size_t)n;
    }
}

uint64_t random_u64(void)
{
    uint64_t value = 0;
    random_bytes(&value, sizeof value);
    return value;
}
