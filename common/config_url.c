/* Splitting a database address into its parts. Where an address is malformed, too much counts as a password rather
 * than too little. */
#include "config_url.h"

struct splitter {
    struct config_url_part *parts;
    size_t count;
};

static void add_part(struct splitter *s, struct slice name, const char *start, const char *end)
{
    if (s->count < CONFIG_URL_PARTS)
        s->parts[s->count++] = (struct config_url_part){name, {start, (size_t)(end - start)}};
}

static const char *find_last(const char *start, const char *end, char c)
{
    return memrchr(start, c, (size_t)(end - start));
}

/* host, host:port, [v6]:port; of several hosts the first. */
static void split_hosts(struct splitter *s, const char *at, const char *end)
{
    const char *host_end = at;
    if (at < end && *at == '[') {
        while (host_end < end && *host_end != ']')
            host_end++;
        at++;
    } else {
        while (host_end < end && *host_end != ':' && *host_end != ',')
            host_end++;
    }
    if (host_end > at)
        add_part(s, SLICE("host"), at, host_end);
}

/* name=value&name=value */
static void split_query(struct splitter *s, const char *at)
{
    while (*at != '\0') {
        const char *end = at + strcspn(at, "&");
        const char *equals = memchr(at, '=', (size_t)(end - at));
        if (equals)
            add_part(s, (struct slice){at, (size_t)(equals - at)}, equals + 1, end);
        at = *end == '&' ? end + 1 : end;
    }
}

/* user:password@hosts/dbname?query, behind the scheme. */
static void split_uri(struct splitter *s, const char *at)
{
    const char *query = at + strcspn(at, "?");
    const char *hosts_end = at + strcspn(at, "/");
    const char *sign = find_last(at, hosts_end, '@');
    if (!sign)
        sign = find_last(at, query, '@'); /* a slash in the password: libpq refuses it, but it is one */
    if (sign) {
        const char *colon = memchr(at, ':', (size_t)(sign - at));
        add_part(s, SLICE("user"), at, colon ? colon : sign);
        if (colon)
            add_part(s, SLICE("password"), colon + 1, sign);
        at = sign + 1;
        query = at + strcspn(at, "?");
    }
    split_hosts(s, at, at + strcspn(at, "/?"));
    if (*query == '?')
        split_query(s, query + 1);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_blanks(const char *at)
{
    while (is_blank(*at))
        at++;
    return at;
}

/* The end of a value: quoted ones end at the quote, others at a blank; a backslash escapes. */
static const char *value_end(const char *at, bool quoted)
{
    while (*at != '\0' && !(quoted ? *at == '\'' : is_blank(*at)))
        at += *at == '\\' && at[1] != '\0' ? 2 : 1;
    return at;
}

/* name = 'value' name=value */
static void split_conninfo(struct splitter *s, const char *at)
{
    for (at = skip_blanks(at); *at != '\0'; at = skip_blanks(at)) {
        const char *name = at;
        while (*at != '\0' && *at != '=' && !is_blank(*at))
            at++;
        const size_t name_len = (size_t)(at - name);
        at = skip_blanks(at);
        if (*at != '=')
            continue; /* malformed: libpq says so */
        at = skip_blanks(at + 1);
        const bool quoted = *at == '\'';
        at += quoted;
        const char *end = value_end(at, quoted);
        add_part(s, (struct slice){name, name_len}, at, end);
        at = end + (quoted && *end == '\'');
    }
}

size_t config_url_split(const char *url, struct config_url_part ret_parts[CONFIG_URL_PARTS])
{
    struct splitter s = {.parts = ret_parts};
    const char *scheme_end = strstr(url, "://");
    if (scheme_end && strcspn(url, "= ") > (size_t)(scheme_end - url))
        split_uri(&s, scheme_end + 3);
    else
        split_conninfo(&s, url);
    return s.count;
}

struct slice config_url_get(const char *url, const char *name)
{
    struct config_url_part parts[CONFIG_URL_PARTS];
    const size_t count = config_url_split(url, parts);
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(parts[i].name, slice_of(name)))
            return parts[i].value;
    }
    return (struct slice){0};
}

static bool is_password(struct config_url_part part)
{
    return part.value.len > 0 &&
           (slice_equal(part.name, SLICE("password")) || slice_equal(part.name, SLICE("sslpassword")));
}

bool config_url_has_password(const char *url)
{
    struct config_url_part parts[CONFIG_URL_PARTS];
    const size_t count = config_url_split(url, parts);
    for (size_t i = 0; i < count; i++) {
        if (is_password(parts[i]))
            return true;
    }
    return false;
}

void config_url_mask(const char *url, struct text *out)
{
    struct config_url_part parts[CONFIG_URL_PARTS];
    const size_t count = config_url_split(url, parts);
    const char *at = url;
    for (size_t i = 0; i < count; i++) {
        if (!is_password(parts[i]))
            continue;
        text_put(out, at, (size_t)(parts[i].value.ptr - at));
        text_puts(out, "***");
        at = parts[i].value.ptr + parts[i].value.len;
    }
    text_puts(out, at);
}
