/* Slows time down for one program, loaded into it by LD_PRELOAD: its clocks run QUALITY_SLOW times slower, and what it
 * waits for takes so many times longer. A receiver that works in real time is then judged fairly on a busy machine: a
 * moment in which it did not get the processor is so many times shorter to it.
 *
 * Covers the calls with which node and libwebrtc read clocks and wait. Not a general tool. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { CLOCKS = 12 };
static const int64_t SECOND = 1000000000;
static int64_t slow = 1;
static int64_t base[CLOCKS]; /* each clock when the program began: from there on it runs slower */

static int64_t nanos(const struct timespec *t) { return t->tv_sec * SECOND + t->tv_nsec; }

static struct timespec timespec_of(int64_t n) {
  return (struct timespec){.tv_sec = n / SECOND, .tv_nsec = n % SECOND};
}

static int64_t true_time(clockid_t clock) {
  struct timespec t;
  syscall(SYS_clock_gettime, clock, &t);
  return nanos(&t);
}

/* Times of processes and threads are no points in time: they are left alone. */
static int is_slowed(clockid_t clock) {
  return clock >= 0 && clock < CLOCKS && clock != CLOCK_PROCESS_CPUTIME_ID && clock != CLOCK_THREAD_CPUTIME_ID;
}

__attribute__((constructor)) static void begin(void) {
  const char *word = getenv("QUALITY_SLOW");
  slow = word && atoi(word) > 1 ? atoi(word) : 1;
  for (clockid_t clock = 0; clock < CLOCKS; clock++)
    base[clock] = is_slowed(clock) ? true_time(clock) : 0;
}

static int64_t slowed(clockid_t clock) { return base[clock] + (true_time(clock) - base[clock]) / slow; }

/* A point of slowed time as the kernel knows it. */
static struct timespec deadline(clockid_t clock, const struct timespec *at) {
  return timespec_of(base[clock] + (nanos(at) - base[clock]) * slow);
}

#define THE_REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int clock_gettime(clockid_t clock, struct timespec *t) {
  if (!is_slowed(clock)) return (int)syscall(SYS_clock_gettime, clock, t);
  *t = timespec_of(slowed(clock));
  return 0;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
  (void)zone;
  int64_t now = slowed(CLOCK_REALTIME);
  *t = (struct timeval){.tv_sec = now / SECOND, .tv_usec = now % SECOND / 1000};
  return 0;
}

time_t time(time_t *t) {
  time_t now = slowed(CLOCK_REALTIME) / SECOND;
  if (t) *t = now;
  return now;
}

static int longer(int timeout_ms) { return timeout_ms <= 0 ? timeout_ms : (int)(timeout_ms * slow); }

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout) {
  return THE_REAL(epoll_wait)(fd, events, most, longer(timeout));
}

int epoll_pwait(int fd, struct epoll_event *events, int most, int timeout, const sigset_t *mask) {
  return THE_REAL(epoll_pwait)(fd, events, most, longer(timeout), mask);
}

int poll(struct pollfd *fds, nfds_t count, int timeout) { return THE_REAL(poll)(fds, count, longer(timeout)); }

int select(int count, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout) {
  if (!timeout) return THE_REAL(select)(count, r, w, e, NULL);
  int64_t us = (timeout->tv_sec * 1000000 + timeout->tv_usec) * slow;
  struct timeval t = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};
  return THE_REAL(select)(count, r, w, e, &t);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *request, struct timespec *rest) {
  (void)rest;
  struct timespec t = flags & TIMER_ABSTIME ? deadline(clock, request) : timespec_of(nanos(request) * slow);
  return syscall(SYS_clock_nanosleep, clock, flags, &t, NULL) == 0 ? 0 : errno;
}

int nanosleep(const struct timespec *request, struct timespec *rest) {
  (void)rest;
  struct timespec t = timespec_of(nanos(request) * slow);
  return (int)syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, NULL);
}

int usleep(useconds_t us) {
  struct timespec t = timespec_of((int64_t)us * 1000);
  return nanosleep(&t, NULL);
}

/* Which clock a condition variable waits by is known to its maker only: libwebrtc and libuv use the monotonic one, and the two
 * clocks are decades apart. */
int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict at) {
  int is_monotonic = nanos(at) < base[CLOCK_REALTIME] / 2;
  struct timespec t = deadline(is_monotonic ? CLOCK_MONOTONIC : CLOCK_REALTIME, at);
  return THE_REAL(pthread_cond_timedwait)(cond, mutex, &t);
}

int pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock, const struct timespec *at) {
  struct timespec t = deadline(clock, at);
  return THE_REAL(pthread_cond_clockwait)(cond, mutex, clock, &t);
}
