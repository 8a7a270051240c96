/* Runs a fuzz target over the files named on the command line: the corpora, in a build without libFuzzer. */
#include "common/alloc.h"
#include "tests/fuzz/fuzz.h"

static bool run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        return false;
    }
    const long size = ftell(file);
    if (fseek(file, 0, SEEK_SET) != 0) {
        perror(path);
        return false;
    }
    AUTO(free_ptr) uint8_t *data = xmalloc(size > 0 ? (size_t)size : 1);
    const size_t got = fread(data, 1, size > 0 ? (size_t)size : 0, file);
    return fclose(file) == 0 && size >= 0 && got == (size_t)size && LLVMFuzzerTestOneInput(data, got) == 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!run_file(argv[i]))
            return 1;
    }
    printf("%d inputs\n", argc - 1);
    return argc > 1 ? 0 : 1;
}
