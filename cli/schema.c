/* The SQL that this program carries. CMake's embed() makes a symbol of each file. */
#include "schema.h"

#include <assert.h>
#include <openssl/evp.h>

/* X(number, symbol, file) */
#define MIGRATION_TABLE(X) X(1, schema_sql_0001_tables, "0001_tables.sql")

/* In the order in which they are run: what is there goes, what others call is made first, grants come last. */
#define FUNCTION_TABLE(X)     \
    X(schema_sql_clear)       \
    X(schema_sql_application) \
    X(schema_sql_common)      \
    X(schema_sql_claim)       \
    X(schema_sql_store)       \
    X(schema_sql_release)     \
    X(schema_sql_sweep)       \
    X(schema_sql_operate)     \
    X(schema_sql_grants)

#define X(number, symbol, file) extern const char symbol[];
MIGRATION_TABLE(X)
#undef X
#define X(symbol) extern const char symbol[];
FUNCTION_TABLE(X)
#undef X
extern const char schema_sql_roles[];

const struct schema_migration schema_migrations[] = {
#define X(number, symbol, file) {number, file, symbol},
    MIGRATION_TABLE(X)
#undef X
};
const size_t schema_migration_count = ARRAY_LEN(schema_migrations);

static const char *const functions[] = {
#define X(symbol) symbol,
    FUNCTION_TABLE(X)
#undef X
};

bool schema_render(const char *source, const struct binding *binding, struct text *out, struct error *ret_err)
{
    return template_render(source, binding->values, BINDING_COUNT, out, ret_err);
}

bool schema_render_functions(const struct binding *binding, struct text *out, struct error *ret_err)
{
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        if (!schema_render(functions[i], binding, out, ret_err))
            return false;
    }
    return true;
}

bool schema_render_roles(const struct binding *binding, struct text *out, struct error *ret_err)
{
    return schema_render(schema_sql_roles, binding, out, ret_err);
}

void schema_checksum(const char *sql, const char *more, char ret_hex[SCHEMA_CHECKSUM_SIZE])
{
    AUTO(text_free) struct text both = {0};
    text_puts(&both, sql);
    text_puts(&both, more);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    const int ok = EVP_Digest(both.ptr, both.len, digest, &len, EVP_sha256(), NULL);
    assert(ok == 1 && len * 2 + 1 == SCHEMA_CHECKSUM_SIZE);
    for (size_t i = 0; i < len; i++) {
        static const char hex[] = "0123456789abcdef";
        ret_hex[i * 2] = hex[digest[i] >> 4];
        ret_hex[i * 2 + 1] = hex[digest[i] & 15];
    }
    ret_hex[SCHEMA_CHECKSUM_SIZE - 1] = '\0';
}
