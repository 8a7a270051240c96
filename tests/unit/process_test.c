/* Hardening, tried in a child process; the limit of open files. */
#include "check.h"

#include "common/process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Bits of what did not take effect. */
static int harden_and_look(void)
{
    process_harden();
    struct rlimit core;
    struct sigaction pipe_action;
    int missing = 0;
    missing |= getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 || core.rlim_max != 0 ? 1 : 0;
    missing |= prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) != 1 ? 2 : 0;
    missing |= umask(0) != 077 ? 4 : 0;
    missing |= sigaction(SIGPIPE, NULL, &pipe_action) != 0 || pipe_action.sa_handler != SIG_IGN ? 8 : 0;
#if !defined(ROOMCLAIM_FAULTS) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    missing |= prctl(PR_GET_DUMPABLE, 0L, 0L, 0L, 0L) != 0 ? 16 : 0;
#else
    missing |= prctl(PR_GET_DUMPABLE, 0L, 0L, 0L, 0L) != 1 ? 16 : 0;
#endif
    return missing;
}

static void hardens_the_process(void)
{
    (void)fflush(stdout);
    const pid_t child = fork();
    if (child == 0)
        _exit(harden_and_look());
    int status = 0;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 0);
}

static void raises_the_limit_of_files(void)
{
    struct rlimit limit = {0};
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const rlim_t hard = limit.rlim_max;
    limit.rlim_cur = 100;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_INT(process_raise_nofile(50), 100);
    CHECK_INT(process_raise_nofile(200), 200);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_INT(limit.rlim_cur, 200);
    CHECK(process_raise_nofile(SIZE_MAX) == (size_t)hard);
}

CHECK_MAIN({"hardens the process", hardens_the_process}, {"raises the limit of files", raises_the_limit_of_files})
