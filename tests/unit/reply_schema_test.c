/* The reply's schema: every keyword from both sides, strict JSON, errors that name the place and never quote. */
#include "consumer/reply_schema.h"

#include "check.h"
#include "consumer/json_text.h"
#include "consumer/prompt.h"

/* Checks one text against one schema; want NULL: it fits. Else it is the whole error. */
static void check_text(const char *schema_json, struct slice text, const char *want)
{
    struct error err = {0};
    struct reply_schema *schema = reply_schema_new(slice_of(schema_json), &err);
    if (!schema) {
        CHECK_FAIL("schema: %s", err.text);
        return;
    }
    const bool fits = reply_schema_check(schema, text, &err);
    CHECK_STR(fits ? "fits" : err.text, want ? want : "fits");
    CHECK_INT(err.class, want ? ERROR_REJECT : ERROR_NONE);
    reply_schema_free(schema);
}

static void keywords(void)
{
    static const struct {
        const char *label, *schema, *text, *want;
    } cases[] = {
        {"no rule", "{}", "[null]", NULL},
        {"type object", "{\"type\":\"object\"}", "{}", NULL},
        {"not an object", "{\"type\":\"object\"}", "[]", "reply at \"\": another type than the schema's"},
        {"null", "{\"type\":\"null\"}", "null", NULL},
        {"not null", "{\"type\":\"null\"}", "0", "reply at \"\": another type than the schema's"},
        {"null is no object", "{\"type\":\"object\"}", "null", "reply at \"\": another type than the schema's"},
        {"boolean", "{\"type\":\"boolean\"}", "true", NULL},
        {"a string is no number", "{\"type\":\"number\"}", "\"7\"", "reply at \"\": another type than the schema's"},
        {"integer", "{\"type\":\"integer\"}", "-7", NULL},
        {"integer with .0", "{\"type\":\"integer\"}", "7.0", NULL},
        {"integer by exponent", "{\"type\":\"integer\"}", "1e3", NULL},
        {"fraction", "{\"type\":\"integer\"}", "7.5", "reply at \"\": another type than the schema's"},
        {"an integer is a number", "{\"type\":\"number\"}", "7", NULL},
        {"one of two types", "{\"type\":[\"string\",\"null\"]}", "null", NULL},
        {"neither", "{\"type\":[\"string\",\"null\"]}", "1", "reply at \"\": none of the schema's types"},
        {"a property", "{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":1}",
         "reply at \"/a\": another type than the schema's"},
        {"a property that is not there", "{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{}", NULL},
        {"properties of a list", "{\"properties\":{\"a\":{\"type\":\"string\"}}}", "[1]", NULL},
        {"pointer is escaped", "{\"properties\":{\"a/b~c\":{\"type\":\"string\"}}}", "{\"a/b~c\":1}",
         "reply at \"/a~1b~0c\": another type than the schema's"},
        {"required", "{\"required\":[\"a\",\"b\"]}", "{\"a\":null,\"b\":0}", NULL},
        {"missing", "{\"required\":[\"a\",\"b\"]}", "{\"a\":1}", "reply at \"/b\": missing, but required"},
        {"extra allowed", "{\"properties\":{\"a\":{}}}", "{\"b\":1}", NULL},
        {"extra refused, not quoted", "{\"properties\":{\"a\":{}},\"additionalProperties\":false}",
         "{\"a\":1,\"secret\":1}", "reply at \"\": a member that the schema does not name (additionalProperties)"},
        {"no properties at all", "{\"additionalProperties\":false}", "{\"a\":1}",
         "reply at \"\": a member that the schema does not name (additionalProperties)"},
        {"extra true", "{\"additionalProperties\":true}", "{\"a\":1}", NULL},
        {"extra by schema", "{\"additionalProperties\":{\"type\":\"integer\"}}", "{\"a\":1}", NULL},
        {"extra by schema, misfit", "{\"additionalProperties\":{\"type\":\"integer\"}}", "{\"secret\":\"x\"}",
         "reply at \"/*\": another type than the schema's"},
        {"items", "{\"items\":{\"type\":\"string\"}}", "[\"a\",\"b\"]", NULL},
        {"one item misfits", "{\"items\":{\"items\":{\"type\":\"string\"}}}", "[[],[\"a\",2]]",
         "reply at \"/1/1\": another type than the schema's"},
        {"enum", "{\"enum\":[\"a\",1,null,[1]]}", "[1]", NULL},
        {"enum, null", "{\"enum\":[\"a\",null]}", "null", NULL},
        {"enum, 1.0 is 1", "{\"enum\":[1]}", "1.0", NULL},
        {"enum, true is not 1", "{\"enum\":[1]}", "true", "reply at \"\": none of the schema's values (enum)"},
        {"enum, case counts", "{\"enum\":[\"a\"]}", "\"A\"", "reply at \"\": none of the schema's values (enum)"},
        {"const", "{\"const\":\"a\"}", "\"a\"", NULL},
        {"not const", "{\"const\":null}", "false", "reply at \"\": not the schema's value (const)"},
        {"at the minimum", "{\"minimum\":1}", "1", NULL},
        {"below", "{\"minimum\":1}", "0.99", "reply at \"\": below the schema's minimum"},
        {"at the maximum", "{\"maximum\":5.5}", "5.5", NULL},
        {"above", "{\"maximum\":5}", "6", "reply at \"\": above the schema's maximum"},
        {"64 bits are compared exactly", "{\"maximum\":9223372036854775806}", "9223372036854775807",
         "reply at \"\": above the schema's maximum"},
        {"limits of a number don't bind a string", "{\"minimum\":5,\"maximum\":6}", "\"\"", NULL},
        {"code points, not bytes", "{\"minLength\":2,\"maxLength\":2}", "\"\xc3\xa9\xf0\x9f\x98\x80\"", NULL},
        {"an escaped pair is one", "{\"maxLength\":1}", "\"\\ud83d\\ude00\"", NULL},
        {"too short", "{\"minLength\":1}", "\"\"", "reply at \"\": shorter than the schema's minLength"},
        {"too long", "{\"maxLength\":1}", "\"ab\"", "reply at \"\": longer than the schema's maxLength"},
        {"items at both limits", "{\"minItems\":1,\"maxItems\":1}", "[1]", NULL},
        {"too few", "{\"minItems\":1}", "[]", "reply at \"\": fewer items than the schema's minItems"},
        {"too many", "{\"maxItems\":1}", "[1,2]", "reply at \"\": more items than the schema's maxItems"},
        {"words for people", "{\"title\":\"t\",\"description\":\"d\"}", "1", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_LABEL(cases[i].label);
        check_text(cases[i].schema, slice_of(cases[i].text), cases[i].want);
    }
}

