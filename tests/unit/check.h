/* Unit tests without a framework: labelled cases, want and got, TAP on stdout.
 *
 *     static void settles_in_order(void) { CHECK_INT(offsets_watermark(o), 5); }
 *     CHECK_MAIN({"settles in order", settles_in_order}, ...)
 *
 * In a table of cases, CHECK_LABEL(c->label) before the checks names the row that failed.
 */
#ifndef ROOMCLAIM_CHECK_H
#define ROOMCLAIM_CHECK_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct check_test {
    const char *name;
    void (*run)(void);
};

static const char *check_label = "";
static unsigned check_failures;

#define CHECK_LABEL(text) (check_label = (text))
#define CHECK_FAIL(...)                                           \
    do {                                                          \
        check_failures++;                                         \
        printf("# %s:%d: %s: ", __FILE__, __LINE__, check_label); \
        printf(__VA_ARGS__);                                      \
        putchar('\n');                                            \
    } while (0)
#define CHECK(cond)                  \
    do {                             \
        if (!(cond))                 \
            CHECK_FAIL("%s", #cond); \
    } while (0)
#define CHECK_INT(got, want)                                                     \
    do {                                                                         \
        const int64_t got_ = (int64_t)(got), want_ = (int64_t)(want);            \
        if (got_ != want_)                                                       \
            CHECK_FAIL("%s: got %" PRId64 ", want %" PRId64, #got, got_, want_); \
    } while (0)
#define CHECK_STR(got, want)                                                                \
    do {                                                                                    \
        const char *got_ = (got), *want_ = (want);                                          \
        if (!got_ || strcmp(got_, want_) != 0)                                              \
            CHECK_FAIL("%s: got \"%s\", want \"%s\"", #got, got_ ? got_ : "(null)", want_); \
    } while (0)

static inline int check_run(const struct check_test *tests, size_t count)
{
    unsigned bad = 0;
    printf("1..%zu\n", count);
    for (size_t i = 0; i < count; i++) {
        check_failures = 0;
        check_label = "";
        tests[i].run();
        printf("%sok %zu - %s\n", check_failures ? "not " : "", i + 1, tests[i].name);
        bad += check_failures > 0;
    }
    return bad ? 1 : 0;
}

#define CHECK_MAIN(...)                                             \
    int main(void)                                                  \
    {                                                               \
        static const struct check_test tests_[] = {__VA_ARGS__};    \
        return check_run(tests_, sizeof tests_ / sizeof tests_[0]); \
    }

#endif
