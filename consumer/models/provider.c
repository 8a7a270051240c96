/* The table of verdicts and the list of providers; a new provider is one file and one line here. */
#include "consumer/models/provider.h"

#include <stdlib.h>

const struct call_verdict_info call_verdicts[CALL_VERDICT_COUNT] = {
#define X(id, word, what, when, learns, words)       \
    [CALL_##id] = {.name = (word),                   \
                   .then = CALL_THEN_##what,         \
                   .counted = CALL_COUNTED_##when,   \
                   .failure = CALL_FAILURE_##learns, \
                   .help = (words)},
    CALL_VERDICT_TABLE(X)
#undef X
};

static const struct provider *const providers[] = {&provider_gemini};

const struct provider *provider_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(providers); i++) {
        if (strcmp(providers[i]->name, name) == 0)
            return providers[i];
    }
    return NULL;
}

void provider_reply_fini(struct provider_reply *reply)
{
    free(reply->text);
    reply->text = NULL;
    reply->text_len = 0;
}
