/* Preloaded: whoever opens the file that $SLOW_FILE names waits for as long as $SLOW_FILE.hold is there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void wait_for(const char *path) {
    const char *slow = getenv("SLOW_FILE");
    char hold[PATH_MAX];
    if (slow == NULL || strcmp(path, slow) != 0)
        return;
    snprintf(hold, sizeof hold, "%s.hold", slow);
    while (access(hold, F_OK) == 0)
        usleep(10000);
}

#define OPENS(name)                                                                  \
    int name(const char *path, int flags, ...) {                                     \
        static int (*real)(const char *, int, ...);                                  \
        va_list arguments;                                                           \
        va_start(arguments, flags);                                                  \
        int mode = va_arg(arguments, int);                                           \
        va_end(arguments);                                                           \
        if (real == NULL)                                                            \
            real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name);         \
        wait_for(path);                                                              \
        return real(path, flags, mode);                                              \
    }

OPENS(open)
OPENS(open64)
