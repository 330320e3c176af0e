// A pod's program for check.sh: `probe say` reports and ends well, `probe eat` takes memory until it is stopped.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int say(void) {
    puts("the probe's log");
    FILE *message = fopen("/dev/termination-log", "w");
    if (!message) {
        perror("/dev/termination-log");
        return 1;
    }
    fputs("the probe's result", message);
    return fclose(message) ? 1 : 0;
}

static int eat(void) {
    const size_t mebibyte = 1 << 20;
    for (;;) {
        char *block = malloc(mebibyte);
        if (!block) {
            return 1;
        }
        memset(block, 1, mebibyte);
    }
}

int main(int count, char **words) {
    if (count == 2 && !strcmp(words[1], "say")) {
        return say();
    }
    if (count == 2 && !strcmp(words[1], "eat")) {
        return eat();
    }
    return 2;
}
