/* A scanner for JSON after RFC 8259, and not a byte more. */
#include "scan.h"

#include "utf8.h"

static bool refuse(struct scan *s, enum scan_fault fault, const char *why)
{
    if (s->fault == SCAN_OK) {
        s->fault = fault;
        s->why = why;
        s->where = s->at;
    }
    s->at = s->end;
    return false;
}

void scan_init(struct scan *s, struct slice text)
{
    const char *const end = text.ptr ? text.ptr + text.len : NULL;
    *s = (struct scan){.at = text.ptr, .end = end, .rules = SCAN_READABLE};
}

static void pass_blanks(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

/* The next byte after white space is not the first of any JSON token when it is NUL: 0 also means the end. */
static char next_byte(struct scan *s)
{
    pass_blanks(s);
    if (s->at == s->end)
        return '\0';
    return *s->at;
}

static bool take(struct scan *s, char byte, const char *why)
{
    if (next_byte(s) != byte)
        return refuse(s, SCAN_SYNTAX, why);
    s->at++;
    return true;
}

enum scan_kind scan_peek(struct scan *s)
{
    const char c = next_byte(s);
    if (c == '"')
        return SCAN_STRING;
    if (c == '{')
        return SCAN_OBJECT;
    if (c == '[')
        return SCAN_ARRAY;
    if (c == '-' || (c >= '0' && c <= '9'))
        return SCAN_NUMERAL;
    return c == 't' || c == 'f' || c == 'n' ? SCAN_LITERAL : SCAN_NOTHING;
}

static bool enter(struct scan *s, char bracket)
{
    if (!take(s, bracket, "expected an object or an array"))
        return false;
    if (s->depth == SCAN_DEPTH_MAX)
        return refuse(s, SCAN_DEPTH, "nested too deep");
    s->depth++;
    s->started &= ~(UINT64_C(1) << s->depth);
    return true;
}

/* Moves to the next element of the container; false when bracket ends it, or on a fault. */
static bool advance(struct scan *s, char bracket)
{
    if (next_byte(s) == bracket) {
        s->at++;
        s->depth--;
        return false;
    }
    const uint64_t bit = UINT64_C(1) << s->depth;
    if ((s->started & bit) && !take(s, ',', "expected a comma or a closing bracket"))
        return false;
    s->started |= bit;
    return s->fault == SCAN_OK;
}

bool scan_enter_object(struct scan *s)
{
    return enter(s, '{');
}

bool scan_member(struct scan *s, struct scan_text *ret_key)
{
    if (s->fault != SCAN_OK || !advance(s, '}'))
        return false;
    s->members++;
    return scan_string(s, ret_key) && take(s, ':', "expected a colon");
}

/* Value of a hexadecimal digit, -1 for any other byte. */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Four hexadecimal digits at text; -1 when they are not there. */
static int32_t hex_unit(const char *text, const char *end)
{
    if (end - text < 4)
        return -1;
    int32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        const int digit = hex_digit(text[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static bool is_high(int32_t unit)
{
    return unit >= 0xd800 && unit < 0xdc00;
}

static bool is_low(int32_t unit)
{
    return unit >= 0xdc00 && unit < 0xe000;
}

/* At the backslash of \uXXXX: passes it, and its second half where there is one. */
static bool pass_unicode_escape(struct scan *s)
{
    const int32_t unit = hex_unit(s->at + 2, s->end);
    if (unit < 0)
        return refuse(s, SCAN_SYNTAX, "\\u without four hex digits");
    if (unit == 0 && s->rules == SCAN_STORABLE)
        return refuse(s, SCAN_NUL, "U+0000 in a string");
    if (s->rules == SCAN_GRAMMAR || (!is_low(unit) && !is_high(unit))) {
        s->at += 6;
        return true;
    }
    const bool pair = is_high(unit) && s->end - s->at >= 12 && s->at[6] == '\\' && s->at[7] == 'u' &&
                      is_low(hex_unit(s->at + 8, s->end));
    if (!pair)
        return refuse(s, SCAN_SURROGATE, "lone surrogate");
    s->at += 12;
    return true;
}

static bool pass_escape(struct scan *s)
{
    if (s->end - s->at < 2)
        return refuse(s, SCAN_SYNTAX, "unknown escape in a string");
    if (s->at[1] == 'u')
        return pass_unicode_escape(s);
    if (s->at[1] == '\0' || !strchr("\"\\/bfnrt", s->at[1]))
        return refuse(s, SCAN_SYNTAX, "unknown escape in a string");
    s->at += 2;
    return true;
}

bool scan_string(struct scan *s, struct scan_text *ret_text)
{
    if (!take(s, '"', "expected a string"))
        return false;
    const char *const start = s->at;
    bool escaped = false;
    while (s->at < s->end && *s->at != '"') {
        if ((unsigned char)*s->at < 0x20)
            return refuse(s, SCAN_SYNTAX, "raw control character in a string");
        if (*s->at != '\\') {
            s->at++;
            continue;
        }
        escaped = true;
        if (!pass_escape(s))
            return false;
    }
    if (s->at == s->end)
        return refuse(s, SCAN_SYNTAX, "string without an end");
    *ret_text = (struct scan_text){.raw = {.ptr = start, .len = (size_t)(s->at - start)}, .escaped = escaped};
    s->at++;
    return true;
}

/* A number on its way through its parts. */
struct number {
    const char *digits; /* behind the sign */
    size_t whole;       /* digits before the point */
    const char *mantissa_end;
    int exponent; /* cut at +-100000 */
    bool negative, integer;
};

/* Passes a run of digits. */
static bool pass_digits(struct scan *s)
{
    const char *const start = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > start || refuse(s, SCAN_SYNTAX, "a number without digits");
}

/* At 'e'. */
static bool pass_exponent(struct scan *s, int *ret_value)
{
    s->at++;
    const bool negative = s->at < s->end && *s->at == '-';
    if (s->at < s->end && (*s->at == '-' || *s->at == '+'))
        s->at++;
    const char *const digits = s->at;
    if (!pass_digits(s))
        return false;
    int value = 0;
    for (const char *d = digits; d < s->at && value < 100000; d++)
        value = value * 10 + (*d - '0');
    *ret_value = negative ? -value : value;
    return true;
}

static bool pass_parts(struct scan *s, struct number *n)
{
    *n = (struct number){.negative = *s->at == '-', .integer = true};
    s->at += n->negative;
    n->digits = s->at;
    if (!pass_digits(s))
        return false;
    n->whole = (size_t)(s->at - n->digits);
    if (n->whole > 1 && *n->digits == '0')
        return refuse(s, SCAN_SYNTAX, "a number that begins with 0");
    if (s->at < s->end && *s->at == '.') {
        n->integer = false;
        s->at++;
        if (!pass_digits(s))
            return false;
    }
    n->mantissa_end = s->at;
    if (s->at == s->end || (*s->at | 0x20) != 'e')
        return true;
    n->integer = false;
    return pass_exponent(s, &n->exponent);
}

static bool integer_fits(const struct number *n, enum scan_rules rules)
{
    const char *const most = n->negative              ? "9223372036854775808"
                             : rules == SCAN_STORABLE ? "9223372036854775807"
                                                      : "18446744073709551615";
    const size_t len = strlen(most);
    return n->whole < len || (n->whole == len && memcmp(n->digits, most, len) <= 0);
}

/* The decimal exponent of the first digit that is not 0, cut like the exponent; 0 for zero itself. */
static int64_t magnitude(const struct number *n)
{
    if (*n->digits != '0')
        return (int64_t)n->whole - 1 + n->exponent;
    int64_t place = -1;
    for (const char *d = n->digits + 2; d < n->mantissa_end && *d == '0'; d++)
        place--;
    return n->digits + 1 < n->mantissa_end && n->digits[1] == '.' ? place + n->exponent : 0;
}

static bool pass_number(struct scan *s)
{
    struct number n;
    if (!pass_parts(s, &n))
        return false;
    if (s->rules == SCAN_GRAMMAR)
        return true;
    if (n.integer)
        return integer_fits(&n, s->rules) || refuse(s, SCAN_NUMBER, "a whole number beyond 64 bits");
    const bool storable = s->rules == SCAN_STORABLE;
    if (storable && s->at - n.digits + n.negative > SCAN_NUMBER_MAX)
        return refuse(s, SCAN_NUMBER, "a number that is too long");
    if (magnitude(&n) >= 308 || (storable && (n.exponent > SCAN_EXPONENT_MAX || n.exponent < -SCAN_EXPONENT_MAX)))
        return refuse(s, SCAN_NUMBER, "a number out of range");
    return true;
}

static bool pass_literal(struct scan *s)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        const size_t len = strlen(words[i]);
        if ((size_t)(s->end - s->at) >= len && memcmp(s->at, words[i], len) == 0) {
            s->at += len;
            return true;
        }
    }
    return refuse(s, SCAN_SYNTAX, "not a JSON value");
}

static bool pass_array(struct scan *s)
{
    if (!enter(s, '['))
        return false;
    while (advance(s, ']'))
        if (!scan_skip(s))
            return false;
    return s->fault == SCAN_OK;
}

static bool pass_object(struct scan *s)
{
    if (!enter(s, '{'))
        return false;
    struct scan_text key;
    while (scan_member(s, &key))
        if (!scan_skip(s))
            return false;
    return s->fault == SCAN_OK;
}

/* Recursion ends at SCAN_DEPTH_MAX. */
bool scan_skip(struct scan *s)
{
    struct scan_text text;
    switch (scan_peek(s)) {
    case SCAN_OBJECT:
        return pass_object(s);
    case SCAN_ARRAY:
        return pass_array(s);
    case SCAN_STRING:
        return scan_string(s, &text);
    case SCAN_NUMERAL:
        return pass_number(s);
    case SCAN_LITERAL:
        return pass_literal(s);
    case SCAN_NOTHING:
        break;
    }
    return refuse(s, SCAN_SYNTAX, s->at == s->end ? "ends too early" : "not a JSON value");
}

bool scan_finish(struct scan *s)
{
    pass_blanks(s);
    if (s->at < s->end || s->depth > 0)
        return refuse(s, SCAN_SYNTAX, "more text behind the document");
    return s->fault == SCAN_OK;
}

/* Reads one code point of a checked string and moves *at behind it. */
static uint32_t decode_point(const char **at, const char *end)
{
    static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t"; /* each letter and what it means */
    const char *p = *at;
    if (*p != '\\') {
        size_t width;
        const uint32_t point = utf8_decode(p, (size_t)(end - p), &width);
        *at = p + width;
        return point;
    }
    if (p[1] != 'u') {
        *at = p + 2;
        const char *const letter = strchr(escapes, p[1]); /* there: the scan has checked it */
        return letter ? (unsigned char)letter[1] : 0;
    }
    const int32_t unit = hex_unit(p + 2, end);
    *at = p + 6;
    if (!is_high(unit))
        return (uint32_t)unit;
    *at = p + 12;
    return 0x10000U + (((uint32_t)unit & 0x3ff) << 10 | ((uint32_t)hex_unit(p + 8, end) & 0x3ff));
}

static size_t encode_point(uint32_t point, char out[4])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    const size_t width = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = width - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    out[0] = (char)((0xf00U >> width & 0xff) | point);
    return width;
}

size_t scan_decode(struct scan_text text, char *buffer, size_t size, bool *ret_nul)
{
    const char *at = text.raw.ptr, *const end = at + text.raw.len;
    size_t total = 0, kept = 0;
    bool nul = false, cut = false;
    if (!text.escaped && text.raw.len < size) {
        memcpy(buffer, at, text.raw.len);
        total = kept = text.raw.len;
        at = end; /* a raw NUL is a control character, which the scan has refused */
    }
    while (at < end) {
        char bytes[4];
        const uint32_t point = decode_point(&at, end);
        const size_t width = encode_point(point, bytes);
        nul |= point == 0;
        total += width;
        cut |= kept + width >= size;
        if (!cut) {
            memcpy(buffer + kept, bytes, width);
            kept += width;
        }
    }
    buffer[kept] = '\0';
    if (ret_nul)
        *ret_nul = nul;
    return total;
}

bool scan_is(struct scan_text text, const char *word)
{
    const size_t len = strlen(word);
    if (!text.escaped)
        return text.raw.len == len && memcmp(text.raw.ptr, word, len) == 0;
    const char *at = text.raw.ptr, *const end = at + text.raw.len;
    size_t i = 0;
    while (at < end) {
        const uint32_t point = decode_point(&at, end);
        if (i >= len || point != (unsigned char)word[i++])
            return false;
    }
    return i == len;
}
