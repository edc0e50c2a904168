/* A computer whose calendar is wrong: preloaded, it lets CLOCK_REALTIME begin at HOSTCLOCK_UTC_S
   (seconds since 1970) when the process starts, and the kernel vouch for nothing, or to within
   HOSTCLOCK_VOUCHED_US. Monotonic time, and with it all waiting, is left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>

static int (*real_gettime)(clockid_t, struct timespec *);
static long long off_s;

__attribute__((constructor)) static void start(void)
{
    struct timespec now;
    const char *told = getenv("HOSTCLOCK_UTC_S");

    real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    real_gettime(CLOCK_REALTIME, &now);
    off_s = told ? atoll(told) - now.tv_sec : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed;

    if (!real_gettime)
        start();
    failed = real_gettime(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += off_s;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;

    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise))
        return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *told)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (told)
        *told = now.tv_sec;
    return now.tv_sec;
}

int adjtimex(struct timex *state)
{
    const char *vouched = getenv("HOSTCLOCK_VOUCHED_US");

    memset(state, 0, sizeof *state);
    state->maxerror = vouched ? atol(vouched) : 0;
    state->status = vouched ? 0 : STA_UNSYNC;
    return vouched ? TIME_OK : TIME_ERROR;
}
