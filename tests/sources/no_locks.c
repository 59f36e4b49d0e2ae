/* Preloaded into a process: locks of files below $NO_LOCKS_BELOW fail with the error number $NO_LOCKS_ERROR. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int refused(int descriptor, int command) {
    const char *below = getenv("NO_LOCKS_BELOW"), *number = getenv("NO_LOCKS_ERROR");
    char link[64], path[4096];
    ssize_t length;
    if (!below || !number || (command != F_SETLK && command != F_SETLKW && command != F_GETLK))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    if (strncmp(path, below, strlen(below)))
        return 0;
    errno = atoi(number);
    return 1;
}

#define REPLACED(name)                                                     \
    int name(int descriptor, int command, ...) {                           \
        static int (*real)(int, int, ...);                                 \
        va_list list;                                                      \
        void *argument;                                                    \
        va_start(list, command);                                           \
        argument = va_arg(list, void *);                                   \
        va_end(list);                                                      \
        if (refused(descriptor, command))                                  \
            return -1;                                                     \
        if (!real)                                                         \
            real = (int (*)(int, int, ...))dlsym(RTLD_NEXT, #name);        \
        return real(descriptor, command, argument);                        \
    }

REPLACED(fcntl)
REPLACED(fcntl64)
