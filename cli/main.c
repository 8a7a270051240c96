/* roomclaim: the operator's tool. One table of commands; each reads the shared configuration and has options of its
 * own. */
#include "cli/migrate.h"
#include "cli/spool_command.h"

#include <stdio.h>

static struct migrate_options migrate_options;

static const struct own_option migrate_own[] = {
    {.name = "--execute", .help = "do it; without this the SQL is printed", .given = &migrate_options.execute},
    {.name = "--bootstrap",
     .help = "create the application's table where it is missing",
     .given = &migrate_options.bootstrap},
    {.name = "--no-roles",
     .help = "print the SQL of the roles instead of running it",
     .given = &migrate_options.no_roles},
    {.name = NULL},
};

static int run_migrate(const struct config *config, const char *argument, struct error *ret_err)
{
    (void)argument;
    return migrate_run(config, &migrate_options, ret_err);
}

static struct spool_command_options spool_options;

static const struct own_option spool_own[] = {
    {.name = "--drain", .help = "publish the records; without this they are counted", .given = &spool_options.drain},
    {.name = "--redrive",
     .help = "put the dead records back, to be published after the others",
     .given = &spool_options.redrive},
    {.name = "--discard", .help = "delete the dead records", .given = &spool_options.discard},
    {.name = NULL},
};

static int run_spool(const struct config *config, const char *argument, struct error *ret_err)
{
    return spool_command_run(config, &spool_options, argument, ret_err);
}

/* X(name, argument or NULL, what it reads of the configuration, own options, function, what it does) */
#define COMMAND_TABLE(X)                                                                                             \
    X("spool", "FILE", CONFIG_TOOL_KAFKA, spool_own, run_spool,                                                      \
      "show what a stopped shim's spool holds; publish it with --drain: for the file of a dead host")                \
    X("migrate", NULL, CONFIG_TOOL, migrate_own, run_migrate,                                                        \
      "prepare a database: the schema roomclaim, its functions and roles, the enum's value; prints SQL unless told " \
      "to")

static const struct command {
    const char *name;
    const char *argument; /* NULL: it takes none */
    unsigned reads;       /* of the configuration: CONFIG_TOOL, ... */
    const struct own_option *own;
    int (*run)(const struct config *config, const char *argument, struct error *ret_err);
    const char *help;
} commands[] = {
#define X(name, argument, reads, own, run, help) {name, argument, reads, own, run, help},
    COMMAND_TABLE(X)
#undef X
};

static const char usage[] = "roomclaim COMMAND [OPTION]...\n"
                            "The operator's tool of roomclaim. What changes something needs --execute.\n\n"
                            "Commands (roomclaim COMMAND --help lists the options of one):\n"
#define X(name, argument, reads, own, run, help) "  " name "  " help "\n"
    COMMAND_TABLE(X)
#undef X
    ;

static const struct command *find_command(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(word, commands[i].name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* The first argument that is no option, nor the value of one that all programs share; NULL when there is none. */
static const char *first_word(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0 || strcmp(argv[i], "--set") == 0)
            i++;
        else if (*argv[i] != '-')
            return argv[i];
    }
    return NULL;
}

static int refuse(const char *what, const char *word)
{
    (void)fprintf(stderr, "roomclaim: %s %.80s; usage: roomclaim COMMAND [OPTION]... (see --help)\n", what, word);
    return EXIT_USAGE;
}

static int run(const struct command *command, const struct config *config, const char *argument)
{
    struct error err;
    int code = command->run(config, argument, &err);
    if (code != EXIT_DONE)
        (void)fprintf(stderr, "roomclaim %s: %s\n", command->name, err.text);
    if (fflush(stdout) != 0 && code == EXIT_DONE) {
        (void)fputs("roomclaim: cannot write to stdout\n", stderr);
        code = EXIT_FAILED;
    }
    return code;
}

int main(int argc, char **argv)
{
    const char *word = first_word(argc, argv);
    const struct command *command = word != NULL ? find_command(word) : NULL;
    if (word != NULL && command == NULL)
        return refuse("unknown command", word);
    char **words = NULL;
    int word_count = 0;
    int code = EXIT_USAGE;
    if (argc < 2)
        return refuse("no command is given:", "migrate is one");
    struct config *config = config_from_command_line(command != NULL ? command->reads : CONFIG_TOOL, usage, argc, argv,
                                                     command != NULL ? command->own : NULL, &words, &word_count, &code);
    if (config == NULL)
        return code;
    if (command == NULL)
        code = refuse("no command is given:", "migrate is one");
    else if (command->argument != NULL && word_count < 2)
        code = refuse("an argument is missing:", command->argument);
    else if (word_count > (command->argument != NULL ? 2 : 1))
        code = refuse("unexpected argument", words[word_count - 1]);
    else
        code = run(command, config, words[word_count - 1]);
    config_free(config);
    return code;
}
