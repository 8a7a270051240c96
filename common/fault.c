/* The one armed fault of this process. */
#include "fault.h"

#ifdef ROOMCLAIM_FAULTS

#include "alloc.h"
#include "config.h"
#include "log.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct {
    const char *word;
    int signal; /* 0: exit code 1 */
} actions[] = {{"kill", SIGKILL}, {"stop", SIGSTOP}, {"error", 0}};

/* The program's points, and what ROOMCLAIM_FAULT asks for; armed before any other thread is there. */
static struct {
    const struct fault_name *names;
    size_t count;
    bool armed;
    char point[64];
    size_t action;
    unsigned long countdown;
} fault;

static bool is_known(const char *name)
{
    for (size_t i = 0; i < fault.count; i++) {
        if (strcmp(fault.names[i].name, name) == 0)
            return true;
    }
    return false;
}

/* Reads <point>:<action>[:n]. */
static bool read_fault(const char *text)
{
    const size_t point_len = strcspn(text, ":");
    if (text[point_len] != ':' || point_len >= sizeof fault.point)
        return false;
    memcpy(fault.point, text, point_len);
    const char *word = text + point_len + 1;
    const size_t word_len = strcspn(word, ":");
    for (fault.action = 0; fault.action < ARRAY_LEN(actions); fault.action++) {
        if (strlen(actions[fault.action].word) == word_len && strncmp(actions[fault.action].word, word, word_len) == 0)
            break;
    }
    fault.countdown = word[word_len] == ':' ? strtoul(word + word_len + 1, NULL, 10) : 1;
    return fault.action < ARRAY_LEN(actions) && fault.countdown > 0 && is_known(fault.point);
}

static void print_names(void)
{
    for (size_t i = 0; i < fault.count; i++)
        printf("%s\t%s\n", fault.names[i].name, fault.names[i].help);
}

void fault_start(const struct fault_name *names, size_t count, int argc, char **argv)
{
    fault.names = names;
    fault.count = count;
    if (argc == 2 && strcmp(argv[1], "--fault-points") == 0) {
        print_names();
        exit(EXIT_DONE);
    }
    const char *text = getenv("ROOMCLAIM_FAULT");
    if (text == NULL)
        return;
    fault.armed = read_fault(text);
    if (!fault.armed) {
        fprintf(stderr, "ROOMCLAIM_FAULT=%s is not <point>:<kill|stop|error>[:n]; --fault-points lists the points\n",
                text);
        exit(EXIT_CONFIG);
    }
}

/* True for the arrival that is meant; any thread may come. */
static bool is_meant(const char *name)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    const bool meant = fault.armed && strcmp(name, fault.point) == 0 && --fault.countdown == 0;
    fault.armed = fault.armed && !meant;
    pthread_mutex_unlock(&lock);
    return meant;
}

void fault_point(const char *name)
{
    if (fault.count > 0 && !is_known(name)) { /* a unit test names none */
        log_error("a fault point that its program does not name", LOG_STR("point", name));
        abort();
    }
    if (!is_meant(name))
        return;
    log_warn("fault", LOG_STR("point", name), LOG_STR("action", actions[fault.action].word));
    if (actions[fault.action].signal == 0)
        _exit(1);
    raise(actions[fault.action].signal); /* to this very thread: with kill() it might go on for a while */
}

void fault_leak(void)
{
    static char *volatile lost;
    if (getenv("ROOMCLAIM_FAULT_LEAK") != NULL) {
        lost = xmalloc(64);
        *lost = 1;
        lost = NULL;
    }
}

#endif
