/* The table, by its columns. */
#include "producer-shim/answers.h"

#include <assert.h>

static const struct {
    unsigned status;
    enum answer_retry retry;
    const char *word;
} table[] = {
#define X(id, number, when, text, help) [ANSWER_##id] = {.status = number, .retry = ANSWER_RETRY_##when, .word = text},
    ANSWER_TABLE(X)
#undef X
};
_Static_assert(ARRAY_LEN(table) == ANSWER_COUNT, "one row an answer");

unsigned answer_status(enum answer answer)
{
    return table[answer].status;
}

const char *answer_word(enum answer answer)
{
    return table[answer].word;
}

unsigned answer_retry_after(enum answer answer, bool last)
{
    if (table[answer].retry == ANSWER_RETRY_NEVER)
        return 0;
    return last ? ANSWER_AFTER_LAST_S : ANSWER_AFTER_OTHERS_S;
}

enum answer answer_of_verdict(enum token_verdict verdict)
{
#define ANSWER_OK ANSWER_COUNT /* no refusal, so no answer yet */
    static const enum answer answers[] = {
#define X(id, word, help) [TOKEN_##id] = ANSWER_##id,
        TOKEN_VERDICT_TABLE(X)
#undef X
    };
#undef ANSWER_OK
    assert(verdict != TOKEN_OK);
    return answers[verdict];
}
