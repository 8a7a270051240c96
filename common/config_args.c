/* The command line that all programs share. */
#include "alloc.h"
#include "config.h"
#include "config_load.h"
#include "log.h"

#include <errno.h>

/* The shared options; a program's own come behind them. */
#define OPTION_TABLE(X)                                                                                     \
    X(CONFIG, "--config", true, "FILE  read this configuration file (-c FILE)")                             \
    X(SET, "--set", true, "section.key=value  set one key, before file and environment")                    \
    X(CHECK, "--check", false, "check the configuration and exit")                                          \
    X(PRINT_CONFIG, "--print-config", false, "print the effective configuration, secrets masked, and exit") \
    X(PRINT_SAMPLE, "--print-sample", false, "print a sample file with every default and exit")             \
    X(PRINT_REFERENCE, "--print-reference", false, "print the manual's table of keys and exit")             \
    X(VERSION, "--version", false, "print the version and exit")                                            \
    X(HELP, "--help", false, "print this and exit (-h)")

enum option_id {
#define X(id, name, takes_value, help) OPTION_##id,
    OPTION_TABLE(X)
#undef X
        OPTION_COUNT
};

static const struct {
    const char *name;
    bool takes_value;
    const char *help;
} options[] = {
#define X(id, name, takes_value, help) {name, takes_value, help},
    OPTION_TABLE(X)
#undef X
};

struct command_line {
    const char *program; /* argv[0] without its folders */
    const struct own_option *own;
    struct config_args args;
    bool given[OPTION_COUNT];
    char **words; /* into argv, moved to its front */
    int word_count;
};

static bool refuse(const struct command_line *line, const char *what, const char *word)
{
    (void)fprintf(stderr, "%s: %s %.80s; usage: %s [-c FILE] [--set section.key=value] [OPTION] (see --help)\n",
                  line->program, what, word, line->program);
    return false;
}

/* Whether arg is --name or --name=value; ret_value is what stands behind the =, or NULL. */
static bool is_option(const char *arg, const char *name, const char **ret_value)
{
    const size_t len = strlen(name);
    if (strncmp(arg, name, len) != 0 || (arg[len] != '\0' && arg[len] != '='))
        return false;
    *ret_value = arg[len] == '=' ? arg + len + 1 : NULL;
    return true;
}

/* Takes the value from behind = or from the next argument; false when there is none, or one that is not wanted. */
static bool take_value(struct command_line *line, bool wanted, const char *name, char ***at, const char **value)
{
    if (!wanted)
        return !*value || refuse(line, "this option takes no value:", name);
    if (*value)
        return true;
    if (!(*at)[1])
        return refuse(line, "a value is missing behind", name);
    (*at)++;
    *value = **at;
    return true;
}

static void apply(struct command_line *line, enum option_id id, const char *value)
{
    line->given[id] = true;
    if (id == OPTION_CONFIG)
        line->args.file = value;
    if (id != OPTION_SET)
        return;
    line->args.sets = xgrow(line->args.sets, line->args.set_count + 1, sizeof *line->args.sets);
    line->args.sets[line->args.set_count++] = value;
}

static bool read_own_option(struct command_line *line, char ***at)
{
    const char *value = NULL;
    for (const struct own_option *own = line->own; own && own->name; own++) {
        if (!is_option(**at, own->name, &value))
            continue;
        if (!take_value(line, own->value != NULL, own->name, at, &value))
            return false;
        if (own->given)
            *own->given = true;
        if (own->value)
            *own->value = value;
        return true;
    }
    return refuse(line, "unknown option", **at);
}

static bool read_option(struct command_line *line, char ***at)
{
    const char *arg = strcmp(**at, "-c") == 0 ? "--config" : strcmp(**at, "-h") == 0 ? "--help" : **at;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const char *value = NULL;
        if (!is_option(arg, options[i].name, &value))
            continue;
        if (!take_value(line, options[i].takes_value, options[i].name, at, &value))
            return false;
        apply(line, (enum option_id)i, value);
        return true;
    }
    return read_own_option(line, at);
}

/* Options may stand anywhere before "--"; the rest are words. */
static bool read_arguments(struct command_line *line, char **argv)
{
    bool only_words = false;
    for (char **at = argv; *at; at++) {
        if (!only_words && strcmp(*at, "--") == 0)
            only_words = true;
        else if (only_words || **at != '-' || strcmp(*at, "-") == 0)
            line->words[line->word_count++] = *at;
        else if (!read_option(line, &at))
            return false;
    }
    return true;
}

static void print_help(const struct command_line *line, unsigned program, const char *usage)
{
    (void)printf("%s\nOptions:\n", usage);
    for (const struct own_option *own = line->own; own && own->name; own++)
        (void)printf("  %-18s %s\n", own->name, own->help);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        (void)printf("  %-18s %s\n", options[i].name, options[i].help);
    (void)printf("\nSettings [default], in the file as section : { key = value; };, in the environment as "
                 "ROOMCLAIM_SECTION_KEY:\n");
    config_print_help(program, stdout);
}

/* The options that need no configuration; true when one was there. */
static bool print_and_end(const struct command_line *line, unsigned program, const char *usage)
{
    if (line->given[OPTION_HELP])
        print_help(line, program, usage);
    else if (line->given[OPTION_VERSION])
        (void)printf("%s %s\n", line->program, ROOMCLAIM_VERSION);
    else if (line->given[OPTION_PRINT_SAMPLE])
        config_print_sample(stdout);
    else if (line->given[OPTION_PRINT_REFERENCE])
        config_print_reference(stdout);
    else
        return false;
    return true;
}

/* A reader that went away, a full disk: what was printed is not all there. */
static int flush_exit(void)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_DONE : EXIT_FAILED;
}

static void start_log(const struct config *config)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], config->log_level) == 0)
            log_init((enum log_level)i, strcmp(config->log_format, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_LOGFMT);
    }
}

static struct config *load(const struct command_line *line, unsigned program, int *ret_exit)
{
    struct error err;
    struct config *config = config_load(program, &line->args, &err);
    if (!config) {
        (void)fprintf(stderr, "%s: %s\n", line->program, err.text);
        *ret_exit = err.class == ERROR_REJECT ? EXIT_USAGE : EXIT_CONFIG;
        return NULL;
    }
    start_log(config);
    config_warn(config, program);
    if (!line->given[OPTION_CHECK] && !line->given[OPTION_PRINT_CONFIG])
        return config;
    if (line->given[OPTION_PRINT_CONFIG])
        config_print(config, program, stdout);
    else
        (void)puts("configuration ok");
    config_free(config);
    *ret_exit = flush_exit();
    return NULL;
}

struct config *config_from_command_line(unsigned program, const char *usage, int argc, char **argv,
                                        const struct own_option *own_options, char ***ret_words, int *ret_word_count,
                                        int *ret_exit)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "roomclaim";
    char **rest = argv + (argc > 0);
    struct command_line line = {.program = name, .own = own_options, .words = rest};
    struct config *config = NULL;
    *ret_exit = EXIT_USAGE;
    bool ok = read_arguments(&line, rest);
    if (ok && line.word_count > 0 && !ret_words)
        ok = refuse(&line, "unexpected argument", line.words[0]);
    if (ok && print_and_end(&line, program, usage))
        *ret_exit = flush_exit();
    else if (ok)
        config = load(&line, program, ret_exit);
    free(line.args.sets);
    if (ret_words) {
        *ret_words = line.words;
        *ret_word_count = line.word_count;
    }
    return config;
}
