/* The JSON scanner: every rule of the grammar from both sides, and what it says about what it refuses. */
#include "common/scan.h"

#include "check.h"
#include "common/utf8.h"

#include <stdlib.h>

static enum scan_fault scan_all(struct slice text)
{
    struct scan s;
    scan_init(&s, text);
    scan_skip(&s);
    scan_finish(&s);
    return s.fault;
}

static void takes_and_refuses(void)
{
    static const struct {
        const char *text;
        enum scan_fault want;
    } cases[] = {
        {"{}", SCAN_OK},
        {" [ ] \r\n\t", SCAN_OK},
        {"{\"a\":[1,{\"b\":null}],\"c\":true,\"d\":false}", SCAN_OK},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", SCAN_OK},
        {"\"\\ud83d\\ude00\"", SCAN_OK},
        {"0", SCAN_OK},
        {"-0", SCAN_OK},
        {"-0.0e-0", SCAN_OK},
        {"1.5E+10", SCAN_OK},
        {"9223372036854775807", SCAN_OK},
        {"-9223372036854775808", SCAN_OK},
        {"18446744073709551615", SCAN_OK},
        {"1e307", SCAN_OK},
        {"0.1e308", SCAN_OK},
        {"1e-400", SCAN_OK},
        {"", SCAN_SYNTAX},
        {" ", SCAN_SYNTAX},
        {"{", SCAN_SYNTAX},
        {"}", SCAN_SYNTAX},
        {"[1", SCAN_SYNTAX},
        {"[1,]", SCAN_SYNTAX},
        {"[,1]", SCAN_SYNTAX},
        {"[1 2]", SCAN_SYNTAX},
        {"[1]]", SCAN_SYNTAX},
        {"{\"a\":1,}", SCAN_SYNTAX},
        {"{\"a\" 1}", SCAN_SYNTAX},
        {"{\"a\"}", SCAN_SYNTAX},
        {"{\"a\":}", SCAN_SYNTAX},
        {"{a:1}", SCAN_SYNTAX},
        {"{'a':1}", SCAN_SYNTAX},
        {"{1:1}", SCAN_SYNTAX},
        {"{\"a\":1}{\"a\":1}", SCAN_SYNTAX},
        {"{} x", SCAN_SYNTAX},
        {"{]", SCAN_SYNTAX},
        {"[}", SCAN_SYNTAX},
        {"{} // comment", SCAN_SYNTAX},
        {"/* comment */{}", SCAN_SYNTAX},
        {"\xef\xbb\xbf{}", SCAN_SYNTAX},
        {"\v{}", SCAN_SYNTAX},
        {"NaN", SCAN_SYNTAX},
        {"Infinity", SCAN_SYNTAX},
        {"-Infinity", SCAN_SYNTAX},
        {"TRUE", SCAN_SYNTAX},
        {"nul", SCAN_SYNTAX},
        {"truex", SCAN_SYNTAX},
        {"01", SCAN_SYNTAX},
        {"-", SCAN_SYNTAX},
        {"+1", SCAN_SYNTAX},
        {".5", SCAN_SYNTAX},
        {"1.", SCAN_SYNTAX},
        {"1e", SCAN_SYNTAX},
        {"1e+", SCAN_SYNTAX},
        {"0x10", SCAN_SYNTAX},
        {"\"a", SCAN_SYNTAX},
        {"\"a\\\"", SCAN_SYNTAX},
        {"\"\\x\"", SCAN_SYNTAX},
        {"\"\\u12\"", SCAN_SYNTAX},
        {"\"\\u12g4\"", SCAN_SYNTAX},
        {"\"\\", SCAN_SYNTAX},
        {"\"a\nb\"", SCAN_SYNTAX},
        {"\"a\tb\"", SCAN_SYNTAX},
        {"\"\\ud83d\"", SCAN_SURROGATE},
        {"\"\\ud83dx\"", SCAN_SURROGATE},
        {"\"\\ud83d\\n\"", SCAN_SURROGATE},
        {"\"\\ud83d\\ud83d\"", SCAN_SURROGATE},
        {"\"\\ude00\"", SCAN_SURROGATE},
        {"\"\\ud83d\\u", SCAN_SURROGATE},
        {"9223372036854775808", SCAN_OK},
        {"-9223372036854775809", SCAN_NUMBER},
        {"18446744073709551616", SCAN_NUMBER},
        {"99999999999999999999", SCAN_NUMBER},
        {"-10000000000000000000", SCAN_NUMBER},
        {"1e308", SCAN_NUMBER},
        {"1e400", SCAN_NUMBER},
        {"0.01e400", SCAN_NUMBER},
        {"-1e99999999999999999999", SCAN_NUMBER},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_LABEL(cases[i].text);
        /* in a block of exactly its length, so that a read behind it is seen */
        struct slice text = slice_of(cases[i].text);
        char *copy = malloc(text.len + 1);
        memcpy(copy, text.ptr, text.len);
        char *tight = realloc(copy, text.len ? text.len : 1);
        CHECK_INT(scan_all((struct slice){.ptr = tight, .len = text.len}), cases[i].want);
        free(tight);
    }
}

