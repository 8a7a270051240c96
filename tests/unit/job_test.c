#include "tests/unit/check.h"

#include "consumer/job.h"

#include <stdlib.h>

static const unsigned edges[JOB_STATE_COUNT] = {
#define X(id, name, next, help) next,
    JOB_STATE_TABLE(X)
#undef X
};

static unsigned reachable_from(enum job_state start)
{
    unsigned seen = 1u << start;
    for (unsigned before = 0; before != seen;) {
        before = seen;
        for (unsigned state = 0; state < JOB_STATE_COUNT; state++) {
            if (seen & (1u << state))
                seen |= edges[state];
        }
    }
    return seen;
}

static void every_state_is_reached_and_ends_settled(void)
{
    CHECK_INT(reachable_from(JOB_RECEIVED), (1u << JOB_STATE_COUNT) - 1);
    for (unsigned state = 0; state < JOB_STATE_COUNT; state++) {
        CHECK_LABEL(job_state_name(state));
        CHECK(reachable_from(state) & (1u << JOB_SETTLED));
    }
    CHECK_INT(edges[JOB_SETTLED], 0);
}

/* A reply that is paid for is never paid for again: from storing no way leads back to the model. */
static void no_way_back_to_the_model(void)
{
    CHECK(!(reachable_from(JOB_STORING) & (1u << JOB_ANALYSING)));
    CHECK(!(reachable_from(JOB_RELEASING) & (1u << JOB_ANALYSING)));
    for (unsigned state = 0; state < JOB_STATE_COUNT; state++) {
        CHECK_LABEL(job_state_name(state));
        CHECK(state == JOB_CLAIMING || !(edges[state] & (1u << JOB_ANALYSING)));
    }
}

static void moves_along_an_edge(void)
{
    struct job *job = job_new(NULL, "RM_a", "", "webhook");
    job->io = JOB_IO_FINISHED;
    job_move(job, JOB_CLAIMING);
    CHECK_INT(job->state, JOB_CLAIMING);
    CHECK_INT(job->io, JOB_IO_NONE);
    job_free(job);
}

static void the_diagram_has_every_edge(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    job_print_diagram(out);
    (void)fclose(out);
    CHECK(strstr(text, "[*] --> received") != NULL);
    CHECK(strstr(text, "claiming --> analysing") != NULL);
    CHECK(strstr(text, "settled --> [*]") != NULL);
    CHECK(strstr(text, "storing --> analysing") == NULL);
    free(text);
}

CHECK_MAIN({"every state is reached and ends settled", every_state_is_reached_and_ends_settled},
           {"no way back to the model", no_way_back_to_the_model}, {"moves along an edge", moves_along_an_edge},
           {"the diagram has every edge", the_diagram_has_every_edge})
