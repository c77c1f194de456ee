/* Clocks that a test moves: preloaded (LD_PRELOAD), it adds offsets to what the kernel says.

   $TEST_CLOCKS names a file of three int64: nanoseconds for CLOCK_REALTIME, CLOCK_MONOTONIC and CLOCK_BOOTTIME. It is
   mapped, so that a running process sees each change at once. A suspend moves the first and the last; a step of the
   wall clock the first alone. Timers of the kernel are not touched: they run on, as they do for whoever is awake. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { REALTIME, MONOTONIC, BOOTTIME, LINES };
#define SECOND 1000000000LL

static const volatile int64_t *offsets;

__attribute__((constructor)) static void map_offsets(void) {
  const char *path = getenv("TEST_CLOCKS");
  int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  void *found = mmap(NULL, LINES * sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (found != MAP_FAILED) offsets = found;
}

static int line_of(clockid_t clock) {
  switch (clock) {
    case CLOCK_REALTIME: case CLOCK_REALTIME_COARSE: case CLOCK_TAI: return REALTIME;
    case CLOCK_MONOTONIC: case CLOCK_MONOTONIC_COARSE: case CLOCK_MONOTONIC_RAW: return MONOTONIC;
    case CLOCK_BOOTTIME: return BOOTTIME;
    default: return -1; /* processor time */
  }
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = (int)syscall(SYS_clock_gettime, clock, now);
  int line = line_of(clock);
  if (result != 0 || offsets == NULL || line < 0) return result;
  int64_t moved = now->tv_sec * SECOND + now->tv_nsec + offsets[line];
  now->tv_sec = moved / SECOND;
  now->tv_nsec = moved % SECOND;
  if (now->tv_nsec < 0) {
    now->tv_nsec += SECOND;
    now->tv_sec--;
  }
  return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec exact;
  if (clock_gettime(CLOCK_REALTIME, &exact) != 0) return -1;
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != NULL) *out = now.tv_sec;
  return now.tv_sec;
}
