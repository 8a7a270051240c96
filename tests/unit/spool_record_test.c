/* How headers lie in the spool, and the checksum over a record. */
#include "common/spool_record.h"

#include "check.h"

#define BYTES(literal) ((struct slice){.ptr = (literal), .len = sizeof(literal) - 1})

static void there_and_back(void)
{
    static const struct {
        const char *label;
        struct record_header headers[3];
        size_t count;
    } cases[] = {
        {"none", {{"", {.ptr = NULL}}}, 0},
        {"one", {{"ce_id", BYTES("EV_1")}}, 1},
        {"no value", {{"a", {.ptr = NULL}}}, 1},
        {"no name", {{"", BYTES("v")}}, 1},
        {"bytes", {{"a", BYTES("\0\xff\n\0")}, {"a", BYTES("twice")}, {"b", BYTES("")}}, 3},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_LABEL(cases[i].label);
        struct text packed = {0};
        struct record_header got[SPOOL_HEADERS_MAX];
        size_t count = 99;
        spool_headers_pack(cases[i].headers, cases[i].count, &packed);
        CHECK(spool_headers_unpack((struct slice){.ptr = packed.ptr, .len = packed.len}, got, &count));
        CHECK_INT(count, cases[i].count);
        for (size_t h = 0; h < count && h < cases[i].count; h++) {
            CHECK_STR(got[h].name, cases[i].headers[h].name);
            CHECK(slice_equal(got[h].value, cases[i].headers[h].value));
        }
        text_free(&packed);
    }
}

static void as_many_as_fit(void)
{
    struct record_header headers[SPOOL_HEADERS_MAX + 1], got[SPOOL_HEADERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        headers[i] = (struct record_header){"n", SLICE("v")};
    for (size_t many = SPOOL_HEADERS_MAX; many <= SPOOL_HEADERS_MAX + 1; many++) {
        struct text packed = {0};
        spool_headers_pack(headers, many, &packed);
        CHECK_INT(spool_headers_unpack((struct slice){.ptr = packed.ptr, .len = packed.len}, got, &count),
                  many == SPOOL_HEADERS_MAX);
        CHECK_INT(count, SPOOL_HEADERS_MAX);
        text_free(&packed);
    }
}

static void garbage(void)
{
    static const struct {
        const char *label;
        struct slice packed;
    } cases[] = {
        {"half a length", BYTES("\0\0")},
        {"a length alone", BYTES("\0\0\0\2")},
        {"longer than the rest", BYTES("\0\0\0\3a\0")},
        {"the longest length", BYTES("\xff\xff\xff\xff"
                                     "a\0\0\0\0\0")},
        {"a name without its end", BYTES("\0\0\0\2ab\0\0\0\0")},
        {"a name with two ends", BYTES("\0\0\0\3a\0\0\0\0\0\0")},
        {"a name of no bytes", BYTES("\0\0\0\0\0\0\0\0")},
        {"no value", BYTES("\0\0\0\2a\0")},
        {"half a value's length", BYTES("\0\0\0\2a\0\0\0\0")},
        {"a value that is cut off", BYTES("\0\0\0\2a\0\0\0\0\5vvvv")},
        {"something behind", BYTES("\0\0\0\2a\0\0\0\0\1v!")},
    };
    struct record_header got[SPOOL_HEADERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_LABEL(cases[i].label);
        CHECK(!spool_headers_unpack(cases[i].packed, got, &count));
    }
}

/* Every record but the first differs from it in one thing. */
static void every_part_counts(void)
{
    static const struct {
        const char *label, *topic;
        struct slice key, packed, value;
    } cases[] = {
        {"as it is", "t", BYTES("k"), BYTES("h"), BYTES("v")},
        {"topic", "u", BYTES("k"), BYTES("h"), BYTES("v")},
        {"key", "t", BYTES("K"), BYTES("h"), BYTES("v")},
        {"headers", "t", BYTES("k"), BYTES("H"), BYTES("v")},
        {"value", "t", BYTES("k"), BYTES("h"), BYTES("V")},
        {"a byte moved on", "t", BYTES(""), BYTES("kh"), BYTES("v")},
        {"a byte moved to the end", "t", BYTES("k"), BYTES(""), BYTES("hv")},
        {"a byte moved to the topic", "tk", BYTES(""), BYTES("h"), BYTES("v")},
        {"no value", "t", BYTES("k"), BYTES("h"), {.ptr = NULL}},
    };
    unsigned char first[SPOOL_SUM_SIZE], sum[SPOOL_SUM_SIZE];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_LABEL(cases[i].label);
        spool_record_sum(cases[i].topic, cases[i].key, cases[i].packed, cases[i].value, i ? sum : first);
        spool_record_sum(cases[i].topic, cases[i].key, cases[i].packed, cases[i].value, sum);
        CHECK_INT(memcmp(first, sum, sizeof sum) == 0, i == 0);
    }
}

CHECK_MAIN({"there and back", there_and_back}, {"as many as fit", as_many_as_fit}, {"garbage", garbage},
           {"every part counts", every_part_counts})
