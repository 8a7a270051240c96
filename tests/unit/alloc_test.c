/* Allocation: what it returns, and how the process ends without memory (in a child). */
#include "check.h"

#include "common/alloc.h"

#include <sys/wait.h>
#include <unistd.h>

static void returns_memory(void)
{
    char *zero = xmalloc(0);
    CHECK(zero != NULL);
    free(zero);
    char *copy = xmemdup0("a\0b", 3);
    CHECK(memcmp(copy, "a\0b", 4) == 0);
    free(copy);
    AUTO(free_ptr) char *text = xasprintf("%s-%d", "x", 7);
    CHECK_STR(text, "x-7");
    AUTO(free_ptr) char *dup = xstrdup("");
    CHECK_STR(dup, "");
    int *numbers = xgrow(NULL, 2, sizeof *numbers);
    numbers[1] = 5;
    numbers = xgrow(numbers, 1000, sizeof *numbers);
    CHECK_INT(numbers[1], 5);
    free(numbers);
    int *zeros = xcalloc(3, sizeof *zeros);
    CHECK_INT(zeros[2], 0);
    free(zeros);
}

/* Runs grow in a child; the words on its stderr land in text. Returns its exit code. */
static int run_child(void (*grow)(void), char *text, size_t size)
{
    int ends[2];
    if (pipe(ends) != 0)
        return -1;
    (void)fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        grow();
        _exit(0);
    }
    close(ends[1]);
    const ssize_t len = read(ends[0], text, size - 1);
    text[len > 0 ? len : 0] = '\0';
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void grow_beyond_size(void)
{
    volatile size_t count = SIZE_MAX / 2;
    char *p = xgrow(NULL, count, 4);
    _exit(p ? 42 : 43);
}

static void dup_beyond_size(void)
{
    volatile size_t len = SIZE_MAX;
    char *p = xmemdup0("", len);
    _exit(p ? 42 : 43);
}

static void ends_the_process(void)
{
    char text[200];
    CHECK_INT(run_child(grow_beyond_size, text, sizeof text), 1);
    CHECK(strncmp(text, "alloc_test: out of memory", 25) == 0 && strchr(text, '\n') == text + strlen(text) - 1);
    CHECK_INT(run_child(dup_beyond_size, text, sizeof text), 1);
}

CHECK_MAIN({"returns memory", returns_memory}, {"ends the process", ends_the_process})
