/* The environment: ROOMCLAIM_SECTION_KEY, the names that the ecosystem knows, and files and systemd credentials for
 * secrets. */
#include "alloc.h"
#include "config_load.h"
#include "file.h"
#include "secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char prefix[] = "ROOMCLAIM_";

static const struct {
    const char *name;
    enum config_key_id id;
} synonyms[] = {
    {"KAFKA_BOOTSTRAP_SERVERS", CONFIG_KEY_kafka_bootstrap_servers},
    {"DATABASE_URL", CONFIG_KEY_database_url},
    {"LIVEKIT_API_KEY", CONFIG_KEY_livekit_api_key},
    {"LIVEKIT_API_SECRET", CONFIG_KEY_livekit_api_secret},
    {"GEMINI_API_KEY", CONFIG_KEY_llm_api_key},
    {"GOOGLE_API_KEY", CONFIG_KEY_llm_api_key},
};

/* Variables of the tests and of ./dev, which the programs read elsewhere or not at all. */
static const char *const foreign[] = {"ROOMCLAIM_TEST_", "ROOMCLAIM_FAULT", "ROOMCLAIM_DEV_"};

static bool may_be_a_file(const struct config_key *key)
{
    return key->flags & (CONFIG_SECRET | CONFIG_SECRET_PART);
}

/* Other programs' secrets are neither kept nor read. */
static bool is_wanted(const struct config_loader *loader, const struct config_key *key)
{
    return !may_be_a_file(key) || (key->flags & loader->program);
}

/* Whether a variable ROOMCLAIM_... is one of ours: the key's own or, for a secret, the same with _FILE. */
static const struct config_key *find_variable(const char *name, size_t len, bool *ret_is_file)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        char own[CONFIG_ENV_SIZE];
        config_key_env(&config_keys[i], own);
        const size_t own_len = strlen(own);
        *ret_is_file = may_be_a_file(&config_keys[i]) && len == own_len + 5 && memcmp(name + own_len, "_FILE", 5) == 0;
        if ((len == own_len || *ret_is_file) && memcmp(name, own, own_len) == 0)
            return &config_keys[i];
    }
    return NULL;
}

static bool is_foreign(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
        if (strncmp(name, foreign[i], strlen(foreign[i])) == 0)
            return true;
    }
    return false;
}

static bool unknown_variable(const char *name, int len, struct error *ret_err)
{
    const int prefix_len = sizeof prefix - 1;
    AUTO(free_ptr) char *path = xmemdup0(name + prefix_len, (size_t)(len - prefix_len));
    const struct config_key *meant = config_key_nearest(path);
    char own[CONFIG_ENV_SIZE] = "";
    if (meant)
        config_key_env(meant, own);
    error_set(ret_err, ERROR_OPERATOR, "unknown environment variable %.*s%s%s%s", MIN(len, 80), name,
              meant ? "; did you mean " : "", own, meant ? "?" : "");
    return false;
}

/* A secret's file must be guarded, another's need not. */
static bool assign_file(struct config_loader *loader, const struct config_key *key, const char *where, const char *path,
                        struct error *ret_err)
{
    struct error why;
    AUTO(secret_free_ptr)
    char *text = may_be_a_file(key) ? secret_read_file(path, &why) : file_read_line(path, SECRET_FILE_MAX, &why);
    if (!text) {
        error_set(ret_err, ERROR_OPERATOR, "%s: %s", where, why.text);
        return false;
    }
    return config_assign(loader, key, CONFIG_FROM_SECRET_FILE, where, text, ret_err);
}

static bool load_synonyms(struct config_loader *loader, struct error *ret_err)
{
    for (size_t i = 0; i < ARRAY_LEN(synonyms); i++) {
        const struct config_key *key = &config_keys[synonyms[i].id];
        const char *text = getenv(synonyms[i].name);
        if (text && is_wanted(loader, key) &&
            !config_assign(loader, key, CONFIG_FROM_SYNONYM, synonyms[i].name, text, ret_err))
            return false;
    }
    return true;
}

/* One pass over all variables with our prefix, the plain ones or those that name a file. */
static bool load_own(struct config_loader *loader, bool files, struct error *ret_err)
{
    for (char **entry = environ; entry && *entry; entry++) {
        const size_t len = strcspn(*entry, "=");
        if (strncmp(*entry, prefix, sizeof prefix - 1) != 0 || (*entry)[len] != '=' || is_foreign(*entry))
            continue;
        bool is_file;
        const struct config_key *key = find_variable(*entry, len, &is_file);
        if (!key)
            return unknown_variable(*entry, (int)MIN(len, 200U), ret_err);
        if (is_file != files || !is_wanted(loader, key))
            continue;
        AUTO(free_ptr) char *name = xmemdup0(*entry, len);
        const char *text = *entry + len + 1;
        const bool ok = is_file ? assign_file(loader, key, name, text, ret_err)
                                : config_assign(loader, key, CONFIG_FROM_ENV, name, text, ret_err);
        if (!ok)
            return false;
    }
    return true;
}

static bool load_synonym_files(struct config_loader *loader, struct error *ret_err)
{
    for (size_t i = 0; i < ARRAY_LEN(synonyms); i++) {
        const struct config_key *key = &config_keys[synonyms[i].id];
        AUTO(free_ptr) char *name = xasprintf("%s_FILE", synonyms[i].name);
        const char *path = getenv(name);
        if (path && is_wanted(loader, key) && !assign_file(loader, key, name, path, ret_err))
            return false;
    }
    return true;
}

/* systemd's LoadCredential=livekit.api_secret:/path puts a file of that name there. */
static bool load_credentials(struct config_loader *loader, struct error *ret_err)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    for (size_t i = 0; dir && i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        if (!may_be_a_file(key) || !is_wanted(loader, key))
            continue;
        AUTO(free_ptr) char *path = xasprintf("%s/%s", dir, key->path);
        AUTO(free_ptr) char *where = xasprintf("credential %s", key->path);
        if (access(path, F_OK) == 0 && !assign_file(loader, key, where, path, ret_err))
            return false;
    }
    return true;
}

bool config_load_env(struct config_loader *loader, struct error *ret_err)
{
    return load_synonyms(loader, ret_err) && load_own(loader, false, ret_err) && load_synonym_files(loader, ret_err) &&
           load_own(loader, true, ret_err) && load_credentials(loader, ret_err);
}

bool config_env_missing(const struct config_key *key, struct error *ret_err)
{
    char own[CONFIG_ENV_SIZE];
    config_key_env(key, own);
    const char *synonym = NULL;
    for (size_t i = 0; i < ARRAY_LEN(synonyms) && !synonym; i++) {
        if (key == &config_keys[synonyms[i].id])
            synonym = synonyms[i].name;
    }
    error_set(ret_err, ERROR_OPERATOR, "%s is not set: put it into the configuration file, or set %s%s%s%s", key->path,
              synonym ? synonym : "", synonym ? " or " : "", own,
              may_be_a_file(key) ? ", or the same with _FILE for a file that holds it" : "");
    return false;
}

bool config_env_has_database(void)
{
    static const char *const names[] = {"PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *text = getenv(names[i]);
        if (text && *text != '\0')
            return true;
    }
    return false;
}
