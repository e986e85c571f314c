// shared_libraries_load_at_run_time.c - dlopen, dlsym, dlclose in threads, TLS of a library, name service and locale
// code.
// TEST: libs=dl
#include <dlfcn.h>
#include <netdb.h>
#include <pwd.h>

#include "check.h"

static void* load(void* arg) {
    for (int i = 0; i < 10; i++) {
        void* m = dlopen("libm.so.6", RTLD_NOW);
        CHECK(m != NULL);
        double (*cosine)(double) = (double (*)(double))dlsym(m, "cos");
        CHECK(cosine && cosine(0) == 1);
        void* r = dlopen("libresolv.so.2", RTLD_LAZY | RTLD_LOCAL);
        if (r) dlclose(r);
        dlclose(m);
    }
    struct passwd entry, *found;
    char text[1024];
    CHECK_0(getpwnam_r("root", &entry, text, sizeof text, &found));
    CHECK(found && found->pw_uid == 0);
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST}, *list;
    CHECK_EQ(getaddrinfo("127.0.0.1", "80", &hints, &list), 0);
    freeaddrinfo(list);
    return NULL;
}

int main(void) {
    pthread_t t[20];
    for (int i = 0; i < 20; i++) t[i] = start(load, NULL);
    for (int i = 0; i < 20; i++) finish(t[i]);
    CHECK(dlopen("no-such-library.so", RTLD_NOW) == NULL);
    say("ok");
}
