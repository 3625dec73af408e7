// The latencies that load.c notes.

#include <stddef.h>
#include <stdint.h>
#include <time.h>

// Latencies in nanoseconds: 64 steps for each power of two, so within 1.6 %.
#define STEPS 64
static uint64_t histogram[64 * STEPS], noted, most_ns;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static size_t step_of(uint64_t ns) {
    if (ns < STEPS)
        return ns;
    int power = 63 - __builtin_clzll(ns);
    return (power - 5) * STEPS + ((ns >> (power - 6)) & (STEPS - 1));
}

// From when a request was due until now.
static void note_latency(uint64_t due_ns) {
    uint64_t latency_ns = now() - due_ns;
    histogram[step_of(latency_ns)]++;
    noted++;
    most_ns = latency_ns > most_ns ? latency_ns : most_ns;
}

static double quantile_us(double part) {
    uint64_t wanted = part * noted, seen = 0;
    for (size_t step = 0; step < 64 * STEPS; step++) {
        seen += histogram[step];
        if (seen > wanted) {
            uint64_t low = step < STEPS ? step : (STEPS + step % STEPS) << (step / STEPS - 1);
            return low / 1000.0;
        }
    }
    return 0;
}
