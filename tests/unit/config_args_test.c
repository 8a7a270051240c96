/* The command line: each case in a child of its own, its exit code and what it prints. */
#include "check.h"

#include "common/alloc.h"
#include "common/config.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STILL_RUNS = 100 }; /* the child's exit code where the program would go on */

struct scene {
    const char *label;
    const char *argv[6]; /* behind the program's name */
    int exit;
    const char *printed; /* words on stdout or stderr */
};

static int run_program(const char *const *arguments)
{
    const char *given[8] = {"/usr/bin/prog"};
    char *argv[8]; /* the program reorders the pointers, it does not write into the words */
    int argc = 1;
    for (; argc < 7 && arguments[argc - 1]; argc++)
        given[argc] = arguments[argc - 1];
    memcpy(argv, given, sizeof argv);
    bool execute = false;
    const char *offset = "";
    const struct own_option own[] = {
        {.name = "--execute", .help = "do it", .given = &execute},
        {.name = "--to-offset", .help = "N  go there", .value = &offset},
        {.name = NULL},
    };
    char **words = NULL;
    int word_count = 0, ret_exit = -1;
    struct config *config =
        config_from_command_line(CONFIG_TOOL, "prog WORD: does it", argc, argv, own, &words, &word_count, &ret_exit);
    if (!config)
        return ret_exit;
    printf("words:");
    for (int i = 0; i < word_count; i++)
        printf(" %s", words[i]);
    printf(" execute=%d offset=%s table=%s\n", execute, offset, config->database_table);
    (void)fflush(stdout);
    config_free(config);
    return STILL_RUNS;
}

/* Runs the program in a child; what it prints lands in ret_text. */
static int run_child(const struct scene *scene, char *ret_text, size_t size)
{
    const int file = memfd_create("out", MFD_CLOEXEC);
    (void)fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        dup2(file, STDOUT_FILENO);
        dup2(file, STDERR_FILENO);
        clearenv();
        setenv("DATABASE_URL", "postgresql://u:hush@127.0.0.1/d", 1);
        const int code = run_program(scene->argv);
        (void)fflush(stdout);
        _exit(code);
    }
    int status = 0;
    waitpid(child, &status, 0);
    const ssize_t len = pread(file, ret_text, size - 1, 0);
    ret_text[len > 0 ? len : 0] = '\0';
    close(file);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void runs_scenes(void)
{
    static const struct scene scenes[] = {
        {"nothing", {0}, STILL_RUNS, "words: execute=0"},
        {"help", {"--help"}, EXIT_DONE, "prog WORD: does it\nOptions:\n  --execute"},
        {"help names keys", {"-h"}, EXIT_DONE, "database.url "},
        {"version", {"--version"}, EXIT_DONE, "prog " ROOMCLAIM_VERSION "\n"},
        {"check", {"--check"}, EXIT_DONE, "configuration ok\n"},
        {"print", {"--print-config"}, EXIT_DONE, "url = \"postgresql://u:***@127.0.0.1/d\";"},
        {"sample", {"--print-sample"}, EXIT_DONE, "# lease = \"120s\";"},
        {"reference", {"--print-reference"}, EXIT_DONE, "| `claim.lease` | `\"120s\"` |"},
        {"words around options",
         {"replay", "--execute", "--to-offset", "7", "topic"},
         STILL_RUNS,
         "words: replay topic execute=1 offset=7"},
        {"value behind =", {"--to-offset=9"}, STILL_RUNS, "offset=9"},
        {"set", {"--set", "database.table=t", "x"}, STILL_RUNS, "words: x execute=0 offset= table=t"},
        {"set behind =", {"--set=database.table=t"}, STILL_RUNS, "table=t"},
        {"end of options", {"--", "--execute", "-c"}, STILL_RUNS, "words: --execute -c execute=0"},
        {"a minus is a word", {"-"}, STILL_RUNS, "words: - execute=0"},
        {"unknown option", {"--frob"}, EXIT_USAGE, "prog: unknown option --frob; usage: prog [-c FILE]"},
        {"unknown letter", {"-x"}, EXIT_USAGE, "unknown option -x"},
        {"almost an option", {"--executed"}, EXIT_USAGE, "unknown option --executed"},
        {"no value", {"--set"}, EXIT_USAGE, "a value is missing behind --set"},
        {"no file", {"-c"}, EXIT_USAGE, "a value is missing behind --config"},
        {"no own value", {"--to-offset"}, EXIT_USAGE, "a value is missing behind --to-offset"},
        {"value for a flag", {"--check=yes"}, EXIT_USAGE, "takes no value: --check"},
        {"missing file", {"-c", "/no/such.conf"}, EXIT_CONFIG, "cannot read /no/such.conf: No such file"},
        {"bad value", {"--set", "log.level=loud", "--check"}, EXIT_CONFIG, "log.level is \"loud\""},
        {"secret", {"--set", "llm.api_key=x"}, EXIT_USAGE, "visible to every user"},
    };
    for (size_t i = 0; i < ARRAY_LEN(scenes); i++) {
        static char text[65536];
        CHECK_LABEL(scenes[i].label);
        CHECK_INT(run_child(&scenes[i], text, sizeof text), scenes[i].exit);
        if (!strstr(text, scenes[i].printed))
            CHECK_FAIL("no \"%s\" in \"%s\"", scenes[i].printed, text);
        CHECK(!strstr(text, "hush"));
        if (scenes[i].exit == EXIT_USAGE)
            CHECK(strchr(text, '\n') == text + strlen(text) - 1); /* one line */
    }
}

static void refuses_words_where_none_belong(void)
{
    char *argv[] = {(char[]){"prog"}, (char[]){"word"}, NULL};
    int code = -1;
    (void)fflush(stderr);
    const int saved = dup(STDERR_FILENO);
    const int file = memfd_create("err", MFD_CLOEXEC);
    dup2(file, STDERR_FILENO);
    struct config *config = config_from_command_line(CONFIG_TOOL, "", 2, argv, NULL, NULL, NULL, &code);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(file);
    CHECK(config == NULL);
    CHECK_INT(code, EXIT_USAGE);
}

CHECK_MAIN({"runs scenes", runs_scenes}, {"refuses words where none belong", refuses_words_where_none_belong})
