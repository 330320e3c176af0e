// A trainer's image for the tests of a real kubelet: it trains nothing, and misbehaves as its search asks.
//
// It is called as the operator calls peft-trainer. The model's revision in the request is its part, such as
// `each-3.oom-0.hang-2-1`: every trial lasts 3 seconds, trial 0 runs out of memory, the first attempt of trial 2 never ends.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char request[1 << 16];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

// The text behind `"key":`, up to what ends a value.
static void value(const char *key, char *into, size_t size) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *found = strstr(request, quoted);
    if (!found) {
        fail(key);
    }
    found += strlen(quoted);
    if (*found == '"') {
        found++;
    }
    size_t length = strcspn(found, "\",}");
    if (length >= size) {
        fail(key);
    }
    memcpy(into, found, length);
    into[length] = 0;
}

static void eat_memory(void) {
    for (;;) {
        char *block = malloc(1 << 20);
        if (block) {
            memset(block, 1, 1 << 20);
        }
    }
}

// 64 MiB: more than the test allows, and little for the machine.
static void fill_disk(void) {
    static char block[1 << 20];
    int file = open("/tmp/fill", O_WRONLY | O_CREAT, 0600);
    for (int count = 0; count < 64; count++) {
        if (write(file, block, sizeof block) < 0) {
            fail("/tmp/fill");
        }
    }
    fsync(file);
}

static void say(const char *path, const char *document) {
    int file = open(path, O_WRONLY);
    if (file < 0 || write(file, document, strlen(document)) < 0) {
        fail(path);
    }
}

// The act for this trial: the last that names it, by number, or by number and attempt.
static void play(char *part, int trial, int attempt, double *seconds) {
    for (char *act = strtok(part, "."); act; act = strtok(0, ".")) {
        char name[16];
        int number, only = 0;
        int read = sscanf(act, "%15[a-z]-%d-%d", name, &number, &only);
        if (read >= 2 && !strcmp(name, "each")) {
            *seconds = number;
        } else if (read >= 2 && number == trial && (read == 2 || only == attempt)) {
            printf("trial %d, attempt %d: %s\n", trial, attempt, name);
            fflush(stdout);
            if (!strcmp(name, "oom")) {
                eat_memory();
            } else if (!strcmp(name, "silent")) {
                exit(0);
            } else if (!strcmp(name, "fill")) {
                fill_disk();
                pause();
            } else if (!strcmp(name, "hang")) {
                pause();
            }
        }
    }
}

int main(int count, char **words) {
    char uid[128], hash[128], number[16], model[256], document[2048];
    // VERB --request FILE --result FILE --device NAME
    if (count != 8) {
        return 2;
    }
    int file = open(words[3], O_RDONLY);
    if (file < 0 || read(file, request, sizeof request - 1) <= 0) {
        fail(words[3]);
    }
    value("searchUid", uid, sizeof uid);
    if (!strcmp(words[1], "inspect")) {
        snprintf(document, sizeof document,
                 "{\"version\":1,\"searchUid\":\"%s\",\"outcome\":{\"found\":{\"architecture\":\"bert\",\"layers\":6,"
                 "\"hiddenSize\":384,\"backboneParameters\":22713216,\"trainExamples\":1000,\"validationExamples\":500}}}",
                 uid);
        say(words[5], document);
        return 0;
    }
    value("configurationHash", hash, sizeof hash);
    value("model", model, sizeof model);
    value("trial", number, sizeof number);
    int trial = atoi(number);
    value("attempt", number, sizeof number);
    int attempt = atoi(number);
    double seconds = 0.2;
    char *part = strchr(model, '@');
    if (part) {
        play(part + 1, trial, attempt, &seconds);
    }
    usleep((useconds_t)(seconds * 1e6));
    char start[5] = "";
    memcpy(start, hash, 4);
    snprintf(document, sizeof document,
             "{\"version\":1,\"identity\":{\"searchUid\":\"%s\",\"trial\":%d,\"attempt\":%d,\"configurationHash\":\"%s\"},"
             "\"outcome\":{\"succeeded\":{\"score\":%.4f,\"metric\":\"Accuracy\",\"bestEpoch\":1,\"epochs\":[],"
             "\"trainedParameters\":1000,\"deployedParameters\":230,\"trainSeconds\":%.1f,\"totalSeconds\":%.1f,"
             "\"peakMemoryBytes\":1048576,\"device\":\"cpu\",\"precision\":\"float32\",\"steps\":1,"
             "\"validationExamples\":500,\"seeds\":{},\"versions\":{}}}}",
             uid, trial, attempt, hash, 0.5 + strtol(start, 0, 16) / 655360.0, seconds, seconds);
    say(words[5], document);
    return 0;
}
