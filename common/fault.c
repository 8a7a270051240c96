/* The one armed fault of this process; the loop's thread alone comes here. */
#include "fault.h"

#ifdef ROOMCLAIM_FAULTS

#include "alloc.h"
#include "log.h"

#include <signal.h>
#include <unistd.h>

static const struct {
    const char *word;
    int signal; /* 0: exit code 1 */
} actions[] = {{"kill", SIGKILL}, {"stop", SIGSTOP}, {"error", 0}};

/* What ROOMCLAIM_FAULT asks for, read once. */
static struct {
    bool read, armed;
    char point[64];
    size_t action;
    unsigned long countdown;
} fault;

static void read_environment(void)
{
    fault.read = true;
    const char *text = getenv("ROOMCLAIM_FAULT");
    if (text == NULL)
        return;
    const size_t point_len = strcspn(text, ":");
    if (text[point_len] != ':' || point_len >= sizeof fault.point)
        return;
    memcpy(fault.point, text, point_len);
    const char *word = text + point_len + 1;
    const size_t word_len = strcspn(word, ":");
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (strlen(actions[i].word) == word_len && strncmp(actions[i].word, word, word_len) == 0) {
            fault.action = i;
            fault.armed = true;
        }
    }
    fault.countdown = word[word_len] == ':' ? strtoul(word + word_len + 1, NULL, 10) : 1;
}

void fault_point(const char *name)
{
    if (!fault.read)
        read_environment();
    if (!fault.armed || strcmp(name, fault.point) != 0 || --fault.countdown > 0)
        return;
    fault.armed = false;
    log_warn("fault", LOG_STR("point", name), LOG_STR("action", actions[fault.action].word));
    if (actions[fault.action].signal == 0)
        _exit(1);
    kill(getpid(), actions[fault.action].signal);
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
