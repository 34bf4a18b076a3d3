/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/world/rng.h"

#include <math.h>
#include <string.h>

struct rng rng_of(uint64_t seed)
{
    return (struct rng){.state = seed};
}

struct rng rng_named(uint64_t seed, const char *name)
{
    struct rng rng = rng_of(seed);
    for (const char *c = name; *c; c++) {
        rng.state ^= (uint8_t)*c;
        rng.state = rng_u64(&rng);
    }
    return rng;
}

uint64_t rng_u64(struct rng *rng)
{
    rng->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = rng->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

double rng_unit(struct rng *rng)
{
    return (double)(rng_u64(rng) >> 11) * 0x1p-53;
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    /* The bias is below 2^-40 for every bound used here. */
    return (uint64_t)(rng_unit(rng) * (double)bound);
}

double rng_normal(struct rng *rng, double mean, double sigma)
{
    const double pi = 3.14159265358979323846;
    double radius = sqrt(-2.0 * log(1.0 - rng_unit(rng)));
    return mean + sigma * radius * cos(2.0 * pi * rng_unit(rng));
}

double rng_lognormal(struct rng *rng, double mu, double sigma)
{
    return exp(rng_normal(rng, mu, sigma));
}

size_t rng_pick(struct rng *rng, const double *weights, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += weights[i];
    double at = rng_unit(rng) * sum;
    for (size_t i = 0; i + 1 < count; i++) {
        at -= weights[i];
        if (at < 0)
            return i;
    }
    return count - 1;
}

void rng_bytes(struct rng *rng, void *data, size_t length)
{
    uint8_t *out = data;
    while (length > 0) {
        uint64_t word = rng_u64(rng);
        size_t part = length < sizeof word ? length : sizeof word;
        memcpy(out, &word, part);
        out += part;
        length -= part;
    }
}
