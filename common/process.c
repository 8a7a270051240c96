/* Hardening of the own process. */
#include "process.h"

#include "log.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(ROOMCLAIM_FAULTS) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STAYS_TRACEABLE = true };
#else
enum { STAYS_TRACEABLE = false };
#endif

static void warn(const char *what)
{
    log_warn("cannot harden the process, going on", LOG_STR("what", what), LOG_STR("why", strerror(errno)));
}

void process_harden(void)
{
    const struct rlimit no_core = {0};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    umask(077);
    if (sigaction(SIGPIPE, &ignore, NULL) != 0)
        warn("SIGPIPE");
    if (setrlimit(RLIMIT_CORE, &no_core) != 0)
        warn("RLIMIT_CORE");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) != 0)
        warn("PR_SET_NO_NEW_PRIVS");
    if (!STAYS_TRACEABLE && prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) != 0)
        warn("PR_SET_DUMPABLE");
}

static struct {
    const char *words;
    int code;
} late;

static void on_late(int number)
{
    (void)number;
    if (write(STDERR_FILENO, late.words, strlen(late.words)) < 0)
        _exit(late.code); /* nobody reads */
    _exit(late.code);
}

void process_end_within(unsigned seconds, int code, const char *words)
{
    const struct sigaction action = {.sa_handler = on_late};
    late.words = words;
    late.code = code;
    if (sigaction(SIGALRM, &action, NULL) != 0)
        warn("SIGALRM");
    alarm(seconds);
}

size_t process_raise_nofile(size_t want)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    if (limit.rlim_cur >= want)
        return (size_t)limit.rlim_cur;
    const struct rlimit raised = {.rlim_cur = MIN((rlim_t)want, limit.rlim_max), .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) != 0)
        return (size_t)limit.rlim_cur;
    return (size_t)raised.rlim_cur;
}
