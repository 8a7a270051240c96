/* Names of tables and columns. */
#include "identifier.h"

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static bool is_inner(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '$';
}

/* Appends c to what has been read; one that does not fit makes the name too long. */
static void put(char name[IDENTIFIER_SIZE], size_t *len, char c)
{
    if (*len < IDENTIFIER_SIZE - 1)
        name[*len] = c;
    (*len)++;
}

/* *at stands on the first quote and is moved behind the last; false when there is none. */
static bool read_quoted(const char **at, char name[IDENTIFIER_SIZE], size_t *ret_len)
{
    const char *c = *at + 1;
    for (; *c != '\0'; c++) {
        if (*c == '"' && c[1] != '"') {
            *at = c + 1;
            return true;
        }
        c += *c == '"';
        put(name, ret_len, *c);
    }
    return false;
}

static void read_plain(const char **at, char name[IDENTIFIER_SIZE], size_t *ret_len)
{
    const char *c = *at;
    for (; is_inner(*c) && (is_letter(*c) || c > *at); c++)
        put(name, ret_len, *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c);
    *at = c;
}

static bool read_name(const char **at, char ret_name[IDENTIFIER_SIZE], struct error *ret_err)
{
    size_t len = 0;
    memset(ret_name, 0, IDENTIFIER_SIZE);
    bool ok = true;
    if (**at == '"')
        ok = read_quoted(at, ret_name, &len);
    else
        read_plain(at, ret_name, &len);
    if (ok && len > 0 && len < IDENTIFIER_SIZE)
        return true;
    if (ok && len > 0)
        error_set(ret_err, ERROR_OPERATOR, "has a name longer than %d bytes", IDENTIFIER_SIZE - 1);
    else
        error_set(ret_err, ERROR_OPERATOR, "must be table or schema.table, quoted like public.\"UserFeedback\"");
    return false;
}

bool identifier_parse(const char *text, struct table_name *ret_name, struct error *ret_err)
{
    const char *at = text;
    struct table_name name = {.schema = ""};
    if (!read_name(&at, name.name, ret_err))
        return false;
    if (*at == '.') {
        at++;
        memcpy(name.schema, name.name, sizeof name.schema);
        if (!read_name(&at, name.name, ret_err))
            return false;
    }
    if (*at != '\0') {
        error_set(ret_err, ERROR_OPERATOR, "must be table or schema.table, quoted like public.\"UserFeedback\"");
        return false;
    }
    *ret_name = name;
    return true;
}

static void put_doubled(const char *text, char quote, struct text *out)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == quote)
            text_put(out, c, 1);
        text_put(out, c, 1);
    }
}

void identifier_quote(const char *name, struct text *out)
{
    text_puts(out, "\"");
    put_doubled(name, '"', out);
    text_puts(out, "\"");
}

void identifier_show(const char *name, struct text *out)
{
    bool plain = is_letter(*name);
    for (const char *c = name; *c != '\0'; c++)
        plain = plain && is_inner(*c) && !(*c >= 'A' && *c <= 'Z') && !(*c & 0x80);
    if (plain)
        text_puts(out, name);
    else
        identifier_quote(name, out);
}

void identifier_escape(const char *text, struct text *out)
{
    put_doubled(text, '\'', out);
}