static void only_strict_json(void)
{
#define AT(byte, why) "reply: not strict JSON at byte " byte ": " why
    static const struct {
        const char *label;
        struct slice text;
        const char *want;
    } cases[] = {
        {"spaces around", SLICE(" \t\r\n{ \"a\" : [ 1 , 2 ] } \n"), NULL},
        {"numbers", SLICE("[0,-0,1.5,-1.25e+10,1E-300,9223372036854775807,-9223372036854775808]"), NULL},
        {"a number alone", SLICE("12"), NULL},
        {"a word alone", SLICE("false"), NULL},
        {"escapes", SLICE("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\""), NULL},
        {"empty", SLICE(""), AT("0", "ends too early")},
        {"only spaces", SLICE("  "), AT("2", "ends too early")},
        {"fenced", SLICE("```json\n{}\n```"), AT("0", "not a JSON value")},
        {"prose behind", SLICE("{} Hope this helps!"), AT("3", "more text behind the document")},
        {"byte order mark", SLICE("\xef\xbb\xbf{}"), AT("0", "not a JSON value")},
        {"UTF-16", SLICE("{\0}\0"), AT("1", "expected a string")},
        {"NUL behind", SLICE("{}\0"), AT("2", "more text behind the document")},
        {"trailing comma", SLICE("[1,]"), AT("3", "not a JSON value")},
        {"trailing comma in an object", SLICE("{\"a\":1,}"), AT("7", "expected a string")},
        {"comment", SLICE("{/**/}"), AT("1", "expected a string")},
        {"single quotes", SLICE("{'a':1}"), AT("1", "expected a string")},
        {"NaN", SLICE("[NaN]"), AT("1", "not a JSON value")},
        {"Infinity", SLICE("[-Infinity]"), AT("2", "a number without digits")},
        {"upper case", SLICE("TRUE"), AT("0", "not a JSON value")},
        {"half a word", SLICE("nul"), AT("0", "not a JSON value")},
        {"leading zero", SLICE("[01]"), AT("3", "a number that begins with 0")},
        {"plus", SLICE("[+1]"), AT("1", "not a JSON value")},
        {"no digits behind the point", SLICE("[1.]"), AT("3", "a number without digits")},
        {"no digits in the exponent", SLICE("[1e]"), AT("3", "a number without digits")},
        {"hex", SLICE("[0x1]"), AT("2", "expected a comma or a closing bracket")},
        {"beyond 64 bits", SLICE("[9223372036854775808]"), AT("20", "a whole number beyond 64 bits")},
        {"beyond 64 bits, negative", SLICE("[-9223372036854775809]"), AT("21", "a whole number beyond 64 bits")},
        {"beyond a double", SLICE("[1e301]"), AT("6", "a number out of range")},
        {"beyond a double by its digits", SLICE("[1000000000000000000000e300]"), AT("27", "a number out of range")},
        {"too small to be kept", SLICE("[1e-99999999999999999999]"), AT("24", "a number out of range")},
        {"too many digits", SLICE("[0.10000000000000000000000000000000000000000000000000000000000000001]"),
         AT("68", "a number that is too long")},
        {"raw control", SLICE("\"a\nb\""), AT("2", "raw control character in a string")},
        {"raw NUL", SLICE("\"a\0b\""), AT("2", "raw control character in a string")},
        {"escaped NUL", SLICE("\"a\\u0000\""), AT("2", "U+0000 in a string")},
        {"escaped NUL in a name", SLICE("{\"a\\u0000\":1}"), AT("3", "U+0000 in a string")},
        {"lone high surrogate", SLICE("\"\\ud83d\""), AT("1", "lone surrogate")},
        {"high surrogate before another escape", SLICE("\"\\ud83d\\n1234\""), AT("1", "lone surrogate")},
        {"two high surrogates", SLICE("\"\\ud83d\\ud83d\""), AT("1", "lone surrogate")},
        {"lone low surrogate", SLICE("\"\\ude00\""), AT("1", "lone surrogate")},
        {"unknown escape", SLICE("\"\\x41\""), AT("1", "unknown escape in a string")},
        {"short \\u", SLICE("\"\\u12\""), AT("1", "\\u without four hex digits")},
        {"string without an end", SLICE("\"abc"), AT("4", "string without an end")},
        {"ends in an escape", SLICE("\"abc\\"), AT("4", "unknown escape in a string")},
        {"overlong UTF-8", SLICE("\"\xc0\xaf\""), AT("1", "not UTF-8")},
        {"a surrogate's UTF-8", SLICE("\"\xed\xa0\x80\""), AT("1", "not UTF-8")},
        {"cut UTF-8", SLICE("\"\xe2\x82\""), AT("1", "not UTF-8")},
        {"no colon", SLICE("{\"a\" 1}"), AT("5", "expected a colon")},
        {"mismatched brackets", SLICE("[1}"), AT("2", "expected a comma or a closing bracket")},
        {"truncated", SLICE("{\"a\":[1,"), AT("8", "ends too early")},
        {"forty lists side by side",
         SLICE("[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],"
               "[],[],[],"
               "[],[],[]]"),
         NULL},
        {"named twice", SLICE("{\"a\":1,\"a\":2}"), "reply: not strict JSON: an object names a member twice"},
        {"named twice, once escaped", SLICE("[{\"a\":1,\"\\u0061\":{\"a\":2}}]"),
         "reply: not strict JSON: an object names a member twice"},
        {"the same name in two objects", SLICE("{\"a\":{\"a\":1},\"b\":{\"a\":1}}"), NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_LABEL(cases[i].label);
        check_text("{}", cases[i].text, cases[i].want);
    }
}

static void depth_is_bounded(void)
{
    char text[4 * JSON_DEPTH_MAX];
    for (size_t depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        check_text("{}", (struct slice){text, 2 * depth}, depth == JSON_DEPTH_MAX ? NULL : AT("33", "nested too deep"));
    }
}

static void schemas_that_are_refused(void)
{
#define AT_SCHEMA(pointer, why) "JSON schema of the reply at \"" pointer "\": " why
    static const struct {
        const char *label, *schema, *want;
    } cases[] = {
        {"not JSON", "{", "JSON schema of the reply: not strict JSON at byte 1: expected a string"},
        {"not an object", "true", AT_SCHEMA("", "a schema is an object")},
        {"unknown keyword", "{\"properties\":{\"a\":{\"pattern\":\".\"}}}",
         AT_SCHEMA("/properties/a/pattern", "this keyword is not supported")},
        {"$ref", "{\"$ref\":\"#\"}", AT_SCHEMA("/$ref", "this keyword is not supported")},
        {"unknown type", "{\"type\":\"String\"}", AT_SCHEMA("/type", "not a type, or a list of types")},
        {"no type in the list", "{\"type\":[]}", AT_SCHEMA("/type", "not a type, or a list of types")},
        {"unknown type in the list", "{\"type\":[\"null\",1]}", AT_SCHEMA("/type", "not a type, or a list of types")},
        {"properties", "{\"properties\":[]}", AT_SCHEMA("/properties", "not an object of schemas")},
        {"a property's schema", "{\"properties\":{\"a\":true}}", AT_SCHEMA("/properties/a", "a schema is an object")},
        {"required", "{\"required\":\"a\"}", AT_SCHEMA("/required", "not a list of names")},
        {"required, numbers", "{\"required\":[1]}", AT_SCHEMA("/required", "not a list of names")},
        {"additionalProperties", "{\"additionalProperties\":1}",
         AT_SCHEMA("/additionalProperties", "a schema is an object")},
        {"items", "{\"items\":[{}]}", AT_SCHEMA("/items", "a schema is an object")},
        {"enum", "{\"enum\":[]}", AT_SCHEMA("/enum", "not a list of values, or an empty one")},
        {"minimum", "{\"minimum\":\"1\"}", AT_SCHEMA("/minimum", "not a number")},
        {"maxLength, negative", "{\"maxLength\":-1}", AT_SCHEMA("/maxLength", "not a whole number of at least 0")},
        {"minItems, fraction", "{\"minItems\":1.5}", AT_SCHEMA("/minItems", "not a whole number of at least 0")},
        {"title", "{\"title\":1}", AT_SCHEMA("/title", "not a string")},
        {"keyword twice", "{\"type\":\"null\",\"type\":\"object\"}",
         "JSON schema of the reply: not strict JSON: an object names a member twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_LABEL(cases[i].label);
        struct error err = {0};
        struct reply_schema *schema = reply_schema_new(slice_of(cases[i].schema), &err);
        CHECK(schema == NULL);
        CHECK_STR(err.text, cases[i].want);
        CHECK_INT(err.class, ERROR_OPERATOR);
        reply_schema_free(schema);
    }
}

static void built_in_schema(void)
{
    static const struct {
        const char *label, *text, *want;
    } cases[] = {
        {"good", "{\"sentiment\":\"positive\",\"summary\":\"s\",\"topics\":[\"t\"]}", NULL},
        {"no topics", "{\"sentiment\":\"mixed\",\"summary\":\"s\",\"topics\":[]}", NULL},
        {"missing", "{\"sentiment\":\"mixed\",\"topics\":[]}", "reply at \"/summary\": missing, but required"},
        {"unknown mood", "{\"sentiment\":\"angry\",\"summary\":\"s\",\"topics\":[]}",
         "reply at \"/sentiment\": none of the schema's values (enum)"},
        {"extra", "{\"sentiment\":\"mixed\",\"summary\":\"s\",\"topics\":[],\"rating\":5}",
         "reply at \"\": a member that the schema does not name (additionalProperties)"},
        {"empty topic", "{\"sentiment\":\"mixed\",\"summary\":\"s\",\"topics\":[\"a\",\"\"]}",
         "reply at \"/topics/1\": shorter than the schema's minLength"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_LABEL(cases[i].label);
        check_text(prompt_default_schema, slice_of(cases[i].text), cases[i].want);
    }
}

static void schema_for_the_request(void)
{
    struct reply_schema *schema =
        reply_schema_new(SLICE(" { \"type\" : \"string\",\n \"description\": \"a/b \xc3\xa9\" }"), NULL);
    CHECK_STR(reply_schema_json(schema), "{\"type\":\"string\",\"description\":\"a/b \xc3\xa9\"}");
    reply_schema_free(schema);
    reply_schema_free(NULL);
}

static void long_pointer_is_cut_at_a_code_point(void)
{
    AUTO(text_free) struct text schema = {0};
    AUTO(text_free) struct text text = {0};
    text_puts(&schema, "{\"properties\":{\"x");
    text_puts(&text, "{\"x");
    for (int i = 0; i < 300; i++) {
        text_puts(&schema, "\xc3\xa9");
        text_puts(&text, "\xc3\xa9");
    }
    text_puts(&schema, "\":{\"type\":\"null\"}}}");
    text_puts(&text, "\":1}");
    struct error err = {0};
    struct reply_schema *s = reply_schema_new((struct slice){schema.ptr, schema.len}, &err);
    CHECK(s && !reply_schema_check(s, (struct slice){text.ptr, text.len}, &err));
    CHECK(strstr(err.text, "\xc3\xa9\": another type than the schema's") != NULL);
    reply_schema_free(s);
}

CHECK_MAIN({"keywords", keywords}, {"only strict JSON", only_strict_json}, {"depth is bounded", depth_is_bounded},
           {"schemas that are refused", schemas_that_are_refused}, {"built-in schema", built_in_schema},
           {"schema for the request", schema_for_the_request},
           {"long pointer is cut at a code point", long_pointer_is_cut_at_a_code_point})
