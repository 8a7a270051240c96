/* The sender of sd_notify's datagrams, by hand: no libsystemd for five short strings. */
#include "notify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Fills in the address: a path, or an abstract name that starts with @. Returns its length, 0 when unusable. */
static socklen_t manager_address(struct sockaddr_un *ret_at)
{
    const char *name = getenv("NOTIFY_SOCKET");
    const size_t len = name ? strlen(name) : 0;
    *ret_at = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len < 2 || len >= sizeof ret_at->sun_path || (*name != '/' && *name != '@'))
        return 0;
    memcpy(ret_at->sun_path, name, len);
    const bool is_abstract = *name == '@';
    if (is_abstract)
        ret_at->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (is_abstract ? 0 : 1));
}

static void send_state(const char *state)
{
    struct sockaddr_un at;
    const socklen_t at_len = manager_address(&at);
    if (at_len == 0)
        return;
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    const ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&at, at_len);
    (void)sent; /* lost: see the header */
    close(fd);
}

void notify_ready(void)
{
    send_state("READY=1");
}

void notify_stopping(void)
{
    send_state("STOPPING=1");
}

void notify_watchdog(void)
{
    send_state("WATCHDOG=1");
}

void notify_extend_timeout(int64_t within_ms)
{
    char state[64];
    (void)snprintf(state, sizeof state, "EXTEND_TIMEOUT_USEC=%" PRId64, within_ms * 1000);
    send_state(state);
}

void notify_status(const char *words)
{
    char state[256];
    (void)snprintf(state, sizeof state, "STATUS=%s", words);
    state[strcspn(state, "\n")] = '\0'; /* a second line would be a second variable */
    send_state(state);
}

int64_t notify_watchdog_interval_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    if (!usec || (pid && strtoll(pid, NULL, 10) != (long long)getpid()))
        return 0;
    const long long interval = strtoll(usec, NULL, 10);
    return interval > 0 ? MAX(interval / 2000, 1) : 0;
}
