/* The answers: what the sender does with each is what counts. */
#include "producer-shim/answers.h"

#include "check.h"

static const enum answer all[] = {
#define X(id, status, retry, word, help) ANSWER_##id,
    ANSWER_TABLE(X)
#undef X
};

static void only_a_503_comes_back(void)
{
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        CHECK_LABEL(answer_word(all[i]));
        const bool again = answer_status(all[i]) == 503;
        CHECK_INT(answer_retry_after(all[i], true), again ? 20 : 0);
        CHECK_INT(answer_retry_after(all[i], false), again ? 5 : 0);
    }
}

static void words_are_unique(void)
{
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        for (size_t j = 0; j < i; j++)
            CHECK(strcmp(answer_word(all[i]), answer_word(all[j])) != 0);
}

static void verdicts(void)
{
    static const enum token_verdict list[] = {
#define X(id, word, help) TOKEN_##id,
        TOKEN_VERDICT_TABLE(X)
#undef X
    };
    for (size_t i = 1; i < ARRAY_LEN(list); i++) {
        CHECK_LABEL(token_verdict_word(list[i]));
        const enum answer answer = answer_of_verdict(list[i]);
        CHECK_STR(answer_word(answer), token_verdict_word(list[i]));
        CHECK_INT(answer_status(answer), list[i] == TOKEN_NOT_YET ? 503 : 401);
    }
}

CHECK_MAIN({"only a 503 comes back", only_a_503_comes_back}, {"words are unique", words_are_unique},
           {"verdicts", verdicts})