static enum scan_fault nested(unsigned depth, char open, char close)
{
    char text[2 * 64];
    memset(text, open, depth);
    memset(text + depth, close, depth);
    return scan_all((struct slice){.ptr = text, .len = 2 * (size_t)depth});
}

static void depth_is_bounded(void)
{
    CHECK_INT(nested(SCAN_DEPTH_MAX, '[', ']'), SCAN_OK);
    CHECK_INT(nested(SCAN_DEPTH_MAX + 1, '[', ']'), SCAN_DEPTH);
    char many[4096];
    memset(many, '[', sizeof many);
    CHECK_INT(scan_all((struct slice){.ptr = many, .len = sizeof many}), SCAN_DEPTH);
}

static void rules_differ(void)
{
    static const struct {
        const char *text;
        enum scan_fault grammar, readable, storable;
    } cases[] = {
        {"9223372036854775807", SCAN_OK, SCAN_OK, SCAN_OK},
        {"9223372036854775808", SCAN_OK, SCAN_OK, SCAN_NUMBER},
        {"-9223372036854775808", SCAN_OK, SCAN_OK, SCAN_OK},
        {"18446744073709551616", SCAN_OK, SCAN_NUMBER, SCAN_NUMBER},
        {"1e300", SCAN_OK, SCAN_OK, SCAN_OK},
        {"1e301", SCAN_OK, SCAN_OK, SCAN_NUMBER},
        {"1e-300", SCAN_OK, SCAN_OK, SCAN_OK},
        {"1e-301", SCAN_OK, SCAN_OK, SCAN_NUMBER},
        {"0e301", SCAN_OK, SCAN_OK, SCAN_NUMBER},
        {"1e400", SCAN_OK, SCAN_NUMBER, SCAN_NUMBER},
        {"123456789e300", SCAN_OK, SCAN_NUMBER, SCAN_NUMBER},
        {"0.12345678901234567890123456789012345678901234567890123456789012", SCAN_OK, SCAN_OK, SCAN_OK},
        {"0.123456789012345678901234567890123456789012345678901234567890123", SCAN_OK, SCAN_OK, SCAN_NUMBER},
        {"01", SCAN_SYNTAX, SCAN_SYNTAX, SCAN_SYNTAX},
        {"\"\\u0000\"", SCAN_OK, SCAN_OK, SCAN_NUL},
        {"\"\\u0001\"", SCAN_OK, SCAN_OK, SCAN_OK},
        {"\"\\ud83d\"", SCAN_OK, SCAN_SURROGATE, SCAN_SURROGATE},
        {"\"\\ude00\\ud83d\"", SCAN_OK, SCAN_SURROGATE, SCAN_SURROGATE},
        {"\"\\ud83d\\ude00\"", SCAN_OK, SCAN_OK, SCAN_OK},
        {"\"\\ud83d\\u12\"", SCAN_SYNTAX, SCAN_SURROGATE, SCAN_SURROGATE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_LABEL(cases[i].text);
        const enum scan_fault want[] = {cases[i].grammar, cases[i].readable, cases[i].storable};
        for (size_t rules = SCAN_GRAMMAR; rules <= SCAN_STORABLE; rules++) {
            struct scan s;
            scan_init(&s, slice_of(cases[i].text));
            s.rules = (enum scan_rules)rules;
            scan_skip(&s);
            scan_finish(&s);
            CHECK_INT(s.fault, want[rules]);
        }
    }
}

static void says_why_and_where(void)
{
    const struct slice text = SLICE("{\"a\":[{\"b\":1,\"b\":2}],\"c\":\\}");
    struct scan s;
    scan_init(&s, text);
    scan_skip(&s);
    scan_finish(&s);
    CHECK_STR(s.why, "not a JSON value");
    CHECK_INT(s.where - text.ptr, text.len - 2);
    CHECK_INT(s.members, 4);
}

static void a_nul_byte_is_no_end(void)
{
    CHECK_INT(scan_all(SLICE("{}\0")), SCAN_SYNTAX);
    CHECK_INT(scan_all(SLICE("[1\0]")), SCAN_SYNTAX);
    CHECK_INT(scan_all(SLICE("\"a\0b\"")), SCAN_SYNTAX);
    CHECK_INT(scan_all(SLICE("\"\\\0\"")), SCAN_SYNTAX);
}

static void decodes(void)
{
    static const struct {
        const char *raw, *want;
        size_t size, len;
        bool nul;
    } cases[] = {
        {"plain", "plain", 32, 5, false},
        {"a\\nb\\\"c\\\\d\\/e\\b\\f\\r\\t", "a\nb\"c\\d/e\b\f\r\t", 32, 13, false},
        {"\\u0041\\u00e9\\u20ac\\ud83d\\ude00", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 32, 10, false},
        {"\xc3\xa9\\u0041",
         "\xc3\xa9"
         "A",
         32, 3, false},
        {"abcdef", "abc", 4, 6, false},
        {"ab\xe2\x82\xac", "ab", 5, 5, false}, /* never half a character */
        {"a\\u0000b", "a", 32, 3, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_LABEL(cases[i].raw);
        char buffer[32];
        bool nul;
        const struct scan_text text = {.raw = slice_of(cases[i].raw), .escaped = strchr(cases[i].raw, '\\') != NULL};
        CHECK_INT(scan_decode(text, buffer, cases[i].size, &nul), cases[i].len);
        CHECK_STR(buffer, cases[i].want);
        CHECK_INT(nul, cases[i].nul);
    }
}

static void compares(void)
{
    const struct scan_text plain = {.raw = SLICE("sid")};
    const struct scan_text escaped = {.raw = SLICE("s\\u0069d"), .escaped = true};
    const struct scan_text longer = {.raw = SLICE("s\\u0069dx"), .escaped = true};
    const struct scan_text shorter = {.raw = SLICE("\\u0073i"), .escaped = true};
    CHECK(scan_is(plain, "sid"));
    CHECK(!scan_is(plain, "si"));
    CHECK(!scan_is(plain, "side"));
    CHECK(scan_is(escaped, "sid"));
    CHECK(!scan_is(longer, "sid"));
    CHECK(!scan_is(shorter, "sid"));
}

static void utf8(void)
{
    static const struct {
        const char *label;
        struct slice text;
        bool want;
    } cases[] = {
        {"empty", {.ptr = "", .len = 0}, true},
        {"ascii", {.ptr = "0123456789abcdef!", .len = 17}, true},
        {"two, three, four bytes", {.ptr = "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", .len = 9}, true},
        {"overlong", {.ptr = "\xc0\x80", .len = 2}, false},
        {"surrogate", {.ptr = "\xed\xa0\x80", .len = 3}, false},
        {"FF", {.ptr = "01234567\xff", .len = 9}, false},
        {"cut off", {.ptr = "0123456\xc3", .len = 8}, false},
        {"above the last", {.ptr = "\xf4\x90\x80\x80", .len = 4}, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_LABEL(cases[i].label);
        CHECK_INT(utf8_valid(cases[i].text), cases[i].want);
    }
}

CHECK_MAIN({"takes JSON and refuses all else", takes_and_refuses}, {"depth is bounded", depth_is_bounded},
           {"rules differ", rules_differ}, {"says why and where", says_why_and_where},
           {"a NUL byte is no end", a_nul_byte_is_no_end}, {"decodes strings", decodes}, {"compares strings", compares},
           {"UTF-8", utf8})
