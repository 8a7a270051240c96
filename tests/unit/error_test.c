/* Errors and the growing text. */
#include "check.h"

#include "common/error.h"
#include "common/text.h"

static void fills_in(void)
{
    struct error err;
    error_set(&err, ERROR_RETRY, "%s:%d", "host", 9);
    CHECK_INT(err.class, ERROR_RETRY);
    CHECK_STR(err.text, "host:9");
    error_set(&err, ERROR_FATAL, "wrapped: %s", err.text);
    CHECK_STR(err.text, "wrapped: host:9");
    error_set(NULL, ERROR_FATAL, "nobody listens");
}

static void cuts_long_words(void)
{
    struct error err;
    char words[1000];
    memset(words, 'x', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    error_set(&err, ERROR_REJECT, "%s", words);
    CHECK_INT(strlen(err.text), ERROR_TEXT_SIZE - 1);
}

static void names_classes(void)
{
    CHECK_STR(error_class_name(ERROR_NONE), "none");
    CHECK_STR(error_class_name(ERROR_OPERATOR), "operator");
    CHECK_STR(error_class_name((enum error_class)99), "unknown");
}

static void text_grows(void)
{
    struct text text = {0};
    char *empty = text_take(&text);
    CHECK_STR(empty, "");
    free(empty);
    for (int i = 0; i < 1000; i++)
        text_printf(&text, "%d,", i);
    text_puts(&text, "end");
    CHECK_INT(text.len, 10 * 2 + 90 * 3 + 900 * 4 + 3);
    char *all = text_take(&text);
    CHECK(strncmp(all, "0,1,2,", 6) == 0 && strcmp(all + strlen(all) - 7, "999,end") == 0);
    free(all);
    text_printf(&text, "%0500d", 1);
    CHECK_INT(text.len, 500);
    text_free(&text);
    CHECK(text.ptr == NULL);
}

CHECK_MAIN({"fills in", fills_in}, {"cuts long words", cuts_long_words}, {"names classes", names_classes},
           {"text grows", text_grows})
