# cmake -DNAME=symbol -DIN=file -DOUT=file.c -P embed.cmake: a file's bytes as a C string, NUL-terminated.
file(READ "${IN}" hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE "${OUT}" "extern const char ${NAME}[];\nconst char ${NAME}[] = {${bytes} 0};\n")
