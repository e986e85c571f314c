// init_restarts_the_program_under_ocrun.c - arguments, environment and descriptors survive; ocrun is found as documented
// TEST: libs=ocrun_shared args="one 'two words' three" env="API_KEPT=yes" restart=skip
#include "api.h"

int main(int argc, char** argv) {
    // OCRUN names the one of this build, beside the folder of the guests.
    char self[PATH_MAX], *slash;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 16);
    CHECK(n > 0);
    self[n] = 0;
    for (int i = 0; i < 2; i++) {
        slash = strrchr(self, '/');
        *slash = 0;
    }
    strcat(self, "/ocrun");
    if (!getenv("API_AGAIN")) {
        setenv("API_AGAIN", "1", 1);
        int p[2];
        CHECK_OK(pipe(p));
        CHECK_OK(dup2(p[0], 100));
        CHECK_EQ(write(p[1], "kept", 4), 4);
        // nowhere to be found: the program goes on
        setenv("PATH", "/nowhere", 1);
        unsetenv("OCRUN");
        int r = oc_init(NULL);
        if (r == -ENOENT) {
            setenv("OCRUN", self, 1);
            oc_init(NULL);
            check_failed(__FILE__, __LINE__, "the restart failed");
        }
        CHECK_EQ(r, 0);  // started under ocrun
        CHECK_EQ(oc_stop(OC_FOREVER), 0);
    }
    CHECK_EQ(argc, 4);
    CHECK(!strcmp(argv[2], "two words"));
    CHECK(!strcmp(getenv("API_KEPT"), "yes"));
    char text[8] = "";
    CHECK_EQ(read(100, text, 8), 4);
    oc_config config = OC_CONFIG_INIT;
    int r = oc_init(&config);
    CHECK_EQ(r, 0);
    CHECK(!getenv("OCRUN_RESTARTED"));
    oc_stats stats = {.size = sizeof stats};
    CHECK_EQ(oc_get_stats(&stats), 0);
    CHECK_EQ(stats.under_ocrun, 1);
    api_end();
    say("ok");
    return 0;
}
