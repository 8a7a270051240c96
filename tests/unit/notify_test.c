/* Datagrams to the service manager, at a path and at an abstract name. */
#include "check.h"

#include "common/notify.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A socket that is the manager; name as in NOTIFY_SOCKET. */
static int manager_open(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const size_t len = strlen(name);
    memcpy(at.sun_path, name, len);
    if (*name == '@')
        at.sun_path[0] = '\0';
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const socklen_t at_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (*name != '@'));
    CHECK_INT(bind(fd, (const struct sockaddr *)&at, at_len), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static void expect_state(int fd, const char *want)
{
    char got[300] = "";
    const ssize_t len = recv(fd, got, sizeof got - 1, 0);
    got[len > 0 ? len : 0] = '\0';
    CHECK_STR(got, want);
}

static void say_everything(int fd)
{
    notify_ready();
    expect_state(fd, "READY=1");
    notify_stopping();
    expect_state(fd, "STOPPING=1");
    notify_watchdog();
    expect_state(fd, "WATCHDOG=1");
    notify_extend_timeout(1500);
    expect_state(fd, "EXTEND_TIMEOUT_USEC=1500000");
    notify_status("64 rooms\nREADY=1");
    expect_state(fd, "STATUS=64 rooms");
    expect_state(fd, "");
}

static void reaches_a_path(void)
{
    char dir[] = "/tmp/notify-test-XXXXXX", name[64];
    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(name, sizeof name, "%s/socket", dir);
    const int fd = manager_open(name);
    say_everything(fd);
    close(fd);
    unlink(name);
    rmdir(dir);
}

static void reaches_an_abstract_name(void)
{
    char name[64];
    (void)snprintf(name, sizeof name, "@roomclaim-notify-test-%ld", (long)getpid());
    const int fd = manager_open(name);
    say_everything(fd);
    close(fd);
}

static void does_nothing_without_a_manager(void)
{
    static const char *const names[] = {"", "@", "relative", "/nowhere/at/all"};
    unsetenv("NOTIFY_SOCKET");
    notify_ready();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        notify_ready();
    }
    char longest[200];
    memset(longest, 'x', sizeof longest - 1);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    setenv("NOTIFY_SOCKET", longest, 1);
    notify_ready();
    unsetenv("NOTIFY_SOCKET");
}

static void reads_the_watchdog(void)
{
    unsetenv("WATCHDOG_PID");
    unsetenv("WATCHDOG_USEC");
    CHECK_INT(notify_watchdog_interval_ms(), 0);
    setenv("WATCHDOG_USEC", "30000000", 1);
    CHECK_INT(notify_watchdog_interval_ms(), 15000);
    setenv("WATCHDOG_PID", "1", 1); /* meant for another process */
    CHECK_INT(notify_watchdog_interval_ms(), 0);
    setenv("WATCHDOG_USEC", "nonsense", 1);
    unsetenv("WATCHDOG_PID");
    CHECK_INT(notify_watchdog_interval_ms(), 0);
}

CHECK_MAIN({"reaches a path", reaches_a_path}, {"reaches an abstract name", reaches_an_abstract_name},
           {"does nothing without a manager", does_nothing_without_a_manager},
           {"reads the watchdog", reads_the_watchdog})
